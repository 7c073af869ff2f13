"""Send one allowed request of an HTTP/2 client upstream and answer it on its stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from nono.proxy.exchange.context import ProxyContext
from nono.proxy.exchange.delivery import Delivery
from nono.proxy.http import refusal
from nono.proxy.http.message import BodyKind, Header, MessageError, RequestHead, ResponseHead
from nono.proxy.http.refusal import Refusal
from nono.proxy.http.writing import framing_fields
from nono.proxy.http2 import heads
from nono.proxy.http2.downgrade import Http1Stream
from nono.proxy.http2.protocol.frames import ErrorCode
from nono.proxy.http2.relay import Http2Relay
from nono.proxy.http2.session import Session
from nono.proxy.http2.upstream import Http2Upstream
from nono.proxy.http2.upstream_stream import UpstreamStream
from nono.proxy.http2.upstreams import Reached, Upstreams
from nono.proxy.upstream.connection import PoolKey, Replay
from nono.proxy.verdict import rewrite
from nono.proxy.verdict.rewrite import Completed
from nono.proxy.verdict.verdict import Entry, Forward

if TYPE_CHECKING:
    from nono.audit.event import Failure
    from nono.proxy.conversation.watch import TurnWatch

_SMALL_BYTES = 1024


class ClientSide(Protocol):
    """The client's connection, as an exchange uses it."""

    @property
    def session(self) -> Session: ...
    @property
    def upstreams(self) -> Upstreams: ...
    def refuse(self, stream_id: int, head: RequestHead, entry: Entry, answer: Refusal) -> None:
        """Record, answer and end the exchange. Call only before the first byte of a response."""
        ...

    def exchange_over(self, stream_id: int) -> None: ...


