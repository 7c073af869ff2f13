"""Run the server's TLS handshake on a connection whose ClientHello has been read."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Coroutine
from typing import Any, cast

from nono.named_tuple import NamedTuple
from nono.proxy.transport.deadline import FLUSH_S
from nono.proxy.transport.handover import Handover
from nono.proxy.transport.tls_reads import TlsReads


class Opening(Handover):
    """Holds a connection inside TLS until the client has said its first word."""

    def __init__(self) -> None:
        super().__init__()
        self._heard: Callable[[], None] | None = None

    @property
    def was_silent(self) -> bool:
        """True if the client has ended the connection without a word inside TLS."""
        return not self._early and (self._ended or self._lost)

    @property
    def has_heard(self) -> bool:
        """True if the client has said something inside TLS."""
        return bool(self._early)

    def wait(self, heard: Callable[[], None]) -> None:
        """Call `heard` once the client has said or ended something, which it may have already."""
        self._heard = heard
        if self._early or self._ended or self._lost:
            self._tell()

    def stop_waiting(self) -> None:
        self._heard = None

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._tell()

    def eof_received(self) -> bool:
        goes_on = super().eof_received()
        self._tell()
        return goes_on

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._tell()

    def _tell(self) -> None:
        heard, self._heard = self._heard, None
        if heard is not None:
            heard()


class Secured(NamedTuple):
    """A connection inside TLS. Call hand_over(), or opening.wait(), before the loop runs anything else."""

    transport: asyncio.Transport
    opening: Opening

    def hand_over(self, successor: asyncio.Protocol) -> None:
        """Make `successor` the connection's protocol. Raises ConnectionResetError if it was lost."""
        self.opening.replace_with(successor, self.transport)


Ended = Callable[[Secured | Exception], None]


def begin(
    transport: asyncio.Transport,
    context: ssl.SSLContext,
    reads: TlsReads,
    early: bytes,
    timeout_s: float,
    ended: Ended,
) -> None:
    """Start the handshake; `early` is what was read of it. Calls `ended` once, in a later turn of the loop.

    reads: Shares the loop with connections whose reads take long. After an OSError, such as ssl.SSLError, the
    connection is closed. Without a task: one takes longer to create and to switch to than all of this.
    """
    opening = Opening()
    handshake = asyncio.get_running_loop().start_tls(
        transport,
        opening,
        context,
        server_side=True,
        ssl_handshake_timeout=timeout_s,
        ssl_shutdown_timeout=FLUSH_S,
    )
    waiter: asyncio.Future[None] = handshake.send(None)  # all that it waits for
    _feed(transport, early)
    reads.share(transport)
    waiter.add_done_callback(lambda _: _resume(handshake, transport, reads, opening, ended))


def _resume(
    handshake: Coroutine[Any, Any, asyncio.Transport | None],
    transport: asyncio.Transport,
    reads: TlsReads,
    opening: Opening,
    ended: Ended,
) -> None:
    try:
        handshake.send(None)
    except StopIteration as result:
        secured = result.value
        if secured is None or secured.get_extra_info("ssl_object") is None:
            # It was aborted meanwhile. asyncio returns no transport then, and uvloop one that is dead.
            ended(ConnectionAbortedError("the connection was ended"))
            return
        if not opening.has_heard:
            _acknowledge(transport)
        reads.secured(transport, secured)
        ended(Secured(secured, opening))
    except (OSError, ValueError) as failure:  # ssl.SSLError is an OSError
        transport.abort()
        ended(failure)


def _acknowledge(transport: asyncio.Transport) -> None:
    """Acknowledge what has been read at once (tcp(7), TCP_QUICKACK).

    Without session tickets a server of TLS 1.3 answers the client's Finished with nothing. A client that
    leaves Nagle's algorithm on (RFC 9293 section 3.7.4), as wget does, holds its request back until that is
    acknowledged, which Linux puts off for 40 ms.
    """
    connected = transport.get_extra_info("socket")
    with contextlib.suppress(OSError):  # it has been closed
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def _feed(transport: asyncio.Transport, early: bytes) -> None:
    """Feed the ClientHello to the TLS protocol that start_tls has installed on `transport`.

    start_tls does not accept bytes that were already read; its protocol is a BufferedProtocol.
    """
    tls = cast(asyncio.BufferedProtocol, transport.get_protocol())
    while early and not transport.is_closing():
        room = memoryview(tls.get_buffer(len(early)))
        taken = min(len(room), len(early))
        room[:taken] = early[:taken]
        tls.buffer_updated(taken)
        early = early[taken:]
