"""One allowed request: its address is vetted, it is recorded and sent, and the response is relayed back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import anyio

from nono.policy.network import Refuse
from nono.proxy import recording, refusal
from nono.proxy.dial import DialError
from nono.proxy.dispatch import Entry, Forward
from nono.proxy.engine import Engine
from nono.proxy.message import (
    BodyKind,
    Header,
    MessageError,
    ResponseHead,
    chunk,
    end_to_end,
    last_chunk,
    serialise,
    trailers,
)
from nono.proxy.refusal import Refusal
from nono.proxy.request_reader import Incoming
from nono.proxy.rewrite import response_for_client
from nono.proxy.upstream import PoolKey, UpstreamConnection

_IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))  # RFC 9110 section 9.2.2


class ClientSide(Protocol):
    """What an exchange needs of the connection its request came from, whatever that runs over."""

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


class Exchange:
    """From an allowed request to the end of its response; a ResponseSink for the upstream connection."""

    __slots__ = (
        "_chunked", "_client", "_client_paused", "_closes", "_connection", "_engine", "_incoming", "_over",
        "_recorded", "_request_done", "_retried", "_reused", "_scope", "_sent_body", "_started", "_verdict",
        "_writable",
    )  # fmt: skip

    def __init__(self, engine: Engine, client: ClientSide, incoming: Incoming, verdict: Forward) -> None:
        self._engine = engine
        self._client = client
        self._incoming = incoming
        self._verdict = verdict
        self._connection: UpstreamConnection | None = None
        self._scope: anyio.CancelScope | None = None  # around the dial, while there is one
        self._recorded = False
        self._reused = False
        self._retried = False
        self._sent_body = False
        self._request_done = False  # all of it has been written to the upstream
        self._started = False  # the client has seen a part of the final response
        self._chunked = False
        self._closes = False
        self._writable = True
        self._client_paused = False
        self._over = False

    # -- reaching the upstream

    def start(self) -> None:
        origin = self._verdict.origin
        key = PoolKey(origin.scheme, origin.host, origin.port, self._verdict.tls_ca)
        connection = self._engine.pool.take(key)
        if connection is None:
            self._engine.spawn(self._dial)
        elif self._record_allowed():
            self._attach(connection, reused=True)
        else:
            self._engine.pool.give(connection)
            self._refuse(refusal.not_recorded())

    def _record_allowed(self) -> bool:
        if not self._recorded:
            self._recorded = self._engine.record(recording.allowed(self._verdict.entry))
        return self._recorded

    async def _dial(self) -> None:
        with anyio.CancelScope() as scope:
            self._scope = scope
            if self._over:
                return
            try:
                connection = await self._connect()
            except DialError as failure:
                host = self._verdict.origin.host
                self._refuse(refusal.upstream_failed(host, failure.reason, timed_out=failure.timed_out))
                return
            except Exception:
                self._over = True
                self._client.abort()
                raise
            finally:
                self._scope = None
            if connection is not None:
                self._attach(connection, reused=False)

    async def _connect(self) -> UpstreamConnection | None:
        """A connection to a vetted address; None when the exchange was refused. DialError otherwise."""
        origin = self._verdict.origin
        addresses = await self._engine.dialer.resolve(origin.host, origin.port)
        vetted = self._engine.judge_addresses(self._verdict.hosts, origin.host, origin.port, addresses)
        if isinstance(vetted, Refuse):
            self._refuse(refusal.host_denied(vetted, origin.host))
            return None
        if not self._record_allowed():
            self._refuse(refusal.not_recorded())
            return None
        key = PoolKey(origin.scheme, origin.host, origin.port, self._verdict.tls_ca)
        return await self._engine.dialer.open(
            lambda: UpstreamConnection(key, self._engine.pool),
            addresses,
            origin.port,
            server_name=origin.host if origin.scheme == "https" else None,
            tls_ca=self._verdict.tls_ca,
        )

    def _attach(self, connection: UpstreamConnection, *, reused: bool) -> None:
        if self._over:
            connection.release(reusable=False)
            return
        self._connection = connection
        self._reused = reused
        connection.begin(self, self._incoming.head.method)
        connection.pause_reading(self._client_paused)
        self._write([self._verdict.head])
        self._client.update_reading()

    def _refuse(self, answer: Refusal) -> None:
        if not self._over:
            self._over = True
            self._client.refuse(self._verdict.entry, answer)

    # -- the request

    @property
    def wants_pause(self) -> bool:
        """Whether more of the request body would have to be held here."""
        return not self._writable or (self._connection is None and bool(self._incoming.pieces))

    def request_progress(self) -> None:
        """More of the request has arrived."""
        if self._connection is not None and not self._request_done:
            self._write([])

    def _write(self, out: list[bytes]) -> None:
        """Write out, and whatever of the body is here, in one piece."""
        incoming = self._incoming
        if incoming.pieces:
            self._sent_body = True
            if incoming.head.body.kind is BodyKind.CHUNKED:
                out += [chunk(piece) for piece in incoming.pieces]
            else:
                out += incoming.pieces
            incoming.pieces = []
        if incoming.complete:
            self._request_done = True
            if incoming.head.body.kind is BodyKind.CHUNKED:
                out.append(last_chunk(self._request_trailers()))
        if out and self._connection is not None:
            self._connection.write(out)

    def _request_trailers(self) -> list[Header]:
        # What a trailer holds was not there to be judged when the credential was injected.
        if self._verdict.credentialed:
            return []
        try:
            return trailers(self._incoming.trailers)
        except MessageError:
            return []

    def upstream_writable(self, writable: bool) -> None:
        self._writable = writable
        self._client.update_reading()

    def client_malformed(self, answer: Refusal) -> None:
        """The rest of the request cannot be understood: no part of it may look complete upstream."""
        started = self._started
        if self._scope is not None:
            self._scope.cancel()
        self._drop_connection()
        if started:
            self._over = True
            self._client.abort()
        else:
            self._refuse(answer)

    def client_lost(self) -> None:
        """The client is gone: the upstream stops working for it."""
        self._over = True
        if self._scope is not None:
            self._scope.cancel()
        self._drop_connection()

    def client_paused(self, paused: bool) -> None:
        self._client_paused = paused
        if self._connection is not None:
            self._connection.pause_reading(paused)

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.release(reusable=False)

    # -- the response

    def response_interim(self, head: ResponseHead) -> None:
        request = self._incoming.head
        if request.version != b"1.1" or (head.status == 100 and not request.expects_continue):
            return
        fields = end_to_end(head.headers, without=frozenset((b"content-length", b"set-cookie")))
        self._client.send(serialise(b"HTTP/1.1 %d %b" % (head.status, head.reason), fields))

    def response_started(self, head: ResponseHead) -> None:
        request = self._incoming.head
        unframed = head.body.kind in (BodyKind.CHUNKED, BodyKind.UNTIL_CLOSE) and request.version == b"1.0"
        # A response that overtakes its request ends the connection: the rest of the body may never come.
        self._closes = (
            unframed or not request.keep_alive or not self._request_done or self._client.winding_down
        )
        written, self._chunked = response_for_client(
            head, to_version=request.version, closes=self._closes, credentialed=self._verdict.credentialed
        )
        self._started = True
        self._client.send(written)

    def response_body(self, piece: bytes) -> None:
        self._client.send(chunk(piece) if self._chunked else piece)

    def response_flush(self) -> None:
        self._client.flush()

    def response_finished(self, fields: Sequence[Header], *, reusable: bool) -> None:
        connection, self._connection = self._connection, None
        self._over = True
        if connection is not None:
            connection.release(reusable=reusable and self._request_done)
        if self._chunked:
            self._client.send(last_chunk(fields))
        self._client.flush()
        self._client.exchange_over(closes=self._closes)

    def upstream_failed(self, reason: str) -> None:
        connection, self._connection = self._connection, None
        if self._over:
            return
        if self._started:
            # The status line is out; only a connection that ends early can tell that the rest is missing.
            self._over = True
            self._client.abort()
        elif connection is not None and not connection.heard and self._may_retry():
            self._retried = True
            self._request_done = False
            self._writable = True
            self._engine.spawn(self._dial)
        else:
            self._refuse(refusal.upstream_failed(self._verdict.origin.host, reason))

    def _may_retry(self) -> bool:
        """Whether a resting connection that died under the request can be replaced without doing it twice."""
        if not self._reused or self._retried or self._sent_body:
            return False
        head = self._incoming.head
        announced = head.body.kind is BodyKind.CHUNKED or head.body.length > 0
        return (announced and not self._request_done) or head.method in _IDEMPOTENT
