"""Send one allowed request of an HTTP/1.1 client upstream and relay the response back."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from nono.proxy.exchange.client_side import Hijackable
from nono.proxy.exchange.context import ProxyContext
from nono.proxy.exchange.delivery import Delivery
from nono.proxy.exchange.relay import Relay
from nono.proxy.http import refusal, websocket
from nono.proxy.http.message import BodyKind, Header, ResponseHead, is_surely_read
from nono.proxy.http.refusal import Refusal
from nono.proxy.http.request_reader import Incoming
from nono.proxy.http.writing import chunk, framing_fields, last_chunk
from nono.proxy.transport.splice import SpliceEnd, TimedEnd
from nono.proxy.upstream.connection import PoolKey, UpstreamConnection
from nono.proxy.verdict import rewrite
from nono.proxy.verdict.verdict import Forward

if TYPE_CHECKING:
    from nono.audit.event import Failure
    from nono.proxy.conversation.watch import TurnWatch

MAX_WAITING_BYTES = 64 * 1024  # of a request body that is held while there is no upstream connection


class Exchange(Delivery[UpstreamConnection]):
    """One exchange, up to the end of its response. It is the ResponseSink of the upstream connection."""

    __slots__ = (
        "_client", "_closes", "_connection", "_head", "_incoming", "_is_hasty", "_relay", "_reused",
        "_upstream_reusable", "_writable",
    )  # fmt: skip

    def __init__(
        self, context: ProxyContext, client: Hijackable, incoming: Incoming, verdict: Forward
    ) -> None:
        super().__init__(context, verdict, incoming.head)
        self._client = client
        self._incoming = incoming
        self._connection: UpstreamConnection | None = None
        self._head = b""  # as sent, with the credential
        self._is_hasty = False  # the client sent bytes of the new protocol before the upgrade was answered
        self._reused = False
        self._relay = Relay(
            client,
            incoming.head,
            self._inspection,
            context.turns,
            self._relayed,
            self._break_off,
            self._pace,
        )
        self._upstream_reusable = False
        self._closes = False
        self._writable = True

    # -- Delivery

    def _collect(self) -> None:
        if self._request.expects_continue:  # the upstream has received nothing, so it cannot send this
            self._client.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._client.flush()
            self._incoming.waits_for_100 = False
        self._hold_on()
        self._client.update_reading()

    def _hold_on(self) -> None:
        incoming = self._incoming
        pieces, incoming.pieces = incoming.pieces, []
        self._hold_piece(b"".join(pieces))
        if incoming.complete and (body := self._held_whole()) is not None:
            incoming.pieces = body
            self._go_on()

    def _write_head(self) -> None:
        verdict, searched = self._verdict, self._inspection.reads_bodies
        framing = framing_fields(self._framing)
        if verdict.websocket_key is not None:
            framing += websocket.handshake_fields()
        if self._outgoing is verdict.request:
            self._head = verdict.writer.head(framing, self._injection, searched=searched)
        else:
            written = rewrite.completed(self._outgoing, self._injection, searched=searched)
            self._head = rewrite.request_head(written, framing)

    def _at_hand(self, key: PoolKey) -> UpstreamConnection | None:
        return self._context.pool.take(key)

    async def _reach(self, key: PoolKey) -> UpstreamConnection | Refusal:
        return await self._context.connector.connect(
            lambda: UpstreamConnection(key, self._context.pool, self._context.turns, self._context.outbox),
            key.host,
            key.port,
            hosts=self._verdict.hosts,
            may_begin=self._record,
            server_name=key.host if key.scheme == "https" else None,
            tls=key.tls,
            sends_key=key.identity is not None,
        )

    def _begin(self, reached: UpstreamConnection, *, reused: bool) -> None:
        self._connection = reached
        self._reused = reused
        may_switch = self._verdict.websocket_key is not None
        reached.begin(self, self._request.method, may_switch=may_switch)
        reached.pause_reading(self._relay.is_behind)
        self._write([self._head])
        if not self._incoming.complete:
            self._client.update_reading()

    def _answer(self, answer: Refusal) -> None:
        # The bytes after an upgrade request may be the new protocol, so they are not parsed as a request.
        closes = answer.closes or self._verdict.websocket_key is not None
        self._client.refuse(self._verdict.entry, answer._replace(closes=closes))

    def _fault(self) -> None:
        self._break_off("a fault of the proxy", "proxy")

    def _break_off(self, reason: str, failure: Failure) -> None:
        """Abort the connection: only an early end tells the client that the rest is missing."""
        self._failed(failure, reason)
        self._end()
        self._relay.stop()
        self._inspection.break_off(reason)
        self._client.abort()

    # -- the request

    @property
    def wants_pause(self) -> bool:
        """True if further request body bytes would have to be buffered here."""
        if self._held is not None:
            return False
        if self._is_hasty or not self._writable:
            return True
        # A client that is not read from cannot be seen to disconnect, which would leave an approval question
        # open. So a short body is read to its end even before there is an upstream to send it to.
        incoming = self._incoming
        if self._connection is not None or incoming.complete:
            return False
        return sum(map(len, incoming.pieces)) > MAX_WAITING_BYTES

    def request_progress(self) -> None:
        """Handle more of the request, which has arrived."""
        self._is_hasty = self._verdict.websocket_key is not None
        if self._held is not None:
            self._hold_on()
        elif self._connection is not None and not self._sent_end:
            if not self._relay.started:
                self._refuse_if_overtaken()
            if not self._over:
                self._write([])

    def may_go(self) -> bool:
        if super().may_go() and not self._sent_end:
            self._write([])
        return not self._over

    def _withdraw(self) -> None:
        self._drop_connection()

    def _write(self, out: list[bytes]) -> None:
        """Write `out` and the body received so far in one piece.

        While the head waits, the body stays here: if the head cannot be sent, it goes with another one.
        """
        incoming = self._incoming
        has_body = incoming.pieces or (incoming.complete and self._framing.kind is BodyKind.CHUNKED)
        if has_body and self._connection is not None and self._connection.waits:
            if out:
                self._connection.write(out)
            return
        if len(incoming.pieces) > 1:
            incoming.pieces = [b"".join(incoming.pieces)]  # one read can hold forty thousand one-byte chunks
        if self._watch is not None and self._holds(self._watch):
            if out and self._connection is not None:
                self._connection.write(out)
            return
        if incoming.pieces:
            self._sent_body = True
            piece = incoming.pieces[0]
            self._inspection.request_piece(piece)
            if self._course is not None:
                self._course.sent += len(piece)
            out.append(chunk(piece) if self._framing.kind is BodyKind.CHUNKED else piece)
            incoming.pieces = []
        if incoming.complete:
            self._sent_end = True
            if self._framing.kind is BodyKind.CHUNKED:
                out.append(last_chunk())
        if out and self._connection is not None:
            self._connection.write(out)

    def _holds(self, watch: TurnWatch) -> bool:
        """Return True if the end of the body must wait because it may begin a turn."""
        incoming = self._incoming
        piece = incoming.pieces[0] if incoming.pieces else b""
        return watch.holds(piece, is_last=incoming.complete, then=self._release)

    def _release(self) -> None:
        if not self._over and self._connection is not None:
            self._write([])

    def upstream_writable(self, writable: bool) -> None:
        self._writable = writable
        self._client.update_reading()

    def client_malformed(self, answer: Refusal) -> None:
        self._cut_short(answer._replace(failure="client"))

    def _cut_short(self, answer: Refusal) -> None:
        self._cancel()
        self._drop_connection()
        if self._relay.started:
            self._break_off(answer.error, "client")
        else:
            self._refuse(answer)

    def client_lost(self) -> None:
        """Drop the upstream connection, so that the upstream stops working for a client that is gone."""
        self._failed("client", "the client went away")
        self._end()
        self._cancel()
        self._relay.stop()
        self._inspection.break_off("the client went away")
        self._drop_connection()

    def client_paused(self, paused: bool) -> None:
        self._relay.pause(paused)
        self._pace()

    def _pace(self) -> None:
        """Read from the upstream only as fast as the response is relayed."""
        if self._connection is not None:
            self._connection.pause_reading(self._relay.is_behind)

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.release(reusable=False)

    # -- the response

    def response_interim(self, head: ResponseHead) -> None:
        self._relay.interim(head)
        if head.status == 100:
            self._client_may_send()

    def response_started(self, head: ResponseHead) -> None:
        if self._course is not None:
            self._course.status = head.status
        if head.status == 401:
            self._rejected()
        # A response that overtakes its request ends the connection: the rest of the body may never come.
        # So does a final response to an upgrade: the bytes after the request belong to the new protocol.
        closes = (
            not self._request.keep_alive
            or not self._sent_end
            or self._client.winding_down
            or self._verdict.websocket_key is not None
        )
        self._closes = self._relay.start(head, closes=closes, credentialed=self._verdict.credentialed)
        self._client_may_send()

    def _client_may_send(self) -> None:
        """Limit the client's time for its body again, if it has waited to be asked for it."""
        if self._incoming.waits_for_100:
            self._incoming.waits_for_100 = False
            self._client.update_reading()

    def response_body(self, piece: bytes) -> None:
        if self._course is not None:
            self._course.received += len(piece)
        self._relay.body(piece)

    def response_flush(self) -> None:
        self._relay.flush()
        self._pace()

    def response_finished(self, fields: Sequence[Header], *, reusable: bool) -> None:
        is_read = is_surely_read(self._request.method, self._framing, drains=self._verdict.drains)
        self._upstream_reusable = reusable and self._sent_end and is_read
        self._relay.end(fields)

    def _relayed(self) -> None:
        connection, self._connection = self._connection, None
        self._end()
        if connection is not None:
            connection.release(reusable=self._upstream_reusable)
        self._client.exchange_over(closes=self._closes)

    def response_switched(self, head: ResponseHead) -> None:
        key = self._verdict.websocket_key
        connection = self._connection
        assert connection is not None
        if key is None or not websocket.accepts(head, key):
            reason = "the upstream's answer to the WebSocket handshake is not a valid one"
            self.upstream_failed(reason, "malformed")
            return
        course, self._course = self._course, None
        self._end()
        self._connection = None
        answer = self._relay.switched(head)
        client = TimedEnd(self._context.connections, self._context.tunnel_idle_timeout_s)
        client.refused_since = partial(self._context.refused_since, self._verdict)
        if course is not None:
            course.status = head.status
            course.goes_on_in(client)
        upstream = SpliceEnd(self._context.tunnel_ends)
        transport, client.early = self._client.hand_over(client)
        _, upstream.early = connection.hand_over(upstream)
        transport.write(answer)
        client.join(upstream)

    def upstream_failed(self, reason: str, failure: Failure) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()
        if self._over:
            return
        unheard = connection is not None and self._reused and not connection.heard
        unsent = connection is not None and not connection.has_begun
        if self._relay.started:
            self._break_off(reason, failure)
        elif self._replay("any" if unsent else "idempotent" if unheard else "none"):
            self._writable = True
            self._client.update_reading()
        else:
            self._refuse(refusal.upstream_failed(self._verdict.origin.host, reason, failure))
