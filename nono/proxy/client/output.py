"""Write responses to a client, and close its connection so that they arrive."""

from __future__ import annotations

import asyncio

from nono.proxy.transport.deadline import GOODBYE_S
from nono.proxy.transport.outbox import HELD_BYTES, Outbox

_LINGER_S = 2.0  # how long a client may keep sending data that nobody reads
_CLOSE_S = 30.0  # how long a client may take to read the end of its response


class Output:
    """The sending half of a client's connection. Writes nothing once the transport is closing or let go."""

    __slots__ = ("_held", "_outbox", "_queued", "_transport")

    def __init__(self, transport: asyncio.Transport, outbox: Outbox) -> None:
        self._transport: asyncio.Transport | None = transport
        self._outbox = outbox
        self._queued: list[bytes] = []
        self._held = b""  # flushed, and held until the end of the turn

    def send(self, piece: bytes) -> None:
        """Queue bytes of a response; flush sends them."""
        self._queued.append(piece)

    def flush(self) -> None:
        queued, self._queued = self._queued, []
        if not queued or self._transport is None or self._transport.is_closing():
            return
        piece = queued[0] if len(queued) == 1 else b"".join(queued)
        if self._held:
            self._held += piece
            if len(self._held) > HELD_BYTES:
                self.send_held()
        elif len(piece) > HELD_BYTES or not self._outbox.holds(self):
            self._transport.write(piece)
        else:
            self._held = piece

    def send_held(self) -> None:
        held, self._held = self._held, b""
        if held and self._transport is not None and not self._transport.is_closing():
            self._transport.write(held)

    def close(self, *, all_read: bool) -> float:
        """Close after a last response, without an RST that could overtake it.

        all_read: The client has sent nothing that was not read. Returns the seconds it may take.
        """
        transport = self._transport
        assert transport is not None  # not let go
        self.send_held()
        if all_read or not transport.can_write_eof():
            transport.close()
            return _CLOSE_S
        # Closing with unread bytes makes the kernel send RST, which discards the response at the client.
        transport.write_eof()
        return _LINGER_S

    def leave(self) -> float:
        """Close between two requests. Returns the seconds the client may take."""
        transport = self._transport
        assert transport is not None  # not let go
        self.send_held()
        transport.close()
        return _CLOSE_S if transport.get_write_buffer_size() else GOODBYE_S

    def let_go(self) -> None:
        """Drop the transport, which is lost or somebody else's."""
        self._transport = None
        self._held = b""
