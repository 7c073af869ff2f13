"""Terminate the TLS of an intercepted CONNECT with a certificate for the requested host."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import cast

from nono.policy.hosts.hostname import HostError, canonical_host, ip_literal
from nono.proxy.exchange.client_side import Hijackable
from nono.proxy.exchange.context import ProxyContext
from nono.proxy.handshake import client_hello
from nono.proxy.handshake.client_hello import Hello, NeedMore, NotTls
from nono.proxy.http import refusal
from nono.proxy.http.refusal import Refusal
from nono.proxy.tls.leaf import CaError
from nono.proxy.transport import server_handshake
from nono.proxy.transport.deadline import Deadline
from nono.proxy.transport.server_handshake import Secured
from nono.proxy.verdict import audit_events
from nono.proxy.verdict.verdict import Intercept

# RFC 8446 section 6.2: fatal, unrecognized_name.
_UNRECOGNIZED_NAME = bytes((21, 3, 3, 0, 2, 2, 112))
# How soon a client leaves that looks at the certificate when the handshake is over: newer curl and GnuTLS do,
# and send no alert then. Others connect before they have a request, and wait for longer.
_LEAVES_AT_ONCE_S = 1.0
_DISTRUSTED = "the client must trust the file in SSL_CERT_FILE, and ask for this host by its name"


class Interception(asyncio.Protocol):
    """The client's protocol from an allowed CONNECT until it speaks HTTP inside TLS.

    A failed handshake ends the connection; it never falls back to a tunnel.
    """

    wants_pause = True  # the bytes after the head belong to the handshake

    def __init__(self, context: ProxyContext, client: Hijackable, verdict: Intercept) -> None:
        self._context = context
        self._client = client
        self._verdict = verdict
        self._transport: asyncio.Transport | None = None
        self._early = b""  # received before the handshake: a ClientHello, or less
        self._deadline = Deadline(lambda: self._deny("no ClientHello came in time"))
        self._is_decided = False
        self._secure: Secured | None = None  # the handshake is over, and the client has said nothing yet

    def start(self) -> None:
        """Record, answer 200 and wait for the ClientHello."""
        if not self._context.record(audit_events.allowed(self._verdict.entry)):
            self._client.refuse(self._verdict.entry, refusal.not_recorded())
            return
        transport, leftover = self._client.hand_over(self)
        transport.write(self._client.established)
        self._deadline.set(self._context.head_timeout_s)
        transport.resume_reading()
        if leftover:
            self.data_received(leftover)

    # -- the ClientHello

    def data_received(self, data: bytes) -> None:
        # Parsed before ssl sees it: ssl prints a traceback to the terminal for a server name it cannot
        # decode, and reports a wrong name only as a failed callback.
        if self._is_decided:
            return
        self._early += data
        match client_hello.parse(self._early):
            case NeedMore():
                return
            case NotTls(reason):
                self._deny(reason)
            case Hello(server_name=None) if ip_literal(self._verdict.inside.host) is None:
                self._deny("the ClientHello names no server")
            case Hello(server_name=str(name)) if not self._is_host(name):
                self._deny(f"the ClientHello names {refusal.one_line(name)}")
            case Hello() as hello:
                self._begin(hello)

    def _is_host(self, name: str) -> bool:
        host = self._verdict.inside.host
        try:
            return name == host or canonical_host(name) == host
        except HostError:
            return False

    def _begin(self, hello: Hello) -> None:
        transport, early, where = self._transport, self._early, self._verdict.inside
        assert transport is not None
        self._is_decided = True
        self._early = b""
        self._deadline.cancel()
        try:
            context = self._context.server_context(where.host, hello.has_x25519)
        except (OSError, ValueError) as failure:
            transport.abort()
            self._secured(failure)
            return
        reads, timeout_s = self._context.tls_reads, self._context.head_timeout_s
        server_handshake.begin(transport, context, reads, early, timeout_s, self._secured)

    def _deny(self, reason: str) -> None:
        if self._is_decided or self._transport is None:
            return
        self._is_decided = True
        self._failed(reason)
        if self._early:
            self._early = b""
            self._transport.write(_UNRECOGNIZED_NAME)
        self._transport.close()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        # Called only before the handshake begins; after that, the transport's protocol is ssl's.
        self._context.connections.discard(self)
        self._deadline.cancel()
        if not self._is_decided:
            self._is_decided = True
            self._failed("the client went away")
        self._transport = None

    # -- the handshake

    def _secured(self, result: Secured | Exception) -> None:
        if isinstance(result, Secured):
            self._transport, self._secure = result.transport, result
            self._deadline = Deadline(self._hand_over)
            self._deadline.set(_LEAVES_AT_ONCE_S)
            result.opening.wait(self._heard)
            return
        self._context.connections.discard(self)
        self._transport = None
        if isinstance(result, CaError):
            self._failed(str(result), result.hint)
        else:
            self._failed(getattr(result, "reason", None) or type(result).__name__)

    def _heard(self) -> None:
        if self._secure is not None and self._secure.opening.was_silent:
            self._failed("the client left as soon as it was over")
        self._hand_over()

    def _hand_over(self) -> None:
        secure, self._secure = self._secure, None
        self._context.connections.discard(self)
        self._deadline.cancel()
        self._transport = None
        if secure is not None:
            secure.opening.stop_waiting()
            with suppress(ConnectionResetError):
                secure.hand_over(self._successor(secure.transport))

    def _successor(self, secured: asyncio.Transport) -> asyncio.Protocol:
        """Return the protocol for the rest of the connection, as chosen by ALPN (RFC 7301)."""
        if secured.get_extra_info("ssl_object").selected_alpn_protocol() == "h2":
            # Imported with the first h2 client, because most runs have none.
            from nono.proxy.http2.connection import Http2Connection

            return Http2Connection(self._context, self._verdict.inside)
        return self._client.connection_inside(self._verdict.inside)

    def _failed(self, reason: str, hint: str | None = _DISTRUSTED) -> None:
        host = self._verdict.inside.host
        answer = Refusal(
            502,
            f"the TLS handshake of the client failed: {reason}",
            host,
            hint=hint,
            category="intercept_handshake_failed",
        )
        self._context.record(audit_events.denied(self._verdict.entry, answer))

    # -- the client, until the handshake has its transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._context.connections.add(self)

    def abort(self) -> None:
        transport = self._transport
        if self._secure is not None:
            self._hand_over()  # the client did not leave: what its successor loses is no handshake
        if transport is not None:
            transport.abort()

    def request_progress(self) -> None:
        """A CONNECT has no body."""

    def client_paused(self, paused: bool) -> None:
        """Nothing is sent to the client yet."""

    def client_malformed(self, answer: Refusal) -> None:
        """A CONNECT has no body that could be malformed."""

    def client_lost(self) -> None:
        """Do nothing: the handshake notices."""
