"""A client's connection of HTTP/1.1, as those who answer its requests see it."""

from __future__ import annotations

import asyncio
from typing import Protocol

from nono.proxy.http.refusal import Refusal
from nono.proxy.verdict.verdict import ConnectTarget, Entry

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"  # to a CONNECT, once it has been handed over


class ClientSide(Protocol):
    """The connection that the active request came on, whatever it runs over."""

    def send(self, piece: bytes) -> None:
        """Queue bytes of the response; they leave with flush."""
        ...

    def flush(self) -> None: ...

    def refuse(self, entry: Entry, answer: Refusal) -> None:
        """Record and answer; ends the exchange. Only before the first byte of a response."""
        ...

    def exchange_over(self, *, closes: bool) -> None: ...

    def update_reading(self) -> None: ...

    def abort(self) -> None: ...

    @property
    def winding_down(self) -> bool: ...


class Hijackable(ClientSide, Protocol):
    """One that can be given away: to a tunnel, to a WebSocket, to TLS that ends here."""

    def hand_over(self, successor: asyncio.Protocol) -> tuple[asyncio.Transport, bytes]:
        """The transport, and the bytes that followed the head; successor replaces this connection."""
        ...

    def inside(self, where: ConnectTarget) -> asyncio.Protocol:
        """A connection for the requests of that CONNECT."""
        ...
