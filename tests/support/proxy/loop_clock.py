"""Measure the turns of an event loop in CPU time, so that other programs of the machine do not count."""

from __future__ import annotations

import asyncio
import gc
import time


class LoopClock:
    """Runs once in each turn of the running loop, which therefore does not sleep meanwhile.

    A turn is everything between two polls, and so is never shorter than its longest callback.
    """

    def __init__(self) -> None:
        self.worst_s = 0.0
        self._runs = False
        self._last = 0.0

    def start(self) -> None:
        gc.freeze()  # a full collection of pytest's own objects would count; they stay frozen
        self._runs = True
        self._last = time.thread_time()
        asyncio.get_running_loop().call_soon(self._lap)

    def stop(self) -> None:
        self._runs = False
        self._lap()

    def _lap(self) -> None:
        now = time.thread_time()
        self.worst_s = max(self.worst_s, now - self._last)
        self._last = now
        if self._runs:
            asyncio.get_running_loop().call_soon(self._lap)
