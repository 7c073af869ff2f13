"""No signal goes unnoticed by a wait, however late before the system call it comes."""

from __future__ import annotations

import ctypes
import fcntl
import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from time import monotonic
from typing import Any

import pytest

from nono.disk.descriptor import is_readable
from nono.typed.waiting import wait_for

FD_SETSIZE = 1024  # <sys/select.h>
SHORT_S, LONG_S = 0.05, 20.0


class HeardError(Exception):
    pass


def hear(number: int, _frame: object) -> None:
    raise HeardError(number)


@contextmanager
def handled(handler: Any) -> Iterator[None]:
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def signalling(timeout_s: float) -> Any:
    """Return a time to wait with which poll(2) arrives with a signal that Python has not yet handled.

    It is asked for by C code alone, so that Python does not look for signals after that.
    """
    signals = [signal.SIGUSR1]
    number = partial(sum, map(ctypes.CDLL(None)["raise"], signals), int(timeout_s * 1000))
    in_milliseconds = type("Milliseconds", (), {"__index__": staticmethod(number)})()
    return type("Seconds", (), {"__mul__": lambda *_: in_milliseconds})()


@pytest.mark.parametrize("is_writing", [False, True], ids=["reading", "writing"])
def test_a_signal_just_before_the_system_call_ends_the_wait(pipe: tuple[int, int], is_writing: bool) -> None:
    reader, writer = pipe
    os.set_blocking(writer, False)
    if is_writing:
        while True:
            try:
                os.write(writer, bytes(65536))
            except BlockingIOError:
                break
    end = {"writing": writer} if is_writing else {"reading": reader}
    began = monotonic()
    with handled(hear), pytest.raises(HeardError):
        wait_for(**end, timeout_s=signalling(LONG_S))
    assert monotonic() - began < LONG_S / 2


def test_a_signal_whose_handler_raises_nothing_does_not_end_the_wait(pipe: tuple[int, int]) -> None:
    heard: list[int] = []
    with handled(lambda number, _frame: heard.append(number)):
        assert not wait_for(reading=pipe[0], timeout_s=signalling(SHORT_S))
    assert heard == [signal.SIGUSR1]


def test_what_can_be_read_after_a_signal_ends_the_wait(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    with handled(lambda _number, _frame: os.write(writer, b"x")):
        assert wait_for(reading=reader, timeout_s=signalling(LONG_S))


def test_it_waits_for_what_can_be_read_or_written(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    assert wait_for(writing=writer)
    assert not wait_for(reading=reader, timeout_s=0)
    os.write(writer, b"x")
    assert wait_for(reading=reader)


def by_a_wait(descriptor: int) -> bool:
    return wait_for(reading=descriptor, timeout_s=0)


@pytest.mark.parametrize("is_ready", [by_a_wait, is_readable])
def test_a_descriptor_that_select_does_not_know_is_waited_for(
    is_ready: Callable[[int], bool], pipe: tuple[int, int]
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    far = fcntl.fcntl(pipe[0], fcntl.F_DUPFD_CLOEXEC, FD_SETSIZE)
    try:
        assert not is_ready(far)
        os.write(pipe[1], b"x")
        assert is_ready(far)
    finally:
        os.close(far)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_whoever_was_woken_by_signals_before_is_afterwards(pipe: tuple[int, int]) -> None:
    os.set_blocking(pipe[1], False)
    before = signal.set_wakeup_fd(pipe[1])
    try:
        wait_for(timeout_s=0)
        assert signal.set_wakeup_fd(pipe[1]) == pipe[1]
    finally:
        signal.set_wakeup_fd(before)
