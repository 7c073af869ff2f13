"""A caller that does not get to run keeps nobody from its answer but itself."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Callable, Coroutine

import pytest

from nono.kernel import notify
from nono.kernel.notify import Notification
from nono.supervisor.calls import handover
from nono.supervisor.calls.handover import Handover, HandoverThread
from nono.supervisor.calls.watchdog import BlockingCallWatchdog

TIMEOUT_S = 10
KEPT, RUNS, FULL, GONE = 1, 2, 3, 4  # callers, by the numbers of their calls


def _call(number: int) -> Notification:
    return Notification(number, os.getpid(), 0, 0, 0, (0, 0, 0, 0, 0, 0))


class Stage:
    """Callers of which one does not get to run until the test lets it; waiting is interrupted on the loop."""

    def __init__(self) -> None:
        self.runs = threading.Event()
        self.fault: OSError | None = None  # of the one that is kept, once it runs
        self.given: list[int] = []
        self.answers: dict[int, int] = {}
        self.has_changed = asyncio.Event()
        self.is_waited_for = asyncio.Event()  # the one that is kept

    def respond(
        self, listener: int, number: int, descriptor: int, *, close_on_exec: bool, interruptions_max: int = 8
    ) -> None:
        os.fstat(listener), os.fstat(descriptor)  # neither is closed meanwhile
        if number == FULL:
            raise OSError(errno.EMFILE, "too many")
        if number == GONE:
            raise FileNotFoundError
        if number == KEPT:
            if interruptions_max == 1:
                raise InterruptedError
            self.loop.call_soon_threadsafe(self.is_waited_for.set)
            assert self.runs.wait(TIMEOUT_S)
            if self.fault is not None:
                raise self.fault
        self.given.append(number)
        self.loop.call_soon_threadsafe(self.has_changed.set)

    def answer(self, call: Notification, errno_value: int) -> None:
        self.answers[call.id] = errno_value
        self.has_changed.set()

    async def change(self) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            await self.has_changed.wait()
        self.has_changed.clear()

    def play(self, part: Callable[[Handover, int], Coroutine[None, None, None]]) -> None:
        self._play(part, lambda listener: Handover(listener, BlockingCallWatchdog(), self.answer))

    def play_thread(self, part: Callable[[HandoverThread, int], Coroutine[None, None, None]]) -> None:
        self._play(part, HandoverThread)

    def _play[T: Handover | HandoverThread](
        self, part: Callable[[T, int], Coroutine[None, None, None]], made: Callable[[int], T]
    ) -> None:
        async def played() -> None:
            self.loop = asyncio.get_running_loop()
            listener, descriptor = os.pipe()
            over = made(listener)
            try:
                await part(over, descriptor)
            finally:
                self.runs.set()
                over.close()
                os.close(listener)
                os.close(descriptor)

        asyncio.run(played())


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    stage = Stage()
    monkeypatch.setattr(notify, "respond_with_descriptor", stage.respond)
    monkeypatch.setattr(BlockingCallWatchdog, "arm", lambda _: None)
    return stage


@pytest.mark.parametrize(("fault", "answers"), [(None, {}), (errno.EMFILE, {KEPT: errno.EMFILE})])
def test_others_are_answered_while_one_does_not_run(
    fault: int | None, answers: dict[int, int], stage: Stage
) -> None:
    stage.fault = None if fault is None else OSError(fault, "")

    async def part(over: Handover, descriptor: int) -> None:
        over.give(_call(KEPT), descriptor, close_on_exec=True)
        over.give(_call(RUNS), descriptor, close_on_exec=True)
        over.give(_call(GONE), descriptor, close_on_exec=True)
        await stage.change()
        assert (stage.given, stage.answers) == ([RUNS], {})
        stage.runs.set()
        await stage.change()

    stage.play(part)
    assert stage.given == ([RUNS, KEPT] if fault is None else [RUNS])
    assert stage.answers == answers


def test_a_caller_that_can_have_none_is_an_error(stage: Stage) -> None:
    async def part(over: Handover, descriptor: int) -> None:
        with pytest.raises(OSError, match="too many"):
            over.give(_call(FULL), descriptor, close_on_exec=False)

    stage.play(part)


def test_no_more_callers_are_waited_for_than_there_are_places(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handover, "WAITING_MAX", 1)

    async def part(over: Handover, descriptor: int) -> None:
        over.give(_call(KEPT), descriptor, close_on_exec=True)
        over.give(_call(KEPT), descriptor, close_on_exec=True)
        assert stage.answers == {KEPT: errno.EINTR}
        stage.runs.set()
        await stage.change()

    stage.play(part)


def test_a_place_is_free_again_once_its_caller_has_been_served(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handover, "WAITING_MAX", 1)

    async def part(over: HandoverThread, descriptor: int) -> None:
        for _ in range(3):
            assert await over.give(_call(RUNS), descriptor, close_on_exec=True) is None
            await asyncio.sleep(
                0
            )  # where the thread was faster than the loop, which frees it with its next turn

    stage.play_thread(part)
    assert stage.given == [RUNS] * 3


def test_who_still_stands_in_the_queue_at_the_end_is_given_nothing(stage: Stage) -> None:
    async def part(over: HandoverThread, descriptor: int) -> None:
        kept = over.give(_call(KEPT), descriptor, close_on_exec=True)
        queued = over.give(_call(RUNS), descriptor, close_on_exec=True)
        async with asyncio.timeout(TIMEOUT_S):
            await stage.is_waited_for.wait()
            over.close()
            stage.runs.set()
            assert await kept is None
            with pytest.raises(asyncio.CancelledError):
                await queued

    stage.play_thread(part)
    assert stage.given == [KEPT]
