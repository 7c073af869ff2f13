"""nono.proxy.conversation.watch: what it holds in memory is given back, whatever becomes of the exchange."""

from __future__ import annotations

import asyncio

import pytest

from nono.proxy.conversation.asked import WANTED
from nono.proxy.conversation.outline import Outline, OutlineReader
from nono.proxy.conversation.watch import TurnWatch
from nono.proxy.http.content_coding import decoder
from nono.proxy.transport.turns import Turns

BODY = b'{"model":"m","messages":[' + b"[]," * 400_000 + b"[]]}"  # more than is read at once


class Budget:
    def __init__(self) -> None:
        self.held = 0

    def take(self, count: int) -> bool:
        self.held += count
        return True

    def give_back(self, count: int) -> None:
        self.held -= count


async def _watched(is_whole: bool) -> tuple[int, list[bool]]:
    """Stop a watch whose body waits. Returns the bytes held, and for each judgement whether it was read."""
    budget, judged, is_judged = Budget(), list[bool](), asyncio.Event()

    def judge(watch: TurnWatch, outline: Outline | None, reason: str) -> bool:
        judged.append(outline is not None)
        is_judged.set()
        return True

    watch = TurnWatch(OutlineReader(WANTED), decoder(b""), Turns(), budget, judge, may_hold=False)
    for part in range(4):
        watch.holds(BODY if part == 0 else b" ", is_last=is_whole and part == 3, then=watch.stop)
    assert budget.held > 0
    watch.stop()
    async with asyncio.timeout(60):
        if is_whole:
            await is_judged.wait()
    return budget.held, judged


@pytest.mark.parametrize(
    ("is_whole", "judged"), [pytest.param(True, [True], id="whole"), pytest.param(False, [], id="cut")]
)
def test_a_body_is_read_after_its_exchange_only_if_it_was_sent_whole(
    is_whole: bool, judged: list[bool]
) -> None:
    assert asyncio.run(_watched(is_whole)) == (0, judged)
