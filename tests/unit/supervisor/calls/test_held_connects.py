"""nono.supervisor.calls.held_connects: connects that wait for room in a backlog."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from functools import partial
from typing import cast

import pytest

from nono.kernel.notify import Notification
from nono.supervisor.calls import held_connects
from nono.supervisor.calls.held_connects import Held, HeldConnects
from nono.supervisor.calls.trapped_call import TrappedCalls
from nono.supervisor.verdict.adjudicator import Refuse

Answer = int | Refuse | None


class Calls:
    """In place of the look-ups of a listener: says whether the callers still wait."""

    def __init__(self) -> None:
        self.wait = True

    def is_valid(self, _call: Notification) -> bool:
        return self.wait


class Waiting:
    """Connects that wait, and what became of them."""

    def __init__(self) -> None:
        self.calls = Calls()
        self.answers = list[tuple[int, int | Refuse]]()
        self.released = list[int]()
        self._has_released = asyncio.Event()
        self.connects = HeldConnects(
            cast("TrappedCalls", self.calls), lambda call, answer: self.answers.append((call.id, answer))
        )

    def hold(self, number: int, attempt: Callable[[], Answer], deadline_s: float | None = None) -> None:
        call = Notification(number, 100, 0, 0, 0, (0, 0, 0, 0, 0, 0))
        self.connects.hold(Held(call, attempt, partial(self._release, number), deadline_s, errno.ETIMEDOUT))

    async def until_released(self) -> None:
        async with asyncio.timeout(30):
            await self._has_released.wait()

    def _release(self, number: int) -> None:
        self.released.append(number)
        self._has_released.set()


def full() -> Answer:
    return None


def lacking() -> Answer:
    raise OSError(errno.ENOBUFS, "no room")


@pytest.mark.parametrize(
    ("attempts", "deadline_s", "answer"),
    [
        ([full, full, lambda: 0], None, 0),
        ([full, lambda: errno.ECONNREFUSED], None, errno.ECONNREFUSED),
        ([full, lacking], None, errno.ENOBUFS),
        ([full], 0.0, errno.ETIMEDOUT),
        ([lambda: 0], 0.0, 0),
    ],
)
def test_a_connect_is_tried_until_there_is_room_or_it_is_too_late(
    attempts: list[Callable[[], Answer]], deadline_s: float | None, answer: int
) -> None:
    left = iter(attempts)

    async def part() -> None:
        waiting = Waiting()
        waiting.hold(1, lambda: next(left)(), deadline_s)
        await waiting.until_released()
        assert waiting.answers == [(1, answer)]

    asyncio.run(part())
    assert list(left) == []


def test_nothing_is_tried_for_a_caller_that_is_gone() -> None:
    async def part() -> None:
        waiting = Waiting()
        waiting.calls.wait = False
        waiting.hold(1, lambda: pytest.fail("tried"))
        await waiting.until_released()
        assert waiting.answers == []

    asyncio.run(part())


def test_the_end_abandons_those_that_wait() -> None:
    async def part() -> None:
        waiting = Waiting()
        waiting.hold(1, full)
        waiting.hold(2, full)
        waiting.connects.close()
        assert waiting.released == [1, 2]
        await asyncio.sleep(held_connects.RETRY_S[0] * 2)
        assert waiting.released == [1, 2]
        assert waiting.answers == []

    asyncio.run(part())


def test_so_many_wait_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_connects, "HELD_MAX", 2)

    async def part() -> None:
        waiting = Waiting()
        are_full = []
        for number in (1, 2):
            waiting.hold(number, full)
            are_full.append(waiting.connects.is_full)
        waiting.connects.close()
        assert [*are_full, waiting.connects.is_full] == [False, True, False]

    asyncio.run(part())


@pytest.mark.parametrize(
    ("tries", "waiting", "took_s", "expected_s"),
    [
        pytest.param(0, 1, 0.0001, 0.001, id="the first"),
        pytest.param(9, 1, 0.0001, 0.05, id="a later one"),
        pytest.param(9, 256, 0.00001, 0.05, id="many that take no time"),
        pytest.param(9, 256, 0.01, 10.24, id="many for which many sockets listen"),
        pytest.param(0, 1, 0.01, 0.04, id="one that takes long"),
    ],
)
def test_attempts_leave_most_of_the_loop_to_others(
    tries: int, waiting: int, took_s: float, expected_s: float
) -> None:
    assert held_connects.pause_s(tries, waiting, took_s) == pytest.approx(expected_s)


def test_no_pause_outlasts_the_patience_of_a_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def for_ever(_tries: int, waiting: int, _took_s: float) -> float:
        asked.append(waiting)
        return 1e6

    monkeypatch.setattr(held_connects, "pause_s", for_ever)

    async def part() -> None:
        waiting = Waiting()
        waiting.hold(1, full, asyncio.get_running_loop().time() + 0.1)
        await waiting.until_released()
        assert waiting.answers == [(1, errno.ETIMEDOUT)]

    asyncio.run(part())
    assert set(asked) == {1}
