"""Relay one response to an HTTP/1.1 client through its inspection."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from time import perf_counter
from typing import TYPE_CHECKING

from nono.proxy.exchange.client_side import ClientSide
from nono.proxy.exchange.filter.body_search import LeakError
from nono.proxy.exchange.filter.response import BodyFilter
from nono.proxy.exchange.inspection import Inspection
from nono.proxy.http import websocket
from nono.proxy.http.coded_streams import ContentCodingError
from nono.proxy.http.content_coding import DecoderMemoryError
from nono.proxy.http.message import BodyKind, Header, RequestHead, ResponseHead
from nono.proxy.http.passing import end_to_end
from nono.proxy.http.writing import chunk, last_chunk, serialise
from nono.proxy.transport.turns import Turns
from nono.proxy.verdict.rewrite import WITHHELD, response_for_client

if TYPE_CHECKING:
    from nono.audit.event import Failure

_FLUSHED_BYTES = 16 * 1024
_NOT_IN_INTERIM = WITHHELD | {b"content-length"}


class Relay:
    """Write the one response of a request.

    client: receives the response.
    request: its version decides about interim responses, chunked coding and the end of the connection.
    inspection: searches and records the response.
    turns: share the loop among the bodies that take long.
    on_end: called once everything is written. That is after end() returns if the body waits for its turn, or
        for a client that reads more slowly than a coded body expands.
    on_unfit: called with the reason and its kind if the body must not go on after its start was sent.
    on_progress: called after a turn of this body, in which is_behind may have changed.
    """

    def __init__(
        self,
        client: ClientSide,
        request: RequestHead,
        inspection: Inspection,
        turns: Turns,
        on_end: Callable[[], None],
        on_unfit: Callable[[str, Failure], None],
        on_progress: Callable[[], None],
    ) -> None:
        self._client = client
        self._request = request
        self._inspection = inspection
        self._turns = turns
        self._on_end = on_end
        self._on_unfit = on_unfit
        self._on_progress = on_progress
        self._waits = False  # it waits for its turn
        self._filter: BodyFilter | None = None
        self._outputs: deque[Iterator[bytes]] = deque()  # output of the filter, not yet consumed
        self._trailers: Sequence[Header] | None = None  # set once the body is complete
        self._chunked = False
        self._left = -1  # still to be sent of a body with a length; negative for any other body
        self._last = b""  # of a body with a length: sent with the end of the response
        self._client_paused = False
        self._stopped = False
        self.started = False  # the client has seen a part of the final response

    @property
    def is_behind(self) -> bool:
        """True if more has arrived than was processed, or than the client reads."""
        return self._client_paused or bool(self._outputs)

    def interim(self, head: ResponseHead) -> None:
        request = self._request
        if request.version != b"1.1" or (head.status == 100 and not request.expects_continue):
            return
        head = self._inspection.interim(head)
        fields = end_to_end(head.headers, without=_NOT_IN_INTERIM)
        self._client.send(serialise(b"HTTP/1.1 %d %b" % (head.status, head.reason), fields))

    def switched(self, head: ResponseHead) -> bytes:
        """Return the 101 for the client. The bytes after it are not inspected."""
        fields = end_to_end(self._inspection.switched(head), without=WITHHELD)
        return serialise(b"HTTP/1.1 101 Switching Protocols", [*fields, *websocket.handshake_fields()])

    def start(self, head: ResponseHead, *, closes: bool, credentialed: bool) -> bool:
        """Send the head. Returns True if the connection must close after this response.

        Raises WithheldError if the body cannot be searched.
        """
        head, self._filter = self._inspection.begin(head)
        unframed = head.body.kind in (BodyKind.CHUNKED, BodyKind.UNTIL_CLOSE)
        closes = closes or (unframed and self._request.version == b"1.0")
        written, self._chunked = response_for_client(
            head, to_version=self._request.version, closes=closes, credentialed=credentialed
        )
        if head.body.kind is BodyKind.LENGTH:
            self._left = head.body.length
        self.started = True
        self._client.send(written)
        return closes

    def body(self, piece: bytes) -> None:
        if self._filter is None:
            self._send(piece)
        elif self._stopped:
            return
        elif (
            self._outputs
            or self._filter.is_slow
            or (len(piece) > _FLUSHED_BYTES and self._turns.is_spent())  # a small piece is searched at once
            or self._filter.takes_long(piece, runs := self._filter.long_runs(piece))
        ):
            self._outputs.append(self._filter.feed(piece))
            self._take()
        else:
            try:
                self._send(self._filter.pass_on(piece, runs))
            except LeakError as fault:
                self._on_unfit(str(fault), "blocked")

    def _send(self, piece: bytes) -> None:
        if not piece:
            return
        self._left -= len(piece)
        if self._left == 0 and self._outputs:
            # A client that has all of it may leave before the end gets its turn, and a response that was left
            # counts as one that was not read to its end.
            self._last = piece
        else:
            self._client.send(chunk(piece) if self._chunked else piece)

    def flush(self) -> None:
        self._client.flush()

    def end(self, trailers: Sequence[Header]) -> None:
        """Finish: the upstream has sent the whole response."""
        if self._stopped:
            return
        self._trailers = self._inspection.clean_fields(trailers) if trailers else ()
        if self._filter is not None and (self._outputs or self._filter.is_slow):
            self._outputs.append(self._filter.finish())
            self._take()
            return
        try:
            if self._filter is not None:
                self._send(self._filter.rest())
        except LeakError as fault:
            self._on_unfit(str(fault), "blocked")
        else:
            self._finish(self._trailers)

    def stop(self) -> None:
        """Drop the rest of the response."""
        self._stopped = True
        self._outputs.clear()
        self._trailers = None
        self._last = b""
        self._let_go()

    def pause(self, paused: bool) -> None:
        """Pause or resume, as the client's transport reports."""
        self._client_paused = paused
        if not paused and self.started:
            self._take()

    def _take(self) -> None:
        """Send the filter's output until the client pauses. Work that takes longer waits for its turn."""
        if not self._waits and self._turns.start(self._work):
            self._waits = True
            self._turns.add(self._turn)

    def _turn(self, until: float) -> bool:
        self._waits = self._work(until)
        self._client.flush()
        self._on_progress()
        return self._waits

    def _work(self, until: float) -> bool:
        """Work until the time `until`. Returns True if more can be done right away."""
        unflushed = 0
        try:
            while self._outputs and not self._client_paused:
                output = next(self._outputs[0], None)
                if output is None:
                    self._outputs.popleft()
                    continue
                self._send(output)
                unflushed += len(output)
                if unflushed > _FLUSHED_BYTES:
                    self._client.flush()  # otherwise the transport cannot know how many bytes are waiting
                    unflushed = 0
                if perf_counter() >= until:
                    return True
            if self._trailers is not None and not self._outputs:
                self._finish(self._trailers)
        except DecoderMemoryError as fault:
            self._on_unfit(str(fault), "blocked")
        except ContentCodingError:
            self._on_unfit("the body is not what its Content-Encoding says", "malformed")
        except LeakError as fault:
            self._on_unfit(str(fault), "blocked")
        except Exception:  # in a later turn, nothing else would end the response
            self._on_unfit("a fault of the proxy", "proxy")
            raise
        return False

    def _finish(self, trailers: Sequence[Header]) -> None:
        self._trailers = None
        if self._chunked:
            self._client.send(last_chunk(trailers))
        elif self._last:
            self._client.send(self._last)
            self._last = b""
        self._client.flush()
        self._inspection.end()
        self._on_end()
        self._let_go()

    def _let_go(self) -> None:
        """Drop the references to the exchange: the cycle would keep both until the garbage collector runs."""
        self._on_end = self._on_progress = self._on_unfit = _nothing


def _nothing(*_: object) -> None:
    """Do nothing: the response is over."""
