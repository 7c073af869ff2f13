"""The protocol of a connection until it is known who gets it, and whether anybody still wants it."""

from __future__ import annotations

import asyncio
from typing import cast


class Handover(asyncio.Protocol):
    """Keeps what arrives before the successor is there.

    A protocol that is given to the loop when a connection is opened may be told of it although the opening
    is cancelled in the same turn, and then never be told of its end. Nobody depends on this one.
    """

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._early = bytearray()
        self._ended = False
        self._lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._early += data

    def eof_received(self) -> bool:
        self._ended = True
        # Over TLS both directions end together.
        return self._transport is not None and self._transport.can_write_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True

    def replace_with(self, successor: asyncio.Protocol, transport: asyncio.Transport) -> None:
        """Let successor have the connection, and what has arrived on it. ConnectionResetError: it is gone."""
        if self._lost:
            raise ConnectionResetError("the connection was closed at once")
        transport.set_protocol(successor)
        successor.connection_made(transport)
        if self._early:
            successor.data_received(bytes(self._early))
        if self._ended and not successor.eof_received():
            transport.close()
