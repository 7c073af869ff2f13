"""Implement a time limit that is moved by almost every read and almost never reached."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

# How long a TLS peer may take to read the last bytes and answer close_notify; then uvloop drops the rest.
FLUSH_S = 30.0
GOODBYE_S = 1.0  # how long a client that has read everything may take to end its TLS


class Deadline:
    """Calls `expired` once the time last set has passed. Call cancel() last, before dropping it.

    Moving it costs one clock read: the timer stays armed and re-arms itself if it fires too early.
    """

    __slots__ = ("_at", "_expired", "_loop", "_timer")

    def __init__(self, expired: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._expired = expired
        self._at: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def set(self, seconds: float) -> None:
        self._at = self._loop.time() + seconds
        if self._timer is None or self._timer.when() > self._at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(self._at, self._tick)

    def lift(self) -> None:
        """Remove the limit until the next set()."""
        self._at = None

    def cancel(self) -> None:
        self._at = None
        self._expired = _nothing  # usually its owner's method, so a reference cycle
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        self._timer = None
        if self._at is None:
            return
        if self._loop.time() < self._at:
            self._timer = self._loop.call_at(self._at, self._tick)
        else:
            self._at = None
            self._expired()


def _nothing() -> None:
    """Do nothing: nothing waits."""
