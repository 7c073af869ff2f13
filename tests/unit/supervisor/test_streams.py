"""Only what a command changed of a stream is undone, and only towards what every program can use."""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from nono.supervisor.streams import shared_streams

STDIN = 0


def flags() -> int:
    return fcntl.fcntl(STDIN, fcntl.F_GETFL)


def change(*, to_set: int = 0, to_clear: int = 0) -> None:
    fcntl.fcntl(STDIN, fcntl.F_SETFL, flags() & ~to_clear | to_set)


@pytest.fixture(autouse=True)
def stdin(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[None]:
    """Make standard input a pipe, or what the parameter says."""
    kept = os.dup(STDIN)
    ends = os.pipe()
    if getattr(request, "param", "pipe") == "log":
        log = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, ends[0])
        os.close(log)
    os.dup2(ends[0], STDIN)
    try:
        yield
    finally:
        os.dup2(kept, STDIN)
        for descriptor in (kept, *ends):
            os.close(descriptor)


@pytest.mark.parametrize("flag", [os.O_NONBLOCK, os.O_ASYNC, os.O_DIRECT])
def test_a_flag_that_was_set_is_cleared(flag: int) -> None:
    with shared_streams(has_terminal=True):
        change(to_set=flag)
    assert not flags() & flag


def test_a_reader_that_does_not_block_is_not_made_to_again() -> None:
    """Another program that shares the stream, as below make -j, had set it and has cleared it."""
    change(to_set=os.O_NONBLOCK)
    with shared_streams(has_terminal=True):
        change(to_clear=os.O_NONBLOCK)
    assert not flags() & os.O_NONBLOCK


def test_a_reader_that_did_not_block_before_goes_on() -> None:
    change(to_set=os.O_NONBLOCK)
    with shared_streams(has_terminal=True):
        pass
    assert flags() & os.O_NONBLOCK


@pytest.mark.parametrize("stdin", ["log"], indirect=True)
def test_a_log_is_appended_to_again() -> None:
    with shared_streams(has_terminal=True):
        change(to_clear=os.O_APPEND)
    assert flags() & os.O_APPEND


def test_nobody_is_signalled_any_more() -> None:
    with shared_streams(has_terminal=True):
        fcntl.fcntl(STDIN, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(STDIN, fcntl.F_SETSIG, signal.SIGUSR1)
    assert (fcntl.fcntl(STDIN, fcntl.F_GETOWN), fcntl.fcntl(STDIN, fcntl.F_GETSIG)) == (0, 0)


def test_a_closed_stream_stays_closed() -> None:
    os.close(STDIN)
    with shared_streams(has_terminal=True):
        pass
    with pytest.raises(OSError, match="Bad file descriptor"):
        flags()
    assert os.open(os.devnull, os.O_RDONLY) == STDIN
