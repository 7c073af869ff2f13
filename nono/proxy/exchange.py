"""One allowed request: its address is vetted, it is recorded and sent, and the response is relayed back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import anyio

from nono.credentials.credential import Injection, Outgoing
from nono.credentials.errors import RequestUnfit
from nono.errors import CredentialError
from nono.proxy import recording, refusal, rewrite, websocket
from nono.proxy.client_side import Hijackable
from nono.proxy.engine import Engine
from nono.proxy.message import (
    Body,
    BodyKind,
    Header,
    ResponseHead,
    chunk,
    framing_fields,
    is_surely_read,
    last_chunk,
)
from nono.proxy.preparation import Ready
from nono.proxy.refusal import Refusal
from nono.proxy.relay import Relay
from nono.proxy.request_reader import Incoming
from nono.proxy.splice import SpliceEnd, TimedEnd
from nono.proxy.upstream import PoolKey, UpstreamConnection
from nono.proxy.verdict import Forward

MAX_WAITING_BYTES = 64 * 1024  # of a request body, before there is a connection to send it on
MAX_HELD_BYTES = 16 * 1024 * 1024  # of a request body that must be there before the request is sent
_IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))  # RFC 9110 section 9.2.2


class Exchange:
    """From an allowed request to the end of its response; a ResponseSink for the upstream connection."""

    __slots__ = (
        "_client", "_closes", "_connection", "_engine", "_framing", "_head", "_held", "_incoming",
        "_injection", "_is_hasty", "_over", "_recorded", "_relay", "_request_done", "_retried", "_reused",
        "_scope", "_sent_body", "_upstream_reusable", "_verdict", "_writable",
    )  # fmt: skip

    def __init__(self, engine: Engine, client: Hijackable, incoming: Incoming, verdict: Forward) -> None:
        self._engine = engine
        self._client = client
        self._incoming = incoming
        self._verdict = verdict
        self._connection: UpstreamConnection | None = None
        self._scope: anyio.CancelScope | None = None  # around a wait, while there is one
        self._injection: Injection | None = None
        self._head = b""  # finished, credential included
        self._framing = incoming.head.body
        self._held: bytearray | None = None  # the body, while it is collected before anything is sent
        self._is_hasty = False  # bytes of the other protocol came before the answer to the upgrade
        self._recorded = False
        self._reused = False
        self._retried = False
        self._sent_body = False
        self._request_done = False  # all of it has been written to the upstream
        self._relay = Relay(client, incoming.head, engine.inspect(verdict), self._relayed)
        self._upstream_reusable = False
        self._closes = False
        self._writable = True
        self._over = False

    # -- what must be had first

    def start(self) -> None:
        ready = self._engine.preparation.at_once(self._verdict)
        if ready is None:
            self._engine.spawn(self._prepare)
        else:
            self._prepared(ready)

    async def _prepare(self) -> None:
        with self._cancellable() as over:
            if not over:
                ready = await self._engine.preparation.wait(self._verdict)
                if not self._over:
                    self._prepared(ready)

    def _prepared(self, ready: Ready | Refusal) -> None:
        if isinstance(ready, Refusal):
            self._refuse(ready)
            return
        self._injection = ready.injection
        if ready.injection is not None and ready.injection.needs_body:
            self._hold_body()
        else:
            self._send(self._incoming.head.body)

    def _hold_body(self) -> None:
        """Collect the whole request body: a signature is over all of it."""
        head = self._incoming.head
        if head.body.length > MAX_HELD_BYTES:
            self._refuse_large_body()
            return
        self._held = bytearray()
        if head.expects_continue:  # the upstream, which nothing has been sent to, cannot say it
            self._client.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._client.flush()
        self._hold_on(self._held)
        self._client.update_reading()

    def _hold_on(self, held: bytearray) -> None:
        # Joined at once: a body in chunks of one byte would be sixteen million pieces.
        incoming = self._incoming
        held += b"".join(incoming.pieces)
        incoming.pieces = []
        if len(held) > MAX_HELD_BYTES:
            self._refuse_large_body()
        elif incoming.complete:
            self._held = None
            body = bytes(held)
            incoming.pieces = [body] if body else []
            self._framing = Body(BodyKind.LENGTH, len(body)) if body else incoming.head.body
            self._send(self._framing, body)

    def _refuse_large_body(self) -> None:
        self._held = None
        host = self._verdict.origin.host
        self._refuse(Refusal(413, "a body that must be signed may have 16 MiB at most", host, closes=True))

    # -- reaching the upstream

    def _send(self, framing: Body, body: bytes | None = None) -> None:
        """Write the head and take it to the upstream, over a resting connection or a new one."""
        verdict = self._verdict
        self._framing = framing
        fields = framing_fields(framing)
        if verdict.websocket_key is not None:
            fields += websocket.handshake_fields()
        try:
            self._head = self._written(fields, body)
        except RequestUnfit as fault:
            self._refuse(refusal.unfit(verdict.entry.route_id or "", verdict.origin.host, str(fault)))
            return
        except (OSError, ValueError, CredentialError):  # the text could hold the secret: not passed on
            self._refuse(refusal.unavailable(verdict.entry.route_id or "", verdict.origin.host))
            return
        key = self._pool_key
        connection = self._engine.pool.take(key)
        if connection is None:
            self._engine.spawn(self._dial)
        elif self._record_allowed():
            self._attach(connection, reused=True)
        else:
            self._engine.pool.give(connection)
            self._refuse(refusal.not_recorded())

    def _written(self, framing: list[Header], body: bytes | None) -> bytes:
        """The head with the credential. OSError, ValueError or CredentialError when it does not fit."""
        verdict, searched = self._verdict, self._relay.reads_bodies
        if body is None:
            return verdict.writer.head(framing, self._injection, searched=searched)
        request = _signable(verdict.request, body)
        codings = rewrite.codings_to_ask_for(request) if searched else None
        return rewrite.request_head(request, framing, self._injection, codings)

    @property
    def _pool_key(self) -> PoolKey:
        origin = self._verdict.origin
        via = self._engine.reach.via(origin.host, origin.port)
        return PoolKey(origin.scheme, origin.host, origin.port, self._verdict.tls, via)

    def _record_allowed(self) -> bool:
        if not self._recorded:
            self._recorded = self._engine.record(recording.allowed(self._verdict.entry))
        return self._recorded

    @contextmanager
    def _cancellable(self) -> Iterator[bool]:
        """A block that ends when the client goes away; yields whether it is gone already."""
        with anyio.CancelScope() as scope:
            self._scope = scope
            try:
                yield self._over
            except Exception:
                self._over = True
                self._client.abort()
                raise
            finally:
                self._scope = None

    async def _dial(self) -> None:
        reached: UpstreamConnection | Refusal | None = None  # stays so when the client goes away meanwhile
        with self._cancellable() as over:
            if not over:
                reached = await self._reach()
        if isinstance(reached, Refusal):
            self._refuse(reached)
        elif reached is not None:
            self._attach(reached, reused=False)

    async def _reach(self) -> UpstreamConnection | Refusal:
        origin, key = self._verdict.origin, self._pool_key
        return await self._engine.reach.open(
            lambda: UpstreamConnection(key, self._engine.pool),
            origin.host,
            origin.port,
            hosts=self._verdict.hosts,
            may_begin=self._record_allowed,
            server_name=origin.host if origin.scheme == "https" else None,
            tls=self._verdict.tls,
        )

    def _attach(self, connection: UpstreamConnection, *, reused: bool) -> None:
        if self._over:
            connection.release(reusable=False)
            return
        frozen = self._engine.preparation.frozen(self._verdict)
        if frozen is not None:
            self._engine.pool.give(connection)
            self._refuse(frozen)
            return
        self._connection = connection
        self._reused = reused
        may_switch = self._verdict.websocket_key is not None
        connection.begin(self, self._incoming.head.method, may_switch=may_switch)
        connection.pause_reading(self._relay.is_behind)
        self._write([self._head])
        self._client.update_reading()

    def _refuse(self, answer: Refusal) -> None:
        if not self._over:
            self._over = True
            self._relay.break_off(answer.error)
            # What follows a request for an upgrade may be the other protocol, and is not read as a request.
            closes = answer.closes or self._verdict.websocket_key is not None
            self._client.refuse(self._verdict.entry, answer._replace(closes=closes))

    # -- the request

    @property
    def wants_pause(self) -> bool:
        """Whether more of the request body would have to be held here."""
        if self._held is not None:
            return False
        if self._is_hasty or not self._writable:
            return True
        # Who is not read from cannot be seen to go away, and takes a question to a person with it: a short
        # body is read to its end before there is anybody to send it to.
        incoming = self._incoming
        if self._connection is not None or incoming.complete:
            return False
        return sum(map(len, incoming.pieces)) > MAX_WAITING_BYTES

    def request_progress(self) -> None:
        """More of the request has arrived."""
        self._is_hasty = self._verdict.websocket_key is not None
        if self._held is not None:
            self._hold_on(self._held)
        elif self._connection is not None and not self._request_done:
            self._write([])

    def _write(self, out: list[bytes]) -> None:
        """Write out, and whatever of the body is here, in one piece."""
        incoming = self._incoming
        if incoming.pieces:
            self._sent_body = True
            for piece in incoming.pieces:
                self._relay.request_piece(piece)
            if self._framing.kind is BodyKind.CHUNKED:
                out += [chunk(piece) for piece in incoming.pieces]
            else:
                out += incoming.pieces
            incoming.pieces = []
        if incoming.complete:
            self._request_done = True
            if self._framing.kind is BodyKind.CHUNKED:
                out.append(last_chunk())
        if out and self._connection is not None:
            self._connection.write(out)

    def upstream_writable(self, writable: bool) -> None:
        self._writable = writable
        self._client.update_reading()

    def client_malformed(self, answer: Refusal) -> None:
        """The rest of the request cannot be understood: no part of it may look complete upstream."""
        started = self._relay.started
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
        self._relay.break_off("the client went away")
        self._drop_connection()

    def client_paused(self, paused: bool) -> None:
        self._relay.pause(paused)
        if self._connection is not None:
            self._connection.pause_reading(self._relay.is_behind)

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.release(reusable=False)

    # -- the response

    def response_interim(self, head: ResponseHead) -> None:
        self._relay.interim(head)

    def response_started(self, head: ResponseHead) -> None:
        verdict = self._verdict
        if head.status == 401 and verdict.route is not None and verdict.route.credential is not None:
            verdict.route.credential.rejected(verdict.facts)
        # A response that overtakes its request ends the connection: the rest of the body may never come.
        # So does one to an upgrade: what followed the request was meant for the other protocol.
        closes = (
            not self._incoming.head.keep_alive
            or not self._request_done
            or self._client.winding_down
            or verdict.websocket_key is not None
        )
        self._closes = self._relay.start(head, closes=closes, credentialed=verdict.credentialed)

    def response_body(self, piece: bytes) -> None:
        self._relay.body(piece)

    def response_flush(self) -> None:
        self._relay.flush()
        if self._connection is not None:
            self._connection.pause_reading(self._relay.is_behind)

    def response_finished(self, fields: Sequence[Header], *, reusable: bool) -> None:
        is_read = is_surely_read(self._incoming.head.method, self._framing)
        self._upstream_reusable = reusable and self._request_done and is_read
        self._relay.end(fields)

    def _relayed(self) -> None:
        connection, self._connection = self._connection, None
        self._over = True
        if connection is not None:
            connection.release(reusable=self._upstream_reusable)
        self._client.exchange_over(closes=self._closes)

    def response_switched(self, head: ResponseHead) -> None:
        key = self._verdict.websocket_key
        connection = self._connection
        assert connection is not None
        if key is None or not websocket.accepts(head, key):
            self.upstream_failed("the upstream's answer to the WebSocket handshake is not a valid one")
            return
        self._over = True
        self._connection = None
        answer = self._relay.switched(head)
        client = TimedEnd(self._engine.connections, self._engine.tunnel_idle_timeout_s)
        upstream = SpliceEnd(self._engine.tunnel_ends)
        transport, client.early = self._client.hand_over(client)
        _, upstream.early = connection.hand_over(upstream)
        transport.write(answer)
        client.join(upstream)

    def upstream_failed(self, reason: str) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()
        if self._over:
            return
        if self._relay.started:
            # The status line is out; only a connection that ends early can tell that the rest is missing.
            self._over = True
            self._relay.break_off(reason)
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


def _signable(request: Outgoing, body: bytes) -> Outgoing:
    """request with its body, and without an expectation that has been met already."""
    headers = [field for field in request.headers if field[0].lower() != b"expect"]
    return request._replace(headers=headers, body=body)
