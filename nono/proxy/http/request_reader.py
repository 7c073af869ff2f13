"""Parse a client's bytes into requests with llhttp and queue them in order."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import httptools

from nono.named_tuple import NamedTuple
from nono.proxy.http.message import (
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    BodyKind,
    Header,
    MessageError,
    RequestHead,
    request_head,
)

MAX_REPEATED_BYTES = 4096  # of the head kept for comparison, one per connection
MAX_FIRST_HEADS = 32  # kept of those that connections began with
_HEAD_END = b"\r\n\r\n"


@dataclass(slots=True)
class Incoming:
    """A request as it arrives: its head, and the body pieces not yet passed on."""

    head: RequestHead
    pieces: list[bytes] = field(default_factory=list)
    complete: bool = False
    fault: MessageError | None = None  # the body is malformed; complete stays False
    waits_for_100: bool = False  # the client need not send the body before somebody asks for it


class Unreadable(NamedTuple):
    """Takes a request's place in the queue if the bytes are not a request."""

    fault: MessageError


class FirstHeads:
    """The heads that connections began with: a client begins each in the same words, above all a CONNECT."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: dict[bytes, RequestHead] = {}

    def of(self, data: bytes) -> tuple[bytes, RequestHead] | None:
        """Return the head that `data` begins with, as bytes and parsed; None if it is not known."""
        raw = data[: data.find(_HEAD_END, 0, MAX_REPEATED_BYTES) + len(_HEAD_END)]  # 3 bytes if it has no end
        head = self._kept.get(raw)
        return None if head is None else (raw, head)

    def keep(self, raw: bytes, head: RequestHead) -> None:
        if len(self._kept) >= MAX_FIRST_HEADS:
            del self._kept[next(iter(self._kept))]  # the oldest
        self._kept[raw] = head


class RequestReader:
    """Parses bytes into a queue; the owner takes requests from the front.

    After a fault it is deaf, because the start of the next request is no longer certain. Its callbacks only
    collect, so that nothing is acted on while a batch of bytes is still being parsed.
    """

    def __init__(self, first_heads: FirstHeads | None = None) -> None:
        """first_heads: Shared by connections, so that none parses what another began with; None: none is."""
        self.queue: deque[Incoming | Unreadable] = deque()
        self.in_head = False  # the last byte was part of a head
        self.is_deaf = False
        self.leftover = b""  # the bytes after the head of a CONNECT, which belong to its tunnel
        self._after_connect = False
        self._first_heads = first_heads
        self._parser: httptools.HttpRequestParser | None = None  # until there is something to parse
        self._last: Incoming | None = None  # the request whose body is being read
        self._unfinished = 0  # bytes read since a head or a piece of a body was last completed
        self._progress = False
        self._repeated: tuple[bytes, RequestHead] | None = None  # the last complete head
        self._forget_head()

    def _forget_head(self) -> None:
        self._target = b""
        self._headers: list[Header] = []
        self._trailers = 0
        self._fault: MessageError | None = None

    @property
    def in_body(self) -> bool:
        """True if the last byte was part of a body that has not ended."""
        return self._last is not None and not self._last.complete and not self.is_deaf

    @property
    def in_chunks(self) -> bool:
        """True if the body is chunked as well."""
        return self.in_body and self._last is not None and self._last.head.body.kind is BodyKind.CHUNKED

    def feed(self, data: bytes) -> None:
        """Parse `data`, one read of the transport. Never raises."""
        if self.is_deaf:
            if self._after_connect:
                self.leftover += data
            return
        before = self._last
        is_boundary = not self.in_head and (before is None or (before.complete and before.head.keep_alive))
        if is_boundary and self._is_repetition(data):
            return
        if self._parser is None:
            self._parser = httptools.HttpRequestParser(self)
        self._parse(self._parser, data)
        if is_boundary and self._last is not before:
            self._remember(data, is_first=before is None)

    def _is_repetition(self, data: bytes) -> bool:
        """Queue `data` unparsed if it is one whole request with a remembered head; else return False."""
        if self._last is None and self._first_heads is not None and not self._unfinished:
            self._repeated = self._first_heads.of(data)
        if self._repeated is None or not data.startswith(self._repeated[0]):
            return False
        raw, head = self._repeated
        if len(data) != len(raw) + head.body.length:
            return False
        self._last = Incoming(head, [data[len(raw) :]] if head.body.length else [], complete=True)
        self.queue.append(self._last)
        self._unfinished = 0
        self.is_deaf = self._after_connect = head.method == b"CONNECT"
        return True

    def _remember(self, data: bytes, *, is_first: bool) -> None:
        """Remember the head if `data` holds nothing but that head and its whole body.

        The parsed lengths must account for every byte, however the parser has read them.
        """
        request, end = self._last, data.find(_HEAD_END) + len(_HEAD_END)
        if request is None or not request.complete or end < len(_HEAD_END) or end > MAX_REPEATED_BYTES:
            return
        head = request.head
        is_plain = head.keep_alive and not head.wants_upgrade and head.body.kind is not BodyKind.CHUNKED
        if is_plain and len(data) == end + head.body.length:
            self._repeated = data[:end], head
            if is_first and self._first_heads is not None:
                self._first_heads.keep(*self._repeated)

    def _parse(self, parser: httptools.HttpRequestParser, data: bytes) -> None:
        self._progress = False
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self.is_deaf = self._after_connect = True
            self.leftover = data[upgrade.args[0] :]
        except httptools.HttpParserError as error:
            self._fail(self._fault or MessageError(f"not well-formed HTTP: {error}"))
        # llhttp keeps an unfinished header or trailer field in memory.
        self._unfinished = 0 if self._progress else self._unfinished + len(data)
        if self._unfinished > MAX_HEAD_BYTES and not self.is_deaf:
            self._fail(MessageError(f"the head is larger than {MAX_HEAD_BYTES} bytes", 431))

    def _fail(self, fault: MessageError) -> None:
        self.is_deaf = True
        last = self._last
        if last is not None and not last.complete:
            last.fault = fault
        elif self.in_head or last is None or last.head.keep_alive:
            self.queue.append(Unreadable(fault))
        # Otherwise the bytes follow a request that ended the connection, and are ignored.

    def stop(self) -> None:
        """Stop parsing and drop the queue."""
        self.is_deaf = True
        self._after_connect = False
        self._parser = None  # it refers back to this object
        self.leftover = b""
        self.queue.clear()

    def resume_after_connect(self) -> None:
        """Resume after a refused CONNECT: the bytes after its head are the next request."""
        leftover, self.leftover = self.leftover, b""
        self._parser = None
        self.is_deaf = self._after_connect = False
        if leftover:
            self.feed(leftover)

    # -- llhttp

    def on_message_begin(self) -> None:
        self._forget_head()
        self.in_head = True

    def on_url(self, piece: bytes) -> None:
        self._target += piece

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.in_head:
            self._headers.append((name, value))
        else:
            # Dropped, as RFC 9110 section 6.5.1 allows: aiohttp's parser takes the trailer fields of one
            # request for header fields of the next, which may belong to another client.
            self._trailers += 1
            if self._trailers > MAX_HEADERS:
                self._fault = MessageError(f"more than {MAX_HEADERS} trailer fields")
                raise self._fault

    def on_headers_complete(self) -> None:
        parser = self._parser
        assert parser is not None
        try:
            head = request_head(parser.get_method(), self._target, parser.get_http_version(), self._headers)
        except MessageError as fault:
            self._fault = fault
            raise
        self.in_head = False
        self._progress = True
        self._last = Incoming(head, waits_for_100=head.expects_continue)
        self.queue.append(self._last)

    def on_body(self, piece: bytes) -> None:
        self._progress = True
        if self._last is not None:
            self._last.pieces.append(piece)
            self._last.waits_for_100 = False

    def on_message_complete(self) -> None:
        self._progress = True
        if self._last is not None:
            self._last.complete = True
