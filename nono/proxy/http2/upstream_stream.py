"""Carry one request to an upstream, and its response, as a stream of an HTTP/2 connection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from nono.proxy.http.message import BodyKind, Header, MessageError, ResponseHead
from nono.proxy.http.response_reader import MAX_INTERIM_RESPONSES
from nono.proxy.http2 import heads
from nono.proxy.http2.protocol.events import (
    DataReceived,
    HeadReceived,
    InterimReceived,
    OnStream,
    StreamReset,
    TrailersReceived,
)
from nono.proxy.http2.protocol.frames import ErrorCode
from nono.proxy.http2.session import Session
from nono.proxy.upstream.connection import Replay

if TYPE_CHECKING:
    from nono.audit.event import Failure


class Receiver(Protocol):
    """The exchange that receives the response."""

    def may_go(self) -> bool:
        """Return True if the request, which has waited for the end of the turn, may be sent.

        Then the receiver has queued what it has of the body. Otherwise it has dropped the stream.
        """
        ...

    def request_sent(self, count: int) -> None:
        """Note that `count` bytes of the request body have been sent."""
        ...

    def response_interim(self, head: ResponseHead) -> None: ...
    def response_started(self, head: ResponseHead, *, ended: bool) -> None: ...
    def response_body(self, piece: bytes) -> None: ...
    def response_finished(self, fields: Sequence[Header]) -> None: ...

    def upstream_failed(
        self, reason: str, failure: Failure, code: int | None = None, *, replay: Replay = "none"
    ) -> None:
        """Report a failure; after a complete response only the rest of the request is lost.

        reason, failure: one clause for the client and the record, and its kind.
        code: the error code of the RST_STREAM, if there was one.
        replay: the requests that may be sent again without taking effect twice.
        """
        ...


class UpstreamStream:
    """One request and its response; a Source for the session.

    forget: called with the stream's identifier when it is over.
    """

    def __init__(
        self, session: Session, receiver: Receiver, method: bytes, forget: Callable[[int], None]
    ) -> None:
        self.stream_id = 0  # not yet assigned
        self.waits = True  # its head was not sent
        self._forget = forget
        self._session = session
        self._receiver: Receiver | None = receiver
        self._method = method
        self._interim = 0
        self._trailers: list[Header] = []
        self.heard = False  # something was received
        self._ended = False  # the response is complete
        self._unseen: int | None = None  # bytes of its body still to come, if known

    # -- what the exchange calls

    def send(self, piece: bytes) -> None:
        self._session.body(self.stream_id, piece, len(piece))

    def finish(self, fields: Sequence[Header]) -> None:
        """End the request; `fields` are its trailers."""
        self._session.end(self.stream_id, fields)

    def taken(self, count: int) -> None:
        """Note that `count` bytes of the response have been passed on."""
        self._session.acknowledge(self.stream_id, count)

    def drop(self) -> None:
        """Reset the stream: nobody waits for the response."""
        self._receiver = None
        self._session.reset(self.stream_id, ErrorCode.CANCEL)
        self._forget(self.stream_id)

    # -- Opening

    def may_go(self) -> bool:
        self.waits = False
        return self._receiver is not None and self._receiver.may_go()

    def not_opened(self) -> None:
        self._forget(self.stream_id)
        self.fail_unopened()

    # -- Source

    def body_sent(self, credit: int) -> None:
        if self._receiver is not None:
            self._receiver.request_sent(credit)

    def end_sent(self) -> None:
        if self._ended:
            self._forget(self.stream_id)

    # -- what the connection calls

    def handle(self, event: OnStream) -> None:
        receiver = self._receiver
        if receiver is None:
            return
        self.heard = True
        try:
            match event:
                case HeadReceived(_, fields, ended):
                    self._handle_head(receiver, fields, ended=ended)
                case DataReceived(_, piece, _, ended):
                    self._handle_body(receiver, piece)
                    if ended:
                        self._finish()
                case InterimReceived(_, fields):
                    self._handle_interim(receiver, fields)
                case TrailersReceived(_, fields):
                    self._trailers = heads.trailer_fields(fields)
                    self._finish()
                case StreamReset(_, code):
                    replay: Replay = "any" if code == ErrorCode.REFUSED_STREAM else "none"
                    self.fail(f"the upstream reset the stream ({_name(code)})", "reset", code, replay=replay)
        except MessageError as fault:
            self._session.reset(self.stream_id, ErrorCode.PROTOCOL_ERROR)
            self.fail(fault.of_response, "malformed")

    def _handle_head(self, receiver: Receiver, fields: Sequence[Header], *, ended: bool) -> None:
        head = heads.response_head(fields, to_method=self._method)
        if head.is_interim:
            raise MessageError("an interim status at the end of a response")
        if head.body.kind in (BodyKind.NONE, BodyKind.LENGTH):
            self._unseen = head.body.length
        self._ended = ended
        if ended:
            self._check_whole()
        receiver.response_started(head, ended=ended)

    def _handle_interim(self, receiver: Receiver, fields: Sequence[Header]) -> None:
        self._interim += 1
        if self._interim > MAX_INTERIM_RESPONSES:
            raise MessageError("too many interim responses")
        head = heads.response_head(fields, to_method=self._method)
        if head.status == 101:
            raise MessageError("HTTP/2 has no status 101")
        receiver.response_interim(head)

    def _handle_body(self, receiver: Receiver, piece: bytes) -> None:
        if self._unseen is not None:
            self._unseen -= len(piece)
            if self._unseen < 0:
                # Also a body after a 204 or 304: such a head makes us skip the search of its body.
                raise MessageError("a body longer than announced")
        if piece:
            receiver.response_body(piece)

    def _finish(self) -> None:
        # The receiver may have dropped the stream over its last piece.
        if self._receiver is not None:
            self._check_whole()
            self._ended = True
            self._receiver.response_finished(self._trailers)

    def _check_whole(self) -> None:
        if self._unseen:
            raise MessageError("a body shorter than announced")

    def fail_unopened(self) -> None:
        """Fail a request that the upstream has not processed."""
        self.fail("the upstream is closing the connection", "closed", replay="any")

    def fail(
        self, reason: str, failure: Failure, code: int | None = None, *, replay: Replay = "none"
    ) -> None:
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.upstream_failed(reason, failure, code, replay=replay)


def _name(code: int) -> str:
    try:
        return ErrorCode(code).name
    except ValueError:
        return f"code {code}"
