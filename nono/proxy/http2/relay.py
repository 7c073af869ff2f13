"""Relay one response to an HTTP/2 client through its inspection."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from time import perf_counter
from typing import TYPE_CHECKING

from nono.proxy.exchange.filter.body_search import LeakError
from nono.proxy.exchange.filter.response import BodyFilter
from nono.proxy.exchange.inspection import Inspection
from nono.proxy.http.coded_streams import ContentCodingError
from nono.proxy.http.content_coding import DecoderMemoryError
from nono.proxy.http.message import Header, ResponseHead
from nono.proxy.http2 import heads
from nono.proxy.http2.session import Session
from nono.proxy.transport.turns import Turns

if TYPE_CHECKING:
    from nono.audit.event import Failure

_AHEAD_BYTES = 64 * 1024  # decoded ahead of the client


class Http2Relay:
    """Queues the one response of a stream on its session, no faster than the client reads.

    on_unfit: Called with the reason and its kind if the body must not continue after its start was sent.
    """

    def __init__(
        self,
        session: Session,
        stream_id: int,
        inspection: Inspection,
        turns: Turns,
        on_unfit: Callable[[str, Failure], None],
    ) -> None:
        self._session = session
        self._stream_id = stream_id
        self._inspection = inspection
        self._turns = turns
        self._waits = False  # for its turn
        self._on_unfit = on_unfit
        self._filter: BodyFilter | None = None
        self._coded = bytearray()  # the body as received
        self._output: tuple[int, Iterator[bytes]] | None = None  # being processed: its length and the pieces
        self._trailers: Sequence[Header] | None = None  # given once the response is complete
        self._is_rest = False  # the last output has begun, the part that the filter held back
        self._ended = False  # nothing more will be queued
        self.started = False  # the client has seen a part of the final response

    @property
    def is_complete(self) -> bool:
        """True if the whole response has arrived."""
        return self._ended or self._trailers is not None

    def interim(self, head: ResponseHead, *, credentialed: bool) -> None:
        head = self._inspection.interim(head)
        self._session.head(self._stream_id, heads.response_fields(head, credentialed=credentialed))

    def start(self, head: ResponseHead, *, ended: bool, credentialed: bool) -> None:
        """Send the head; `ended` means nothing follows it. Raises MessageError if it cannot be searched."""
        head, self._filter = self._inspection.begin(head)
        self.started = True
        fields = heads.response_fields(head, credentialed=credentialed)
        self._ended = ended and self._filter is None
        if self._ended:
            self._inspection.end()
        self._session.head(self._stream_id, fields, end=self._ended)
        if ended and not self._ended:
            self.finish(())

    def body(self, piece: bytes) -> None:
        if self._filter is None:
            self._session.body(self._stream_id, piece, len(piece))
        elif self._filter.is_slow:
            self._coded += piece
            self._take()
        else:
            try:
                self._session.body(self._stream_id, self._filter.pass_on(piece), len(piece))
            except LeakError as fault:
                self._on_unfit(str(fault), "blocked")

    def finish(self, fields: Sequence[Header]) -> None:
        """Finish: the whole response has arrived. `fields` are its trailers."""
        clean = heads.lowered(self._inspection.clean_fields(fields))
        self._trailers = heads.kept_out(clean, heads.unindexed(fields))
        self._take()

    def go_on(self) -> None:
        """Continue: the client has read some of the body."""
        if self._decoding() is not None:
            self._take()

    def stop(self) -> None:
        """Drop the rest of the response."""
        self._coded.clear()
        self._output = None
        self._ended = True
        self._on_unfit = _nothing

    def _take(self) -> None:
        """Queue the filter's output; what takes longer waits for its turn."""
        if not self._waits and self._turns.start(self._work):
            self._waits = True
            self._turns.add(self._turn)

    def _turn(self, until: float) -> bool:
        self._waits = self._work(until)
        return self._waits

    def _work(self, until: float) -> bool:
        """Work until that time, up to _AHEAD_BYTES ahead of the client. Returns True if more can be done."""
        session, stream_id = self._session, self._stream_id
        try:
            while session.pending(stream_id) < _AHEAD_BYTES and (output := self._decoding()) is not None:
                credit, pieces = output
                piece = next(pieces, None)
                if piece is None:
                    self._output = None
                    if credit:
                        session.body(stream_id, b"", credit)
                elif piece:
                    session.body(stream_id, piece, 0)
                if perf_counter() >= until:
                    return True
            if self._trailers is not None and self._decoding() is None and not self._ended:
                self._end(self._trailers)
        except DecoderMemoryError as fault:
            self._on_unfit(str(fault), "blocked")
        except ContentCodingError:
            self._on_unfit("the body is not what its Content-Encoding says", "malformed")
        except LeakError as fault:
            self._on_unfit(str(fault), "blocked")
        except Exception:  # in a later turn nothing else would end the response
            self._on_unfit("a fault of the proxy", "proxy")
            raise
        return False

    def _decoding(self) -> tuple[int, Iterator[bytes]] | None:
        """Return the current decoding; start the next slice of the coded bytes if there is none.

        A slice, because decoding everything at once would credit the upstream's window only at the end, and
        the upstream would stall.
        """
        if self._output is not None or self._filter is None:
            return self._output
        if self._coded:
            piece = bytes(self._coded[:_AHEAD_BYTES])
            del self._coded[:_AHEAD_BYTES]
            self._output = len(piece), self._filter.feed(piece)
        elif self._trailers is not None and not self._is_rest:
            self._is_rest = True
            self._output = 0, self._filter.finish()
        return self._output

    def _end(self, trailers: Sequence[Header]) -> None:
        self._ended = True
        self._inspection.end()
        self._session.end(self._stream_id, trailers)
        self._on_unfit = _nothing  # the exchange refers to this relay: a cycle would wait to be collected


def _nothing(_: str, __: Failure) -> None:
    """Do nothing: the response is over."""
