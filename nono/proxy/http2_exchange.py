"""One allowed request of an HTTP/2 client: prepared, recorded, sent upstream, and answered on its stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import anyio
from h2.errors import ErrorCodes

from nono.credentials.credential import Injection, Outgoing
from nono.credentials.errors import RequestUnfit
from nono.errors import CredentialError
from nono.proxy import http2_head, recording, refusal, rewrite
from nono.proxy.engine import Engine
from nono.proxy.http2_downgrade import Http1Stream
from nono.proxy.http2_reach import Reached, Upstreams
from nono.proxy.http2_relay import Http2Relay
from nono.proxy.http2_session import Session
from nono.proxy.http2_upstream import Http2Upstream, Replay, UpstreamStream
from nono.proxy.message import (
    Body,
    BodyKind,
    Header,
    MessageError,
    RequestHead,
    ResponseHead,
    framing_fields,
)
from nono.proxy.preparation import Ready
from nono.proxy.refusal import Refusal
from nono.proxy.upstream import PoolKey
from nono.proxy.verdict import Entry, Forward

_MAX_HELD_BYTES = 16 * 1024 * 1024  # of a request body that must be there before the request is sent
_IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))  # RFC 9110 section 9.2.2


class ClientSide(Protocol):
    """What an exchange needs of the connection its request came on."""

    @property
    def session(self) -> Session: ...
    @property
    def upstreams(self) -> Upstreams: ...
    def refuse(self, stream_id: int, head: RequestHead, entry: Entry, answer: Refusal) -> None:
        """Record and answer; ends the exchange. Only before the first byte of a response."""
        ...

    def exchange_over(self, stream_id: int) -> None: ...


class Http2Exchange:
    """From an allowed request to the end of both of its sides; the credential is this exchange's alone."""

    def __init__(
        self, engine: Engine, client: ClientSide, stream_id: int, head: RequestHead, verdict: Forward
    ) -> None:
        self._engine = engine
        self._client = client
        self._stream_id = stream_id
        self._request = head
        self._verdict = verdict
        self._outgoing = verdict.request
        self._framing = head.body
        self._inspection = engine.inspect(verdict)
        self._scope: anyio.CancelScope | None = None  # around a wait, while there is one
        self._injection: Injection | None = None
        self._upstream: UpstreamStream | Http1Stream | None = None
        # the request
        self._pieces: list[bytes] = []  # of its body, while there is nobody to send them to
        self._held: bytearray | None = None  # its body, while it is collected before anything is sent
        self._trailers: list[Header] = []
        self._complete = head.body.kind is BodyKind.NONE
        self._unseen = head.body.length  # of a body whose length was announced
        self._sent_body = False
        self._sent_end = False
        self._recorded = False
        self._retried = False
        # the response
        self._relay = Http2Relay(client.session, stream_id, self._inspection, self._undecodable)
        self._answered = False  # all of it has left
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

    @contextmanager
    def _cancellable(self) -> Iterator[bool]:
        """A block that ends when the client gives up; yields whether it has already."""
        with anyio.CancelScope() as scope:
            self._scope = scope
            try:
                yield self._over
            except Exception:
                self._break_off(ErrorCodes.INTERNAL_ERROR, "a fault of the proxy")
                raise
            finally:
                self._scope = None

    def _prepared(self, ready: Ready | Refusal) -> None:
        if isinstance(ready, Refusal):
            self._refuse(ready)
            return
        self._injection = ready.injection
        self._inspection.arm()
        if ready.injection is not None and ready.injection.needs_body:
            self._hold_body()
        else:
            self._send()

    def _hold_body(self) -> None:
        """Collect the whole request body: a signature is over all of it."""
        if self._request.body.length > _MAX_HELD_BYTES:
            self._refuse_large_body()
            return
        self._held = bytearray()
        if self._request.expects_continue:  # the upstream, which nothing has been sent to, cannot say it
            self._client.session.head(self._stream_id, [(b":status", b"100")])
        pieces, self._pieces = self._pieces, []
        for piece in pieces:
            self._take_request(piece)
        if self._complete:
            self._body_is_held()

    def _body_is_held(self) -> None:
        held, self._held = self._held, None
        if held is None or self._over:
            return
        body = bytes(held)
        # What the client expected has been given to it.
        headers = [field for field in self._outgoing.headers if field[0].lower() != b"expect"]
        self._outgoing = self._outgoing._replace(headers=headers, body=body)
        if body:
            self._framing = Body(BodyKind.LENGTH, len(body))
        self._pieces = [body] if body else []
        self._send()

    def _refuse_large_body(self) -> None:
        self._held = None
        host = self._verdict.origin.host
        self._refuse(Refusal(413, "a body that must be signed may have 16 MiB at most", host))

    # -- reaching the upstream

    @property
    def _key(self) -> PoolKey:
        origin = self._verdict.origin
        via = self._engine.reach.via(origin.host, origin.port)
        return PoolKey(origin.scheme, origin.host, origin.port, self._verdict.tls, via)

    def _send(self) -> None:
        reached = self._client.upstreams.at_hand(self._key)
        if reached is None:
            self._engine.spawn(self._dial)
        else:
            self._attach(reached, reused=True)

    async def _dial(self) -> None:
        reached: Reached | Refusal | None = None  # stays so when the client gives up meanwhile
        with self._cancellable() as over:
            if not over:
                upstreams, hosts = self._client.upstreams, self._verdict.hosts
                reached = await upstreams.reach(self._key, hosts, self._record_allowed)
        if isinstance(reached, Refusal):
            self._refuse(reached)
        elif reached is not None:
            self._attach(reached, reused=False)

    def _record_allowed(self) -> bool:
        if not self._recorded:
            self._recorded = self._engine.record(recording.allowed(self._verdict.entry))
        return self._recorded

    def _attach(self, reached: Reached, *, reused: bool) -> None:
        """Send the head, and what has come of the body."""
        if self._over or not self._record_allowed():
            self._give_back(reached)
            self._refuse(refusal.not_recorded())
            return
        frozen = self._engine.preparation.frozen(self._verdict)
        if frozen is not None:
            self._give_back(reached)
            self._refuse(frozen)
            return
        request, codings = self._outgoing, self._codings(self._outgoing)
        try:
            if isinstance(reached, Http2Upstream):
                self._begin_http2(reached, request, codings)
            else:
                framing = framing_fields(self._framing)
                head = rewrite.request_head(request, framing, self._injection, codings)
                stream = Http1Stream(reached, self, self._request.method, self._framing, reused=reused)
                self._upstream = stream
                stream.begin(head)
        except RequestUnfit as fault:
            self._give_back(reached)
            entry, host = self._verdict.entry, self._verdict.origin.host
            self._refuse(refusal.unfit(entry.route_id or "", host, str(fault)))
            return
        except (OSError, ValueError, CredentialError):  # the text could hold the secret: not passed on
            self._give_back(reached)
            self._refuse(refusal.unavailable(self._verdict.entry.route_id or "", self._verdict.origin.host))
            return
        self._send_body()

    def _give_back(self, unused: Reached) -> None:
        if not isinstance(unused, Http2Upstream):
            self._engine.pool.give(unused)

    def _begin_http2(self, reached: Http2Upstream, request: Outgoing, codings: bytes | None) -> None:
        framing = framing_fields(self._framing) if self._framing.kind is BodyKind.LENGTH else []
        if b"trailers" in self._request.values(b"te"):
            framing = [*framing, (b"te", b"trailers")]
        fields = http2_head.request_fields(
            request, self._verdict.origin.scheme, framing, self._injection, codings
        )
        self._sent_end = self._complete and not self._pieces and not self._trailers
        self._upstream = reached.begin(self, request.method, fields, end=self._sent_end)

    def _codings(self, request: Outgoing) -> bytes | None:
        """The Accept-Encoding to send instead of the client's own; None: its own is fine."""
        if not self._inspection.reads_bodies:
            return None
        return rewrite.codings_to_ask_for(request)

    def _refuse(self, answer: Refusal) -> None:
        if not self._over:
            self._over = True
            self._inspection.break_off(answer.error)
            self._client.refuse(self._stream_id, self._request, self._verdict.entry, answer)

    # -- the request

    def request_body(self, piece: bytes) -> None:
        self._unseen -= len(piece)
        self._take_request(piece)

    def _take_request(self, piece: bytes) -> None:
        if self._over:
            self._client.session.acknowledge(self._stream_id, len(piece))
        elif self._held is not None:
            self._held += piece
            self._client.session.acknowledge(self._stream_id, len(piece))
            if len(self._held) > _MAX_HELD_BYTES:
                self._refuse_large_body()
        else:
            self._pieces.append(piece)
            self._send_body()

    def request_trailers(self, fields: Sequence[Header]) -> None:
        try:
            checked = http2_head.trailer_fields(fields)
        except MessageError as fault:
            self._malformed(f"the trailers of the request: {fault.reason}")
            return
        # What a trailer holds was not there to be judged when the credential was injected.
        self._trailers = [] if self._verdict.credentialed else checked

    def _malformed(self, reason: str) -> None:
        """No part of the request may look complete upstream. FrameError when it is one too many."""
        if self._over:
            return
        if self._relay.started:
            self._break_off(ErrorCodes.PROTOCOL_ERROR, reason)
        else:
            self._drop(reason)
            self._refuse(refusal.malformed(400, reason))
        # It ends before its time and has cost as much as one that the client resets (CVE-2025-8671).
        self._client.session.stream_reset()

    def request_ended(self) -> None:
        if self._request.body.kind is BodyKind.LENGTH and self._unseen:
            # h2 compares the lengths at the end of DATA only, and trailers may be the end. To an upstream of
            # HTTP/1.1 the next request on its connection would be the rest of this one.
            self._malformed("the body of the request is shorter than announced")
            return
        self._complete = True
        if self._held is not None:
            self._body_is_held()
        elif not self._over:
            self._send_body()
            self._check_over()

    def _send_body(self) -> None:
        """Pass on what is here; it is acknowledged to the client once it has left."""
        upstream = self._upstream
        if upstream is None:
            return
        pieces, self._pieces = self._pieces, []
        for piece in pieces:
            self._sent_body = True
            self._inspection.request_piece(piece)
            upstream.send(piece)
        if self._complete and not self._sent_end:
            self._sent_end = True
            upstream.finish(self._trailers)

    def request_sent(self, count: int) -> None:
        self._client.session.acknowledge(self._stream_id, count)

    def client_gone(self) -> None:
        """The client has reset the stream, or is gone: the upstream stops working for it."""
        self._over = True
        self._drop("the client went away")
        self._client.exchange_over(self._stream_id)

    def _drop(self, reason: str) -> None:
        self._inspection.break_off(reason)
        if self._scope is not None:
            self._scope.cancel()
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.drop()
        self._pieces.clear()
        self._relay.stop()

    def _break_off(self, code: ErrorCodes | int, reason: str) -> None:
        """Only a reset can tell the client that the rest is missing."""
        if self._over:
            return
        self._over = True
        self._drop(reason)
        self._client.session.reset(self._stream_id, code)
        self._client.exchange_over(self._stream_id)

    # -- the response

    def response_interim(self, head: ResponseHead) -> None:
        if head.status != 100 or self._request.expects_continue:
            self._relay.interim(head, credentialed=self._verdict.credentialed)

    def response_started(self, head: ResponseHead, *, ended: bool) -> None:
        """MessageError: it cannot be looked at."""
        verdict = self._verdict
        if head.status == 401 and verdict.route is not None and verdict.route.credential is not None:
            verdict.route.credential.rejected(verdict.facts)
        self._relay.start(head, ended=ended, credentialed=verdict.credentialed)

    def response_body(self, piece: bytes) -> None:
        self._relay.body(piece)

    def response_finished(self, fields: Sequence[Header]) -> None:
        self._relay.finish(fields)

    def _undecodable(self, reason: str) -> None:
        self._break_off(ErrorCodes.INTERNAL_ERROR, reason)

    def body_sent(self, credit: int) -> None:
        if credit and self._upstream is not None:
            self._upstream.taken(credit)
        self._relay.go_on()

    def end_sent(self) -> None:
        self._answered = True
        self._check_over()

    def _check_over(self) -> None:
        """Either side may end first; the exchange is over when both have."""
        if self._answered and self._complete and not self._over:
            self._over = True
            self._client.exchange_over(self._stream_id)

    def upstream_failed(self, reason: str, code: int | None = None, *, replay: Replay = "none") -> None:
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
        elif self._relay.started or code == ErrorCodes.HTTP_1_1_REQUIRED:
            self._break_off(code or ErrorCodes.INTERNAL_ERROR, reason)
        elif self._may_replay(replay):
            self._retried = True
            self._sent_end = False
            self._engine.spawn(self._dial)
        else:
            self._refuse(refusal.upstream_failed(self._verdict.origin.host, reason))

    def _may_replay(self, replay: Replay) -> bool:
        """Whether the request can be sent once more, and is not carried out twice by that."""
        if self._retried or self._sent_body or replay == "none":
            return False
        return replay == "any" or not self._complete or self._request.method in _IDEMPOTENT
