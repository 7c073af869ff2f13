"""Queue a client's requests, parsing a read with many heads a share at a time."""

from __future__ import annotations

from nono.proxy.http.request_reader import FirstHeads, RequestReader

_PARSED_BYTES = 8 * 1024  # parsed before the first answer if a read has more than _MANY_HEADS
_MANY_HEADS = 32


class Intake:
    """The bytes of one connection on their way to requests. The owner takes requests from `queue`."""

    __slots__ = ("_reader", "_unparsed", "queue")

    def __init__(self, first_heads: FirstHeads) -> None:
        self._reader = RequestReader(first_heads)
        self._unparsed = b""  # the rest of a read with many heads
        self.queue = self._reader.queue

    def feed(self, data: bytes) -> None:
        """Take one read of the transport. Never raises."""
        if self._unparsed or (len(data) > _PARSED_BYTES and data.count(b"\r\n\r\n") > _MANY_HEADS):
            self._unparsed += data
        else:
            self._reader.feed(data)

    def parse_more(self) -> None:
        """Parse more of a read with many heads, until a request is queued."""
        while self._unparsed and not self._reader.queue:
            piece, self._unparsed = self._unparsed[:_PARSED_BYTES], self._unparsed[_PARSED_BYTES:]
            self._reader.feed(piece)

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
        return self._reader.leftover + self._unparsed

    def resume_after_connect(self) -> None:
        """Resume after a refused CONNECT: the bytes after its head are the next request."""
        self._reader.resume_after_connect()

    def stop(self) -> None:
        """Stop parsing and drop what was queued."""
        self._unparsed = b""
        self._reader.stop()
