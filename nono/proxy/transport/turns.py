"""Share the event loop among bodies that take long to search or count, and reads that take long to parse."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from time import perf_counter

BUDGET_S = 0.003  # for all of them together, in each turn of the loop
SHARE_S = 0.001  # for one, before the others get theirs

Work = Callable[[float], bool]  # works until that perf_counter(); returns True if more is left


class Turns:
    """Queues bodies and reads with work left. Each gets a share in turn; other callbacks run in between."""

    def __init__(self, before: Callable[[], object] = lambda: None) -> None:
        """before: Called before work that takes long; sends what would have to wait for it."""
        self._before = before
        self._waiting: deque[Work] = deque()
        self._until: float | None = None  # the end of this turn's budget; None before its first work

    def start(self, work: Work) -> bool:
        """Work now if nobody waits and this turn has time left. Returns True if `work` must be added."""
        now, until = self._budget()
        if self._waiting or now >= until:
            return True
        self._before()
        return work(min(now + SHARE_S, until))

    def is_spent(self) -> bool:
        """Return True if even short work should wait: libuv reads up to 32 times in one turn."""
        now, until = self._budget()
        return now >= until

    def _budget(self) -> tuple[float, float]:
        """Return the time and the end of this turn's budget, which begins with the first work of a turn."""
        now = perf_counter()
        if self._until is None:
            self._until = now + BUDGET_S
            asyncio.get_running_loop().call_soon(self._turn)
        return now, self._until

    def add(self, work: Work) -> None:
        """Call `work` in later turns until it returns False; call start() first."""
        self._waiting.append(work)

    def _turn(self) -> None:
        self._until = None
        if not self._waiting:
            return
        asyncio.get_running_loop().call_soon(self._turn)  # first: a fault of _before() must not end the turns
        self._before()
        now = perf_counter()
        self._until = until = now + BUDGET_S
        while self._waiting and now < until:
            work = self._waiting.popleft()
            if work(min(now + SHARE_S, until)):
                self._waiting.append(work)
            now = perf_counter()
