"""Serve an HTTP/2 client inside an intercepted CONNECT; each stream is one request, judged alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Protocol, cast

import anyio

from nono.proxy.exchange import context as shared
from nono.proxy.exchange.context import ProxyContext
from nono.proxy.http import refusal
from nono.proxy.http.message import Header, MessageError, RequestHead
from nono.proxy.http.refusal import MAX_AUTHENTICATION_FAILURES, Refusal
from nono.proxy.http2 import heads
from nono.proxy.http2.exchange import Http2Exchange
from nono.proxy.http2.intake import Intake
from nono.proxy.http2.protocol.events import (
    DataReceived,
    Event,
    GoAway,
    HeadReceived,
    SettingsReceived,
    StreamReset,
    TrailersReceived,
)
from nono.proxy.http2.protocol.frames import ErrorCode, FrameError
from nono.proxy.http2.session import Session
from nono.proxy.http2.upstreams import Upstreams
from nono.proxy.transport.deadline import GOODBYE_S, Deadline
from nono.proxy.transport.polled import is_sending
from nono.proxy.verdict import audit_events
from nono.proxy.verdict.host_policy import HostPolicy, is_refused
from nono.proxy.verdict.verdict import Capture, ConnectTarget, Entry, Forward, Intercept, Refused, Tunnel

_MAX_STREAMS = 128
_STREAM_WINDOW = 256 * 1024  # the client is on this machine, so little is ever in flight
_CLOSE_S = 10.0  # how long a client may take to read the last bytes written


class Stream(Protocol):
    """The handler of one request."""

    def request_body(self, piece: bytes) -> None: ...
    def request_trailers(self, fields: Sequence[Header]) -> None: ...
    def request_ended(self) -> None: ...
    def client_gone(self) -> None: ...


class Http2Connection(asyncio.Protocol):
    """One client connection; closed by either end, by a deadline, or with the proxy.

    No time limit runs while a stream is open: both sides of a call may be silent for any length of time.
    """

    def __init__(self, context: ProxyContext, inside: ConnectTarget) -> None:
        self._context = context
        self._inside = inside
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self.session = Session(
            client_side=False,
            stream_window=_STREAM_WINDOW,
            held=context.http2_held,
            max_streams=_MAX_STREAMS,
        )
        self._intake = Intake(context.turns, self._take, self.session.next_size)
        self.upstreams = Upstreams(context)
        self._streams: dict[int, Stream] = {}
        self._greeted = False  # the client's SETTINGS have arrived
        self._leaving = False  # no further stream is accepted
        self._last: tuple[HostPolicy, str, int] | None = None  # where the last request was sent
        self._authentication_failures = 0
        self._deadline = Deadline(self._overdue)
        self._waits_for_head = False

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._context.connections.add(self)
        if self._context.connections.closing:
            self._transport.abort()
            return
        self._intake.start(self._transport)
        self.session.start(self._transport)
        self._update_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        self._context.connections.discard(self)
        self._transport = None
        self._leaving = True
        self._intake.stop()
        self.session.stop()
        self._deadline.cancel()
        self._drop_streams()
        self.upstreams.close()

    def _drop_streams(self) -> None:
        for stream in [*self._streams.values()]:
            stream.client_gone()

    def pause_writing(self) -> None:
        self.session.paused = True

    def resume_writing(self) -> None:
        self.session.paused = False
        self.session.flush()

    def data_received(self, data: bytes) -> None:
        self._intake.feed(data)

    def _take(self, data: bytes) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        try:
            for event in self._events(data):
                if self._is_closing:
                    return
                self._handle(event)
        except FrameError as fault:
            self._fail(fault.reason, fault.code)
        self._update_deadline()
        self.session.flush()

    def _events(self, data: bytes) -> Iterator[Event]:
        """Yield the events in `data`. Raises FrameError, also for a fault in the parser."""
        try:
            yield from self.session.receive(data)
        except FrameError:
            raise
        except Exception as fault:
            raise FrameError("it is not HTTP/2", ErrorCode.PROTOCOL_ERROR) from fault

    @property
    def _is_closing(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    # -- frames

    def _handle(self, event: Event) -> None:
        match event:
            case HeadReceived(stream_id, fields, ended):
                self._request(stream_id, fields, ended=ended)
            case DataReceived(stream_id, piece, _, ended):
                stream = self._streams.get(stream_id)
                if stream is None:
                    self.session.settle(stream_id)
                elif piece:
                    stream.request_body(piece)
                if ended:
                    self._request_ended(stream_id)
            case TrailersReceived(stream_id, fields):
                stream = self._streams.get(stream_id)
                if stream is not None:
                    stream.request_trailers(fields)
                self._request_ended(stream_id)
            case StreamReset(stream_id):
                self.session.stream_reset()
                stream = self._streams.get(stream_id)
                if stream is not None:
                    stream.client_gone()
            case SettingsReceived():
                self._greeted = True
            case GoAway():
                self._leaving = True  # the client opens no further stream; open ones continue
                self._close_soon()

    def _request_ended(self, stream_id: int) -> None:
        # Looked up again: a malformed body or trailers may have ended the stream.
        stream = self._streams.get(stream_id)
        if stream is not None:
            stream.request_ended()

    def _request(self, stream_id: int, fields: Sequence[Header], *, ended: bool) -> None:
        if not self.session.is_open(stream_id):
            return  # reset in the same batch of frames
        if self._leaving or len(self._streams) >= _MAX_STREAMS:
            self.session.reset(stream_id, ErrorCode.REFUSED_STREAM)
            self.session.stream_reset()
            return
        try:
            head = heads.request_head(fields, ended=ended)
        except MessageError as fault:
            answer = Refusal(fault.status, fault.reason, self._inside.host)
            self._answer(stream_id, None, self._malformed(), answer, heard_all=ended)
            return
        verdict = self._context.judge(head, self._inside)
        match verdict:
            case Refused(entry, answer):
                self._answer(stream_id, head, entry, answer, heard_all=ended)
            case Forward() if not self._takes_place():
                answer = refusal.too_many_streams(shared.MAX_HTTP2_STREAMS, verdict.origin.host)
                self._answer(stream_id, head, verdict.entry, answer, heard_all=ended)
            case Forward():
                self._last = (verdict.hosts, verdict.origin.host, verdict.origin.port)
                exchange = Http2Exchange(self._context, self, stream_id, head, verdict)
                self._streams[stream_id] = exchange
                self.session.accept(stream_id, exchange, heard_all=ended)
                exchange.start()
            case Capture(forward):
                # ALPN does not offer HTTP/2 for such a host; login answers are searched over HTTP/1.1 only.
                answer = Refusal(502, "logins get their tokens over HTTP/1.1 only", self._inside.host)
                self._answer(stream_id, head, forward.entry, answer, heard_all=ended)
            case Tunnel() | Intercept():
                raise AssertionError("nothing inside a CONNECT is tunnelled")

    def _takes_place(self) -> bool:
        """Return True if all clients together have room for one more exchange, whose place is then taken."""
        try:
            self._context.http2_streams.acquire_nowait()
        except anyio.WouldBlock:
            return False
        return True

    def _forget(self, stream_id: int) -> None:
        if isinstance(self._streams.pop(stream_id, None), Http2Exchange):
            self._context.http2_streams.release()

    def _malformed(self) -> Entry:
        return Entry("connect_intercept", self._inside.host, self._inside.port, "")

    # -- the proxy's own answers

    def refuse(self, stream_id: int, head: RequestHead, entry: Entry, answer: Refusal) -> None:
        if stream_id in self._streams:
            heard_all = self.session.heard_all(stream_id)
            self.session.settle(stream_id)
            self._forget(stream_id)
            self._answer(stream_id, head, entry, answer, heard_all=heard_all)

    def _answer(
        self, stream_id: int, head: RequestHead | None, entry: Entry, answer: Refusal, *, heard_all: bool
    ) -> None:
        """Record and answer on that stream only. `head` is None if it was malformed."""
        if answer.category == "authentication_failed":
            self._authentication_failures += 1
        answer = self._context.refused(entry, answer)
        fields, body = heads.refusal_fields(answer, head)
        refused = _RefusedStream(self, stream_id)
        self._streams[stream_id] = refused
        self.session.accept(stream_id, refused, heard_all=heard_all)
        self.session.abandon(stream_id)
        self.session.head(stream_id, fields, end=not body)
        if body:
            self.session.body(stream_id, body, 0)
            self.session.end(stream_id)
        if self._authentication_failures > MAX_AUTHENTICATION_FAILURES:
            self.wind_down()

    def exchange_over(self, stream_id: int) -> None:
        self.session.settle(stream_id)
        self._forget(stream_id)
        if not self._streams:
            self._close_soon()

    # -- the end

    def cut_if_refused(self) -> bool:
        """Judge each stream by the current rules. Returns True if one, or the connection, was cut."""
        exchanges = [each for each in self._streams.values() if isinstance(each, Http2Exchange)]
        refused = [each for each in exchanges if each.note_if_refused()]
        # Between two requests, the connection still is one to that host.
        is_host_refused = self._last is not None and is_refused(*self._last)
        if len(refused) < len(exchanges) or not is_host_refused:
            for each in refused:
                each.cut()
            if exchanges:
                self.upstreams.close_idle()
            return bool(refused)
        self.abort()
        # At once: what waits for the end of the turn must not be sent upstream any more.
        self._drop_streams()
        self.upstreams.close()
        return True

    def wind_down(self) -> None:
        """Accept no further stream, and close once the open ones have ended."""
        if not self._leaving:
            self._leaving = True
            self.session.say_goodbye()
        self._close_soon()

    def _close_soon(self) -> None:
        # Deferred: this may be called while frames are being written or read.
        self._loop.call_soon(self._close_if_left)

    def _close_if_left(self) -> None:
        if self._streams or self._is_closing:
            return
        if self._leaving:
            self._close()
        else:
            self._update_deadline()

    def _close(self) -> None:
        if self._transport is not None:
            self.session.flush()
            self._transport.close()
            self._deadline.set(_CLOSE_S if self._transport.get_write_buffer_size() else GOODBYE_S)

    def _fail(self, reason: str, code: ErrorCode) -> None:
        """End the connection with a GOAWAY."""
        answer = refusal.malformed(400, f"the HTTP/2 connection was ended: {reason}")
        self._context.record(audit_events.denied(self._malformed(), answer))
        self._leaving = True
        self.session.say_goodbye(code)
        self._close()
        self._drop_streams()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # -- deadlines

    def _update_deadline(self) -> None:
        if self._is_closing:
            return
        waits_for_head = not self._greeted or self.session.in_head
        if waits_for_head:
            if not self._waits_for_head:  # limits the whole head, even if bytes keep arriving
                self._deadline.set(self._context.head_timeout_s)
        elif self._streams:
            self._deadline.lift()
        else:
            self._deadline.set(self._context.idle_timeout_s)
        self._waits_for_head = waits_for_head

    def _overdue(self) -> None:
        if self._is_closing:
            self.abort()
        elif self._waits_for_head:
            self._fail("a head took too long", ErrorCode.ENHANCE_YOUR_CALM)
        elif self._transport is not None and is_sending(self._transport):
            self._deadline.set(self._context.idle_timeout_s)  # it has not read its last response yet
        else:
            self.wind_down()


class _RefusedStream:
    """A stream that was answered already; later input on it is dropped."""

    def __init__(self, connection: Http2Connection, stream_id: int) -> None:
        self._connection = connection
        self._stream_id = stream_id

    def request_body(self, piece: bytes) -> None:
        self._connection.session.settle(self._stream_id)

    def request_trailers(self, fields: Sequence[Header]) -> None:
        """Drop the trailers."""

    def request_ended(self) -> None:
        """Do nothing: the stream ends with the answer."""

    def client_gone(self) -> None:
        self._connection.exchange_over(self._stream_id)

    def body_sent(self, credit: int) -> None:
        """Do nothing: the whole body is queued already."""

    def end_sent(self) -> None:
        self._connection.exchange_over(self._stream_id)