class Http2Exchange(Delivery[Reached]):
    """One exchange, until both directions have ended; its credential is not shared with other streams."""

    def __init__(
        self, context: ProxyContext, client: ClientSide, stream_id: int, head: RequestHead, verdict: Forward
    ) -> None:
        super().__init__(context, verdict, head)
        self._client = client
        self._stream_id = stream_id
        self._written: Completed | None = None
        self._upstream: UpstreamStream | Http1Stream | None = None
        # the request
        self._pieces: list[bytes] = []  # of its body, held while there is no upstream
        self._trailers: list[Header] = []
        self._complete = head.body.kind is BodyKind.NONE
        self._unseen = head.body.length  # bytes still to come of a body with an announced length
        # the response
        self._relay = Http2Relay(client.session, stream_id, self._inspection, context.turns, self._unfit)
        self._answered = False  # the whole response was sent

    # -- Delivery

    def _collect(self) -> None:
        if self._request.expects_continue:  # the upstream has received nothing and cannot send it
            self._client.session.head(self._stream_id, [(b":status", b"100")])
        pieces, self._pieces = self._pieces, []
        for piece in pieces:
            self._take_request(piece)
        if self._complete:
            self._body_is_held()

    def _body_is_held(self) -> None:
        if (body := self._held_whole()) is not None:
            self._pieces = body
            self._go_on()

    def _write_head(self) -> None:
        searched = self._inspection.reads_bodies
        if self._outgoing is self._verdict.request:
            self._written = self._verdict.writer.completed(self._injection, searched=searched)
        else:
            self._written = rewrite.completed(self._outgoing, self._injection, searched=searched)

    def _at_hand(self, key: PoolKey) -> Reached | None:
        return self._client.upstreams.at_hand(key)

    async def _reach(self, key: PoolKey) -> Reached | Refusal:
        return await self._client.upstreams.reach(key, self._verdict.hosts, self._record)

    def _begin(self, reached: Reached, *, reused: bool) -> None:
        written = self._written
        assert written is not None
        if isinstance(reached, Http2Upstream):
            self._begin_http2(reached, written)
        else:
            method, drains, done = self._request.method, self._verdict.drains, self._client.upstreams.done
            stream = Http1Stream(reached, self, method, self._framing, done, drains=drains, reused=reused)
            self._upstream = stream
            stream.begin(rewrite.request_head(written, framing_fields(self._framing)))
        self._send_body()

    def _begin_http2(self, reached: Http2Upstream, written: Completed) -> None:
        framing = framing_fields(self._framing) if self._framing.kind is BodyKind.LENGTH else []
        if b"trailers" in self._request.values(b"te"):
            framing = [*framing, (b"te", b"trailers")]
        fields = heads.request_fields(written, self._verdict.origin.scheme, framing, self._request.unindexed)
        self._sent_end = self._complete and not self._pieces and not self._trailers
        self._upstream = reached.begin(self, self._request.method, fields, end=self._sent_end)

    def _give_back(self, unused: Reached) -> None:
        self._client.upstreams.done(unused)
        super()._give_back(unused)

    def _answer(self, answer: Refusal) -> None:
        self._client.refuse(self._stream_id, self._request, self._verdict.entry, answer)

    def _fault(self) -> None:
        self._break_off(ErrorCode.INTERNAL_ERROR, "a fault of the proxy", "proxy")

    # -- the request

    def request_body(self, piece: bytes) -> None:
        self._unseen -= len(piece)
        self._more_has_come()
        self._take_request(piece)

    def _take_request(self, piece: bytes) -> None:
        if self._over:
            self._client.session.acknowledge(self._stream_id, len(piece))
        elif self._held is not None:
            self._hold_piece(piece)
            self._client.session.acknowledge(self._stream_id, len(piece))
        else:
            if self._pieces and len(self._pieces[-1]) + len(piece) <= _SMALL_BYTES:
                # Joined: while the body waits, each piece of two bytes would take sixty.
                self._pieces[-1] += piece
            else:
                self._pieces.append(piece)
            self._send_body()

    def request_trailers(self, fields: Sequence[Header]) -> None:
        try:
            checked = heads.trailer_fields(fields)
        except MessageError as fault:
            self._malformed(f"the trailers of the request: {fault.reason}")
            return
        # Trailers arrive after the request was judged and the credential injected.
        self._trailers = [] if self._verdict.credentialed else checked

    def _malformed(self, reason: str) -> None:
        """Refuse or reset: a malformed request must not look complete upstream.

        Raises FrameError if too many streams have ended this way.
        """
        if self._over:
            return
        if self._relay.started:
            self._break_off(ErrorCode.PROTOCOL_ERROR, reason, "client")
        else:
            self._cut_short(refusal.malformed(400, reason)._replace(failure="client"))
        # The stream ends early and has cost as much as one reset by the client (CVE-2025-8671).
        self._client.session.stream_reset()

    def request_ended(self) -> None:
        if self._request.body.kind is BodyKind.LENGTH and self._unseen:
            # Trailers ended the stream, whose length is checked only at the end of DATA. An HTTP/1.1 upstream
            # would read the next request on its connection as the rest of this one.
            self._malformed("the body of the request is shorter than announced")
            return
        self._complete = True
        if self._request.body.kind is not BodyKind.LENGTH:  # else its last piece was whole
            self._more_has_come()
        if self._held is not None:
            self._body_is_held()
        elif not self._over:
            self._send_body()
            self._check_over()

    def _more_has_come(self) -> None:
        """Note that a piece of the request has come, or its end: that may be too late."""
        if self._upstream is not None and not self._relay.started and not self._over:
            self._refuse_if_overtaken()

    def _cut_short(self, answer: Refusal) -> None:
        self._drop(answer.error)
        self._refuse(answer)

    def _send_body(self) -> None:
        """Send the body received so far; the client's window is credited once it has left."""
        upstream = self._upstream
        if upstream is None or upstream.waits:
            return
        if self._watch is not None and self._holds(self._watch):
            return
        pieces, self._pieces = self._pieces, []
        for piece in pieces:
            self._sent_body = True
            self._inspection.request_piece(piece)
            if self._course is not None:
                self._course.sent += len(piece)
            upstream.send(piece)
        if self._complete and not self._sent_end:
            self._sent_end = True
            upstream.finish(self._trailers)

    def _holds(self, watch: TurnWatch) -> bool:
        """Return True if the end of the body waits, because it may begin a turn."""
        # A body of announced length is complete before END_STREAM, which may come alone.
        is_all = self._request.body.kind is BodyKind.LENGTH and self._unseen <= 0
        if len(self._pieces) > 1:
            self._pieces = [b"".join(self._pieces)]
        piece = self._pieces[0] if self._pieces else b""
        return watch.holds(piece, is_last=self._complete or is_all, then=self._release)

    def _release(self) -> None:
        if not self._over:
            self._send_body()
            self._check_over()

    def may_go(self) -> bool:
        if super().may_go():
            self._send_body()
        return not self._over

    def _withdraw(self) -> None:
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.drop()

    def request_sent(self, count: int) -> None:
        self._client.session.acknowledge(self._stream_id, count)

    def client_gone(self) -> None:
        """Drop the upstream stream: the client has reset its stream or is gone."""
        self._failed("client", "the client went away")
        self._end()
        self._drop("the client went away")
        self._client.exchange_over(self._stream_id)

    def cut(self) -> None:
        """Reset the stream, whose host is refused by now."""
        self._break_off(ErrorCode.CANCEL, "the rules changed", "blocked")

    def _drop(self, reason: str) -> None:
        self._inspection.break_off(reason)
        self._cancel()
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.drop()
        self._pieces.clear()
        self._relay.stop()

    def _break_off(self, code: ErrorCode | int, reason: str, failure: Failure) -> None:
        """Reset the stream: nothing else tells the client that the rest is missing."""
        if self._over:
            return
        self._failed(failure, reason)
        self._end()
        self._drop(reason)
        self._client.session.reset(self._stream_id, code)
        self._client.exchange_over(self._stream_id)

    # -- the response

    def response_interim(self, head: ResponseHead) -> None:
        if self._client.session.is_unread:  # no window holds up an interim response
            self._break_off(ErrorCode.ENHANCE_YOUR_CALM, "the client does not read", "client")
        elif head.status != 100 or self._request.expects_continue:
            self._relay.interim(head, credentialed=self._verdict.credentialed)

    def response_started(self, head: ResponseHead, *, ended: bool) -> None:
        """Start the response. Raises MessageError if its body cannot be searched."""
        if self._course is not None:
            self._course.status = head.status
        if head.status == 401:
            self._rejected()
        self._relay.start(head, ended=ended, credentialed=self._verdict.credentialed)

    def response_body(self, piece: bytes) -> None:
        if self._course is not None:
            self._course.received += len(piece)
        self._relay.body(piece)

    def response_finished(self, fields: Sequence[Header]) -> None:
        self._relay.finish(fields)

    def _unfit(self, reason: str, failure: Failure) -> None:
        self._break_off(ErrorCode.INTERNAL_ERROR, reason, failure)

    def body_sent(self, credit: int) -> None:
        if credit and self._upstream is not None:
            self._upstream.taken(credit)
        self._relay.go_on()

    def end_sent(self) -> None:
        self._answered = True
        self._check_over()

    def _check_over(self) -> None:
        """End the exchange once both directions have ended, in either order."""
        if self._answered and self._complete and not self._over:
            self._end()
            self._upstream = None  # it refers to this exchange: a cycle would wait to be collected
            self._client.exchange_over(self._stream_id)

    def upstream_failed(
        self, reason: str, failure: Failure, code: int | None = None, *, replay: Replay = "none"
    ) -> None:
        self._upstream = None
        if self._over:
            return
        if self._relay.is_complete:
            # The response was complete; only the rest of the request is lost.
            self._complete = True
            self._pieces.clear()
            self._client.session.settle(self._stream_id)
            self._client.session.abandon(self._stream_id)
            self._check_over()
        elif self._relay.started or code == ErrorCode.HTTP_1_1_REQUIRED:
            self._break_off(code or ErrorCode.INTERNAL_ERROR, reason, failure)
        elif not self._replay(replay):
            self._refuse(refusal.upstream_failed(self._verdict.origin.host, reason, failure))
