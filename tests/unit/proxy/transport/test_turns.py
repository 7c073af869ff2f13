"""Bodies that take long share the loop, and leave most of it to others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from nono.proxy.transport import turns as turns_module
from nono.proxy.transport.turns import BUDGET_S, Turns

STEPS = 400
STEP_S = 0.0002


def steps(done: list[str], name: str) -> Callable[[float], bool]:
    """Work of STEPS steps, each of which is noted."""
    left = [STEPS]

    def work(until: float) -> bool:
        while left[0]:
            left[0] -= 1
            done.append(name)
            end = time.perf_counter() + STEP_S
            while time.perf_counter() < end:
                pass
            if time.perf_counter() >= until:
                break
        return left[0] > 0

    return work


def turns_of(count: int) -> tuple[list[str], list[int]]:
    """Return the steps of `count` bodies in order, and how many were done at each turn of the loop."""
    done: list[str] = []
    laps: list[int] = []

    async def run() -> None:
        turns = Turns()
        for number in range(count):
            work = steps(done, str(number))
            if turns.start(work):
                turns.add(work)
        while len(done) < count * STEPS:
            laps.append(len(done))
            await asyncio.sleep(0)

    asyncio.run(run())
    return done, laps


def test_other_callbacks_run_between_the_shares_of_a_body() -> None:
    _, laps = turns_of(1)
    assert len(laps) >= STEPS * STEP_S / BUDGET_S / 2


def test_all_bodies_together_have_one_budget() -> None:
    _, laps = turns_of(16)
    assert len(laps) >= 16 * STEPS * STEP_S / BUDGET_S / 2


def test_a_body_does_not_wait_for_the_end_of_another() -> None:
    done, _ = turns_of(3)
    assert {*done[: STEPS // 2]} == {"0", "1", "2"}


def test_short_work_is_done_at_once() -> None:
    async def run() -> bool:
        return Turns().start(lambda until: False)

    assert asyncio.run(run()) is False


def test_no_work_overtakes_what_waits_or_what_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns_module, "BUDGET_S", 60.0)

    async def run() -> list[str]:
        done, left = list[str](), [True, False]
        turns = Turns(lambda: done.append("send what is held"))

        def first(_: float) -> bool:
            done.append("first")
            return left.pop(0)

        def second(_: float) -> bool:
            done.append("second")
            return False

        for work in (first, second):
            assert turns.start(work)
            turns.add(work)
        for _ in range(3):
            await asyncio.sleep(0)
        return done

    assert asyncio.run(run()) == ["send what is held", "first"] * 2 + ["second"]
