"""Feed a peer's bytes to an HTTP/2 session, a share in each turn of the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter

from nono.proxy.transport.turns import Turns


class Intake:
    """The bytes that arrived but were not parsed. Reading is paused while there are any.

    Parsing a read of tiny frames takes a hundred times as long as one of large frames.

    turns: Shares the loop with the bytes of other peers and with bodies that take long.
    take: Parses a piece.
    size: Returns the length of the next piece.
    """

    def __init__(self, turns: Turns, take: Callable[[bytes], None], size: Callable[[], int]) -> None:
        self._turns = turns
        self._take = take
        self._size = size
        self._rest = b""
        self._at = 0  # position in the rest
        self._transport: asyncio.Transport | None = None
        self._on_empty: Callable[[], None] | None = None

    def start(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def stop(self) -> None:
        """Drop the rest."""
        self._rest, self._at = b"", 0
        self._transport = None

    def feed(self, data: bytes) -> None:
        if self._rest:
            self._rest, self._at = self._rest[self._at :] + data, 0  # data read before the pause took effect
        else:
            self._rest = data
            if self._turns.start(self._work):
                self._pause(True)
                self._turns.add(self._work)

    def when_empty(self, call: Callable[[], None]) -> None:
        """Call once everything is parsed, at once if it is."""
        if self._rest:
            self._on_empty = call
        else:
            call()

    def _work(self, until: float) -> bool:
        while self._at < len(self._rest):
            piece = self._rest[self._at : self._at + self._size()]
            self._at += len(piece)
            try:
                self._take(piece)
            except Exception:  # in a later turn nothing else would end the connection
                self._give_up()
                raise
            if perf_counter() >= until:
                break
        if self._at < len(self._rest):
            return True
        self._rest, self._at = b"", 0
        self._pause(False)
        self._tell_empty()
        return False

    def _give_up(self) -> None:
        self._rest, self._at = b"", 0
        if self._transport is not None:
            self._transport.abort()
        self._tell_empty()  # a connection that is lost already has no other end to wait for

    def _tell_empty(self) -> None:
        call, self._on_empty = self._on_empty, None
        if call is not None:
            call()

    def _pause(self, paused: bool) -> None:
        transport = self._transport
        if transport is None or transport.is_closing() or paused != transport.is_reading():
            return
        if paused:
            transport.pause_reading()
        else:
            transport.resume_reading()
