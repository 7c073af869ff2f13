"""Serve a connection that the command made to a host itself, as if it had asked for that host by CONNECT.

The supervisor led it here. The client knows of no proxy: nothing is said to it but what the host says, and a
refusal is the end of the connection.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import cast

from nono.proxy.client.jobs import Job, job_for
from nono.proxy.client.tunnel import TunnelOpening
from nono.proxy.exchange.context import ProxyContext
from nono.proxy.http.message import NO_BODY, RequestHead
from nono.proxy.http.refusal import Refusal
from nono.proxy.http.request_reader import Incoming
from nono.proxy.http.upstream_proxy import authority
from nono.proxy.transport import polled
from nono.proxy.verdict.verdict import ConnectTarget, Entry, Refused, Verdict

# struct linger (socket(7)): reset. A client that has not spoken yet would otherwise see an orderly end.
_RESET = struct.pack("@ii", 1, 0)


class TransparentConnection(asyncio.Protocol):
    """One such connection, until a tunnel or the end of its TLS takes it over, or it is refused."""

    established = b""
    winding_down = False

    def __init__(
        self,
        context: ProxyContext,
        destination: tuple[str, int],
        connection_inside: Callable[[ConnectTarget], asyncio.Protocol],
    ) -> None:
        """destination: The host and port that the command meant. connection_inside: As in Hijackable."""
        self._context = context
        self._destination = destination
        self._request = Incoming(_connect_to(*destination), complete=True)
        self._inside = connection_inside
        self._transport: asyncio.Transport | None = None
        self._early = b""  # what the client has sent, for whoever takes the connection over
        self._active: Job | None = None

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._context.connections.add(self)

    def begin(self, refused: Refusal | None) -> None:
        """Have the destination judged. The command itself connected, so it needs no token.

        refused: Why there is no place for the connection, if there is none.
        """
        if refused is not None:
            host, port = self._destination
            self.refuse(Entry("connect", host, port, "CONNECT"), refused)
            return
        self.carry_out(self._context.judge_known(self._request.head, None))

    def data_received(self, data: bytes) -> None:
        self._early += data
        if self._transport is not None:  # only now: uvloop begins to read once connection_made has returned
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._context.connections.discard(self)
        self._transport = None
        job, self._active = self._active, None
        if job is not None:
            job.client_lost()

    # -- the client of a job

    def carry_out(self, verdict: Verdict) -> None:
        """Do what was decided, or end the connection."""
        job = job_for(self._context, self, self._request, verdict)
        if isinstance(job, Refused):
            self.refuse(job.entry, job.refusal)
            return
        self._active = job
        job.start()

    def refuse(self, entry: Entry, answer: Refusal) -> None:
        self._active = None
        self._context.refused(entry, answer)
        self.abort()

    def hand_over(self, successor: asyncio.Protocol) -> tuple[asyncio.Transport, bytes]:
        transport = self._transport
        assert transport is not None  # nobody takes over what is lost
        successor.connection_made(transport)
        self._context.connections.discard(self)
        self._transport = self._active = None
        transport.set_protocol(successor)
        return transport, self._early

    def connection_inside(self, where: ConnectTarget) -> asyncio.Protocol:
        return self._inside(where)

    def cut_if_refused(self) -> bool:
        """Judge by the current rules. Returns True if the connection was cut."""
        job = self._active
        refused = isinstance(job, TunnelOpening) and job.note_if_refused()
        if refused:
            self.abort()
        return refused

    @property
    def is_gone(self) -> bool:
        return self._transport is None or polled.is_gone(self._transport)

    def abort(self) -> None:
        if self._transport is not None:
            connection = self._transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._transport.abort()

    # A CONNECT has no answer but `established`, so none of these has anything to do.

    def send(self, piece: bytes) -> None: ...
    def flush(self) -> None: ...
    def exchange_over(self, *, closes: bool) -> None: ...
    def update_reading(self) -> None: ...


def _connect_to(host: str, port: int) -> RequestHead:
    where = authority(host, port).encode("ascii")
    return RequestHead(
        b"CONNECT", where, b"1.1", ((b"Host", where),), NO_BODY,
        keep_alive=True, expects_continue=False, wants_upgrade=False,
    )  # fmt: skip
