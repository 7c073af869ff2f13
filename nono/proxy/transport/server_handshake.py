"""Run the server's TLS handshake on a connection whose ClientHello has been read."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from typing import Any, cast

from nono.named_tuple import NamedTuple
from nono.proxy.transport.deadline import FLUSH_S
from nono.proxy.transport.handover import Handover
from nono.proxy.transport.tls_reads import TlsReads


class Secured(NamedTuple):
    """A connection inside TLS. Call hand_over() before the loop runs anything else."""

    transport: asyncio.Transport
    opening: Handover

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
    opening = Handover()
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
    opening: Handover,
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
        reads.secured(transport, secured)
        ended(Secured(secured, opening))
    except (OSError, ValueError) as failure:  # ssl.SSLError is an OSError
        transport.abort()
        ended(failure)


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
