"""Decode content codings piece by piece, in memory bounded independently of how far a body expands.

RFC 9110 section 8.4 names the codings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from nono.proxy.http.coded_streams import (
    MAX_OUTPUT_BYTES,
    ZSTD_WINDOW_LOG,
    Brotli,
    CodedStream,
    ContentCodingError,
    Deflate,
    Gzip,
    Zstd,
)

_STEP_INPUT_BYTES = 16 * 1024  # bounds the copy made at the end of each member, in a body of tiny members
_MAX_EMPTY_MEMBERS = 64  # in a row; a body of empty members would keep the loop busy and deliver nothing

_ZSTD_BYTES = 1 << ZSTD_WINDOW_LOG
_ZSTD_FIRST_BYTES = 256 * 1024  # its tables
_GZIP_BYTES = 64 * 1024  # a window of 32 KiB and its tables
# A meta-block may have 256 prefix codes for each of three alphabets, which take 2.6 MiB in the library.
# 1.4 KB of a body are enough for 0.8 MiB of them.
BROTLI_TABLES_BYTES = 3 * 1024 * 1024


class DecoderMemoryError(ContentCodingError):
    """The decoders of other bodies already use all the memory allowed for them."""

    def __init__(self) -> None:
        super().__init__("compressed bodies already use all the memory allowed for them")


class Budget(Protocol):
    """Bytes of memory that all bodies share."""

    def take(self, count: int) -> bool:
        """Reserve `count` bytes. Returns False, and reserves nothing, if they are not free."""
        ...

    def give_back(self, count: int) -> None: ...


class Decoder(Protocol):
    """Decodes one body."""

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Yield pieces of at most MAX_OUTPUT_BYTES; exhaust before the next feed.

        Raises ContentCodingError if the body is not in its coding, DecoderMemoryError if it takes too much.
        """
        ...

    def finish(self) -> None:
        """End the body. Raises ContentCodingError if it was cut off."""
        ...

    def close(self) -> None:
        """Give the memory back: nothing more is fed."""
        ...


def decoder(encoding: bytes, budget: Budget | None = None) -> Decoder | None:
    """Return a decoder for a Content-Encoding value; None for an unknown coding or more than one.

    budget: Where its memory is taken from, until it is closed; None if it is fed everything at once.
    """
    match encoding.strip().lower():
        case b"" | b"identity":
            return _Identity()
        case b"gzip" | b"x-gzip":
            return _Members(Gzip, _Memory(budget, _small_window))
        case b"deflate":
            return _Members(Deflate, _Memory(budget, _small_window), most=1)
        case b"br":
            return _Members(Brotli, _Memory(budget, _brotli_memory), most=1)
        case b"zstd":
            return _Members(Zstd, _Memory(budget, _zstd_tables, _ZSTD_BYTES))
        case _:
            return None


class _Identity:
    def feed(self, piece: bytes) -> Iterator[bytes]:
        for start in range(0, len(piece), MAX_OUTPUT_BYTES):
            yield piece[start : start + MAX_OUTPUT_BYTES]

    def finish(self) -> None:
        """Do nothing: an identity body may end anywhere."""

    def close(self) -> None:
        """Do nothing: there is no window."""


def _small_window(_: int) -> int:
    return _GZIP_BYTES


def _brotli_memory(first: int) -> int:
    """Return what a body may take: the window that its first octet announces, and the tables.

    All of it counts at once, because the library fills the window before it puts anything out.
    """
    return _brotli_window(first) + BROTLI_TABLES_BYTES


def _brotli_window(first: int) -> int:
    # RFC 7932 section 9.1.
    if not first & 1:
        return 1 << 16
    if (size := first >> 1 & 7) != 0:
        return 1 << (17 + size)
    return 1 << ((8 + size) if (size := first >> 4 & 7) != 0 else 17)


def _zstd_tables(_: int) -> int:
    return _ZSTD_FIRST_BYTES


class _Memory:
    """What the decoder of one member keeps.

    at_first: Returns what it takes once it has seen the first octet.
    most_bytes: It grows to that with its output; 0 if it does not grow.
    """

    def __init__(self, budget: Budget | None, at_first: Callable[[int], int], most_bytes: int = 0) -> None:
        self._budget = budget
        self._at_first = at_first
        self._most_bytes = most_bytes
        self._output = self._taken = 0

    def begin(self, first: int) -> None:
        self._take(self._at_first(first))

    def grow(self, output: int) -> None:
        """Note `output` more bytes of output. Raises DecoderMemoryError."""
        if self._taken < self._most_bytes:
            self._output += output
            self._take(min(self._output, self._most_bytes) - self._taken)

    def _take(self, count: int) -> None:
        if self._budget is None or count <= 0:
            return
        if not self._budget.take(count):
            raise DecoderMemoryError
        self._taken += count

    def give_back(self) -> None:
        if self._budget is not None:
            self._budget.give_back(self._taken)
        self._output = self._taken = 0


class _Members:
    """Decodes a body of one or more concatenated streams."""

    def __init__(self, start: Callable[[], CodedStream], memory: _Memory, most: int | None = None) -> None:
        self._start = start
        self._memory = memory
        self._most = most
        self._member: CodedStream | None = None  # none before the first octet and after an end
        self._ended = 0
        self._empty = 0  # in a row

    def feed(self, piece: bytes) -> Iterator[bytes]:
        for start in range(0, len(piece), _STEP_INPUT_BYTES):
            yield from self._step(piece[start : start + _STEP_INPUT_BYTES])

    def _step(self, rest: bytes) -> Iterator[bytes]:
        while rest:
            if self._member is None:
                self._begin(rest[0])
            assert self._member is not None
            for output in self._member.decode(rest):
                self._empty = 0
                self._memory.grow(len(output))
                yield output
            if not self._member.ended:
                return
            rest = self._member.unused
            self.close()
            self._ended += 1
            self._empty += 1

    def _begin(self, first: int) -> None:
        if self._ended == self._most:
            raise ContentCodingError("the coded body goes on after its end")
        if self._empty > _MAX_EMPTY_MEMBERS:
            raise ContentCodingError("the coded body consists of empty members")
        self._memory.begin(first)
        self._member = self._start()

    def finish(self) -> None:
        if self._member is not None:
            raise ContentCodingError("the coded body was cut off")

    def close(self) -> None:
        self._member = None
        self._memory.give_back()
