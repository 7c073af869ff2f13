"""Hold a new connection until its final protocol takes over."""

from __future__ import annotations

import asyncio
from typing import cast

from nono.proxy.transport.replaceable import Replaceable


class Handover(Replaceable):
    """Buffers data that arrives before the successor is set.

    If opening a connection is cancelled, the loop may still call the protocol's connection_made in the same
    turn, and then never its connection_lost. Nothing depends on this protocol, so that does no harm.
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
        super().connection_lost(exc)

    def replace_with(self, successor: asyncio.Protocol, transport: asyncio.Transport) -> None:
        """Hand the connection and the buffered data to `successor`. Raises ConnectionResetError if lost."""
        if self._lost:
            raise ConnectionResetError("the connection was closed at once")
        transport.set_protocol(successor)
        successor.connection_made(transport)
        # It may have put another in its place, as ALPN's choice does; then nobody keeps it.
        self.pass_on_to(cast(asyncio.Protocol, transport.get_protocol()))
        if self._early:
            successor.data_received(bytes(self._early))
        if self._ended and not successor.eof_received():
            transport.close()
