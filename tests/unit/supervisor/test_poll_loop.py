"""nono.supervisor.poll_loop: what is called back, and when."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator

import pytest

from nono.supervisor.poll_loop import PollLoop


@pytest.fixture
def pipes() -> Iterator[list[tuple[int, int]]]:
    """Yield two pipes, as (reader, writer)."""
    found = [os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK) for _ in range(2)]
    yield found
    for pipe in found:
        for end in pipe:
            os.close(end)


def run_while(loop: PollLoop, seen: list[str], number: int) -> None:
    """Run until so much was seen; give up by an exception after a while."""

    def give_up() -> None:
        raise TimeoutError(seen)

    timer = loop.call_later(30, give_up)
    loop.run_until(lambda: len(seen) >= number)
    timer.cancel()


def test_each_descriptor_calls_back_for_what_it_is_ready_for(pipes: list[tuple[int, int]]) -> None:
    loop, seen = PollLoop(), list[str]()
    (reader, writer), _ = pipes

    def write() -> None:
        seen.append("write")
        os.write(writer, b"a")
        loop.remove_writer(writer)

    def read() -> None:
        seen.append("read")
        os.read(reader, 1)

    loop.add_reader(reader, read)
    loop.add_writer(writer, write)
    run_while(loop, seen, 2)
    assert seen == ["write", "read"]


def test_what_one_callback_removes_is_not_called_for_the_same_event(pipes: list[tuple[int, int]]) -> None:
    loop, seen = PollLoop(), list[str]()
    readers = [reader for reader, _ in pipes]

    def read() -> None:
        seen.append("read")
        for reader in readers:
            loop.remove_reader(reader)

    for reader, writer in pipes:
        os.write(writer, b"a")
        loop.add_reader(reader, read)
    loop.call_later(0, seen.append, "timer")
    run_while(loop, seen, 2)
    assert seen == ["read", "timer"]


def test_an_end_of_file_is_news_for_a_reader() -> None:
    loop, seen = PollLoop(), list[str]()
    reader, writer = os.pipe2(os.O_CLOEXEC)
    os.close(writer)
    loop.add_reader(reader, lambda: seen.append("end"))
    run_while(loop, seen, 1)
    os.close(reader)


def test_a_timer_that_another_one_cancels_is_not_called() -> None:
    loop, seen = PollLoop(), list[str]()

    def first() -> None:
        seen.append("first")
        second.cancel()

    loop.call_later(0, first)
    second = loop.call_later(0, seen.append, "second")
    loop.call_later(0.01, seen.append, "third")
    time.sleep(0.02)  # all are due
    run_while(loop, seen, 2)
    assert seen == ["first", "third"]


def test_a_timer_is_called_once_and_not_too_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, seen = PollLoop(), list[float]()
    asked = list[float | None]()
    due = loop.time() + 0.0305

    class Poll:
        def __init__(self) -> None:
            self._poll = select.poll()

        def poll(self, patience_ms: float | None) -> list[tuple[int, int]]:
            asked.append(patience_ms)
            return self._poll.poll(patience_ms)

    monkeypatch.setattr(loop, "_poll", Poll())
    loop.call_later(due - loop.time(), lambda: seen.append(loop.time()))
    loop.run_until(lambda: bool(seen))
    assert seen[0] >= due
    assert len(asked) == 1  # poll rounds up, and does not wake in vain
    loop.call_later(0, seen.append, 0.0)
    loop.run_until(lambda: len(seen) > 1)
    assert len(seen) == 2


def test_it_looks_at_an_interval() -> None:
    looks = list[None]()

    def holds() -> bool:
        looks.append(None)
        return len(looks) > 3

    PollLoop().run_until(holds, look_every_s=0.001)
    assert len(looks) == 4
