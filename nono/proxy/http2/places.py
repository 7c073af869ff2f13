"""Bound the upstream connections of HTTP/2 clients' streams, for one client and for all."""

from __future__ import annotations

from collections.abc import Callable

import anyio

MAX_OF_CLIENT = 32


class Place:
    """Room for one connection; returned once."""

    def __init__(self, *limits: anyio.Semaphore) -> None:
        self._limits = limits

    def give_back(self) -> None:
        limits, self._limits = self._limits, ()
        for limit in limits:
            limit.release()


class Places:
    """The places of one client. in_all: The limit shared by all clients."""

    def __init__(self, in_all: anyio.Semaphore) -> None:
        self._ours = anyio.Semaphore(MAX_OF_CLIENT)
        self._in_all = in_all

    @property
    def are_awaited(self) -> bool:
        """True if a stream of this client or of another waits for a place."""
        return any(limit.statistics().tasks_waiting for limit in (self._ours, self._in_all))

    def take(self) -> Place | None:
        """Take a place; None if none is free."""
        try:
            self._ours.acquire_nowait()
        except anyio.WouldBlock:
            return None
        try:
            self._in_all.acquire_nowait()
        except anyio.WouldBlock:
            self._ours.release()
            return None
        return Place(self._ours, self._in_all)

    async def wait(self, make_room: Callable[[], None]) -> Place:
        """Take a place, waiting in order of arrival. make_room: Called if none is free."""
        if (place := self.take()) is not None:
            return place
        make_room()
        await self._ours.acquire()
        try:
            await self._in_all.acquire()
        except BaseException:
            self._ours.release()
            raise
        return Place(self._ours, self._in_all)
