"""Queue a client's requests, parsing a read with many heads or chunks a share at a time."""

from __future__ import annotations

from time import perf_counter

from nono.proxy.http.request_reader import FirstHeads, RequestReader

_PARSED_BYTES = 8 * 1024  # at a time, of a read with more than _MANY_HEADS, or perhaps with as many chunks
_MANY_HEADS = 32
_MANY_LINES = 1024


class Intake:
    """The bytes of one connection on their way to requests. The owner takes requests from `queue`."""

    __slots__ = ("_parsed", "_reader", "_unparsed", "queue")

    def __init__(self, first_heads: FirstHeads) -> None:
        self._reader = RequestReader(first_heads)
        self._unparsed = b""  # a read that takes long
        self._parsed = 0  # bytes at its start that were parsed
        self.queue = self._reader.queue

    def feed(self, data: bytes) -> None:
        """Take one read of the transport. Never raises."""
        if self._unparsed:
            self._unparsed, self._parsed = self._unparsed[self._parsed :] + data, 0
        elif len(data) > _PARSED_BYTES and self._takes_long(data):
            self._unparsed = data
        else:
            self._reader.feed(data)

    def _takes_long(self, data: bytes) -> bool:
        reader = self._reader
        return (
            reader.in_chunks
            or data.count(b"\r\n\r\n") > _MANY_HEADS
            or (not reader.in_body and data.count(b"\r\n") > _MANY_LINES)
        )

    def parse_more(self, until: float) -> None:
        """Parse more of a read that takes long, until a request is queued or the time is `until`."""
        while self._unparsed and not self._reader.queue:
            piece = self._unparsed[self._parsed : self._parsed + _PARSED_BYTES]
            self._parsed += len(piece)
            if self._parsed >= len(self._unparsed):
                self._unparsed, self._parsed = b"", 0
            self._reader.feed(piece)
            if perf_counter() >= until:
                break

    @property
    def in_head(self) -> bool:
        """True if the last byte parsed was part of a head."""
        return self._reader.in_head

    @property
    def has_unparsed(self) -> bool:
        return bool(self._unparsed)

    @property
    def has_more(self) -> bool:
        """True if there is a request in the queue, or bytes that may hold one."""
        return bool(self.queue or self._unparsed)

    @property
    def has_read_all(self) -> bool:
        """True if every byte was parsed, and the next would be too."""
        return not self._unparsed and not self._reader.is_deaf

    @property
    def leftover(self) -> bytes:
        """The bytes after the head of a CONNECT, which belong to its tunnel."""
        return self._reader.leftover + self._unparsed[self._parsed :]

    def resume_after_connect(self) -> None:
        """Resume after a refused CONNECT: the bytes after its head are the next request."""
        self._reader.resume_after_connect()

    def stop(self) -> None:
        """Stop parsing and drop what was queued."""
        self._unparsed, self._parsed = b"", 0
        self._reader.stop()
