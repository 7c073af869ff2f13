"""Forward a request that arrived over HTTP/2 on an HTTP/1.1 connection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from nono.proxy.http.message import Body, BodyKind, Header, ResponseHead, is_surely_read
from nono.proxy.http.writing import chunk, last_chunk
from nono.proxy.http2.upstream_stream import Receiver
from nono.proxy.upstream.connection import Replay, UpstreamConnection

if TYPE_CHECKING:
    from nono.audit.event import Failure

_AHEAD_BYTES = 256 * 1024  # of the response, read but not passed on


class Http1Stream:
    """One request and its response; a ResponseSink of the connection, which it releases at the end.

    It calls the receiver as an HTTP/2 stream would, and `on_release` once it no longer uses the connection.
    """

    def __init__(
        self,
        connection: UpstreamConnection,
        receiver: Receiver,
        method: bytes,
        framing: Body,
        on_release: Callable[[UpstreamConnection], None],
        *,
        drains: bool,
        reused: bool,
    ) -> None:
        self._connection: UpstreamConnection | None = connection
        self._on_release = on_release
        self._receiver = receiver
        self._method = method
        self._chunked = framing.kind is BodyKind.CHUNKED
        self._is_read = is_surely_read(method, framing, drains=drains)
        self._reused = reused
        self._writable = True
        self._unsent = 0  # bytes of the request still in the transport's buffer
        self._behind = 0  # bytes of the response not yet passed on
        self._request_done = False
        self._ended = False

    def begin(self, head: bytes) -> None:
        """Send the request head."""
        if self._connection is not None:
            self._connection.begin(self, self._method)
            self._connection.write([head])

    # -- what the exchange calls

    @property
    def waits(self) -> bool:
        """True if nothing is sent before the end of the turn, and the receiver asked once more."""
        return self._connection is not None and self._connection.waits

    def send(self, piece: bytes) -> None:
        if self._connection is None:
            return
        self._connection.write([chunk(piece) if self._chunked else piece])
        if self._writable:
            self._receiver.request_sent(len(piece))
        else:
            self._unsent += len(piece)

    def finish(self, fields: Sequence[Header]) -> None:
        """End the request. Trailers are dropped, as those of an HTTP/1.1 client are."""
        self._request_done = True
        if self._chunked and self._connection is not None:
            self._connection.write([last_chunk()])

    def taken(self, count: int) -> None:
        """Note that `count` bytes of the response have been passed on."""
        self._behind -= count
        self._pace()

    def drop(self) -> None:
        """Cut the connection: nobody waits for the response."""
        connection = self._let_go()
        if connection is not None:
            connection.release(reusable=False)

    def _let_go(self) -> UpstreamConnection | None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._on_release(connection)
        return connection

    def _pace(self) -> None:
        if self._connection is not None:
            self._connection.pause_reading(self._behind > _AHEAD_BYTES)

    # -- ResponseSink

    def may_go(self) -> bool:
        return self._receiver.may_go()

    def response_interim(self, head: ResponseHead) -> None:
        self._receiver.response_interim(head)

    def response_started(self, head: ResponseHead) -> None:
        self._ended = head.body.kind is BodyKind.NONE
        self._receiver.response_started(head, ended=self._ended)

    def response_body(self, piece: bytes) -> None:
        self._behind += len(piece)
        self._receiver.response_body(piece)

    def response_flush(self) -> None:
        self._pace()

    def response_finished(self, fields: Sequence[Header], *, reusable: bool) -> None:
        connection = self._let_go()
        if connection is not None:
            connection.release(reusable=reusable and self._request_done and self._is_read)
        if not self._ended:
            self._receiver.response_finished(fields)
        if not self._request_done:
            reason = "the upstream answered before the request was complete"
            self._receiver.upstream_failed(reason, "closed")

    def response_switched(self, head: ResponseHead) -> None:
        self.upstream_failed("the upstream switched protocols, which nobody asked for", "malformed")

    def upstream_failed(self, reason: str, failure: Failure) -> None:
        connection = self._let_go()
        replay: Replay = "none"
        if connection is not None:
            if not connection.has_begun:
                replay = "any"
            elif self._reused and not connection.heard:
                replay = "idempotent"
            connection.abort()
        self._receiver.upstream_failed(reason, failure, replay=replay)

    def upstream_writable(self, writable: bool) -> None:
        self._writable = writable
        if writable and self._unsent:
            unsent, self._unsent = self._unsent, 0
            self._receiver.request_sent(unsent)
