"""One response on its way to a client of HTTP/2, through whatever has to look at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from nono.proxy.exchange.inspection import Inspection
from nono.proxy.exchange.response_filter import BodyFilter
from nono.proxy.http.content_coding import ContentCodingError
from nono.proxy.http.message import Header, ResponseHead
from nono.proxy.http2 import heads
from nono.proxy.http2.session import Session

_AHEAD_BYTES = 64 * 1024  # decoded before the client takes it


class Http2Relay:
    """Queues the one response of a stream on its session, and no more of it than the client takes.

    on_undecodable is told why a body that has begun cannot be passed on to its end.
    """

    def __init__(
        self, session: Session, stream_id: int, inspection: Inspection, on_undecodable: Callable[[str], None]
    ) -> None:
        self._session = session
        self._stream_id = stream_id
        self._inspection = inspection
        self._on_undecodable = on_undecodable
        self._filter: BodyFilter | None = None
        self._coded = bytearray()  # of the body, not decoded yet
        self._output: tuple[int, Iterator[bytes]] | None = None  # being decoded, with the bytes it is made of
        self._trailers: Sequence[Header] | None = None  # given once the response is complete
        self._ended = False  # nothing more will be queued
        self.started = False  # the client has seen a part of the final response

    @property
    def is_complete(self) -> bool:
        """Whether all of it has arrived here."""
        return self._ended or self._trailers is not None

    def interim(self, head: ResponseHead, *, credentialed: bool) -> None:
        head = self._inspection.interim(head)
        self._session.head(self._stream_id, heads.response_fields(head, credentialed=credentialed))

    def start(self, head: ResponseHead, *, ended: bool, credentialed: bool) -> None:
        """ended: nothing follows the head. MessageError: it cannot be looked at."""
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
        elif self._filter.expands:
            self._coded += piece
            self._take()
        else:
            self._session.body(self._stream_id, self._filter.pass_on(piece), len(piece))

    def finish(self, fields: Sequence[Header]) -> None:
        """All of it has come; fields are its trailers."""
        self._trailers = heads.lowered(self._inspection.clean_fields(fields))
        self._take()

    def go_on(self) -> None:
        """The client has taken some."""
        if self._decoding() is not None:
            self._take()

    def stop(self) -> None:
        """Nobody waits for the rest."""
        self._coded.clear()
        self._output = None

    def _take(self) -> None:
        """Queue what the filter lets go, as far as the client takes it."""
        session, stream_id = self._session, self._stream_id
        try:
            while session.pending(stream_id) < _AHEAD_BYTES and (output := self._decoding()) is not None:
                credit, pieces = output
                piece = next(pieces, None)
                if piece is None:
                    self._output = None
                    session.body(stream_id, b"", credit)
                else:
                    session.body(stream_id, piece, 0)
            if self._trailers is not None and self._decoding() is None and not self._ended:
                self._end(self._trailers)
        except ContentCodingError:
            self._on_undecodable("the body is not what its Content-Encoding says")

    def _decoding(self) -> tuple[int, Iterator[bytes]] | None:
        """What is being decoded; a part of what has arrived meanwhile is the next.

        All of it would give nothing back to the upstream's window before its end: the upstream would wait.
        """
        if self._output is None and self._coded and self._filter is not None:
            piece = bytes(self._coded[:_AHEAD_BYTES])
            del self._coded[:_AHEAD_BYTES]
            self._output = len(piece), self._filter.feed(piece)
        return self._output

    def _end(self, trailers: Sequence[Header]) -> None:
        rest = b"" if self._filter is None else self._filter.finish()
        self._ended = True
        if rest:
            self._session.body(self._stream_id, rest, 0)
        self._inspection.end()
        self._session.end(self._stream_id, trailers)
