"""Define the interfaces of a client's HTTP/1.1 connection, for the code that answers its requests."""

from __future__ import annotations

import asyncio
from typing import Protocol

from nono.proxy.http.refusal import Refusal
from nono.proxy.verdict.verdict import ConnectTarget, Entry

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


class ClientSide(Protocol):
    """The connection of the active request, over TCP or TLS."""

    def send(self, piece: bytes) -> None:
        """Queue bytes of the response; flush sends them."""
        ...

    def flush(self) -> None: ...

    def refuse(self, entry: Entry, answer: Refusal) -> None:
        """Record, answer and end the exchange. Call only before the first byte of a response."""
        ...

    def exchange_over(self, *, closes: bool) -> None: ...

    def update_reading(self) -> None: ...

    def abort(self) -> None: ...

    @property
    def winding_down(self) -> bool: ...


class Hijackable(ClientSide, Protocol):
    """A connection that can be handed over to a tunnel, a WebSocket or TLS interception."""

    @property
    def established(self) -> bytes:
        """What says that a CONNECT succeeded, to be sent after hand_over; empty if the client sent none."""
        ...

    def hand_over(self, successor: asyncio.Protocol) -> tuple[asyncio.Transport, bytes]:
        """Replace this connection with `successor`; return the transport and the bytes after the head."""
        ...

    def connection_inside(self, where: ConnectTarget) -> asyncio.Protocol:
        """Return a connection for the requests inside that CONNECT."""
        ...
