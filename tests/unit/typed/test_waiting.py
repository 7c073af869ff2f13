"""No signal goes unnoticed by a wait, however late before the system call it comes."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from time import monotonic
from typing import Any

import pytest

from nono.typed.waiting import wait_for

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


class Signalling:
    """A descriptor at which select(2) arrives with a signal for which Python has not yet run the handler.

    Its number is asked for by C code alone, so that Python does not look for signals after that.
    """

    def __init__(self, descriptor: int) -> None:
        self.fileno = partial(sum, map(ctypes.CDLL(None)["raise"], [signal.SIGUSR1]), descriptor)


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
    end: Any = Signalling(writer if is_writing else reader)
    began = monotonic()
    with handled(hear), pytest.raises(HeardError):
        wait_for(**{"writing" if is_writing else "reading": end}, timeout_s=LONG_S)
    assert monotonic() - began < LONG_S / 2


def test_a_signal_whose_handler_raises_nothing_does_not_end_the_wait(pipe: tuple[int, int]) -> None:
    heard: list[int] = []
    end: Any = Signalling(pipe[0])
    with handled(lambda number, _frame: heard.append(number)):
        assert not wait_for(reading=end, timeout_s=SHORT_S)
    assert heard == [signal.SIGUSR1]


def test_what_can_be_read_after_a_signal_ends_the_wait(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    end: Any = Signalling(reader)
    with handled(lambda _number, _frame: os.write(writer, b"x")):
        assert wait_for(reading=end, timeout_s=LONG_S)


def test_it_waits_for_what_can_be_read_or_written(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    assert wait_for(writing=writer)
    assert not wait_for(reading=reader, timeout_s=0)
    os.write(writer, b"x")
    assert wait_for(reading=reader)


def test_whoever_was_woken_by_signals_before_is_afterwards(pipe: tuple[int, int]) -> None:
    os.set_blocking(pipe[1], False)
    before = signal.set_wakeup_fd(pipe[1])
    try:
        wait_for(timeout_s=0)
        assert signal.set_wakeup_fd(pipe[1]) == pipe[1]
    finally:
        signal.set_wakeup_fd(before)
