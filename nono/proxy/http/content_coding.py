"""Decode content codings piece by piece, in memory bounded independently of how far a body expands.

RFC 9110 section 8.4 names the codings; RFC 1952 (gzip), 1950 and 1951 (deflate), 7932 (br) and 8878 (zstd)
define them.
"""

from __future__ import annotations

import re
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol

MAX_OUTPUT_BYTES = 256 * 1024  # per step; a decompression bomb waits until the last step was consumed
_STEP_INPUT_BYTES = 16 * 1024  # bounds the copy made at the end of each member, in a body of tiny members
_MAX_EMPTY_MEMBERS = 64  # in a row; a body of empty members would keep the loop busy and deliver nothing
_ZSTD_WINDOW_LOG = 23  # 8 MiB, the most that RFC 9659 allows a server

_ZSTD_BYTES = 1 << _ZSTD_WINDOW_LOG
_ZSTD_FIRST_BYTES = 256 * 1024  # its tables
_GZIP_BYTES = 64 * 1024  # a window of 32 KiB and its tables

_MEMBER = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:[ \t]*;[ \t]*[qQ]=([01](?:\.[0-9]{0,3})?))?", re.ASCII
)
_DECODED = (b"gzip", b"x-gzip", b"deflate", b"br", b"zstd")


class ContentCodingError(ValueError):
    """The body is not what its Content-Encoding says."""


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
            return _Members(_Gzip, _Memory(budget, _small_window))
        case b"deflate":
            return _Members(_Deflate, _Memory(budget, _small_window), most=1)
        case b"br":
            return _Members(_Brotli, _Memory(budget, _brotli_window), most=1)
        case b"zstd":
            return _Members(_Zstd, _Memory(budget, _zstd_tables, _ZSTD_BYTES))
        case _:
            return None


def accept_encoding(values: Sequence[bytes]) -> bytes:
    """Return the Accept-Encoding to send when the response must be decoded here.

    `values` are the client's fields. Codings both sides understand keep their weight, 0 included; "*" stands
    for each coding known here that is not named (RFC 9110 section 12.5.3). Without a field the result is
    ``identity``, because such a client does not expect a coded body.
    """
    if not values:
        return b"identity"
    weights = _weights(values)
    others = weights.pop(b"*", None)
    if others is not None:
        # Except x-gzip, which is an alias of gzip.
        weights |= {coding: others for coding in _DECODED if coding not in (*weights, b"x-gzip")}
    kept = [(coding, weight) for coding, weight in weights.items() if coding in (*_DECODED, b"identity")]
    return b", ".join(coding + (b";q=" + weight if weight else b"") for coding, weight in kept) or b"identity"


def _weights(values: Sequence[bytes]) -> dict[bytes, bytes]:
    """Map each coding to its weight as written, in the client's order. Malformed members are ignored."""
    members = (_MEMBER.fullmatch(member.strip(b" \t")) for member in b",".join(values).split(b","))
    return {member[1].lower(): member[2] or b"" for member in members if member is not None}


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


def _brotli_window(first: int) -> int:
    """Return the window that the first octet of a body announces: RFC 7932 section 9.1.

    All of it counts at once, because the library fills it before it puts anything out.
    """
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


class _Member(Protocol):
    """One coded stream of a body, which may hold several."""

    @property
    def ended(self) -> bool: ...
    @property
    def unused(self) -> bytes:
        """The bytes after the end of the stream."""
        ...

    def decode(self, piece: bytes) -> Iterator[bytes]: ...


class _Members:
    """Decodes a body of one or more concatenated streams."""

    def __init__(self, start: Callable[[], _Member], memory: _Memory, most: int | None = None) -> None:
        self._start = start
        self._memory = memory
        self._most = most
        self._member: _Member | None = None  # none before the first octet and after an end
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


class _Gzip:
    def __init__(self, wbits: int = 16 + zlib.MAX_WBITS) -> None:
        self._zlib = zlib.decompressobj(wbits)

    @property
    def ended(self) -> bool:
        return self._zlib.eof

    @property
    def unused(self) -> bytes:
        return self._zlib.unused_data

    def decode(self, piece: bytes) -> Iterator[bytes]:
        while True:
            try:
                output = self._zlib.decompress(piece, MAX_OUTPUT_BYTES)
            except zlib.error as error:
                raise ContentCodingError("the body is not what its Content-Encoding says") from error
            if output:
                yield output
            piece = self._zlib.unconsumed_tail
            # After a full step, zlib may hold more output that needs no further input.
            if self._zlib.eof or (not piece and len(output) < MAX_OUTPUT_BYTES):
                return


class _Deflate:
    """Decodes the zlib format, or the raw deflate data that some servers send under the same name."""

    def __init__(self) -> None:
        self._head = b""
        self._stream: _Gzip | None = None

    @property
    def ended(self) -> bool:
        return self._stream is not None and self._stream.ended

    @property
    def unused(self) -> bytes:
        return b"" if self._stream is None else self._stream.unused

    def decode(self, piece: bytes) -> Iterator[bytes]:
        if self._stream is None:
            piece = self._head + piece
            if len(piece) < 2:
                self._head = piece
                return
            # RFC 1950 section 2.2: method 8, and the two octets are a multiple of 31.
            zlib_format = piece[0] & 0x0F == 8 and int.from_bytes(piece[:2]) % 31 == 0
            self._stream = _Gzip(zlib.MAX_WBITS if zlib_format else -zlib.MAX_WBITS)
        yield from self._stream.decode(piece)


class _Brotli:
    unused = b""  # the library itself refuses bytes after the end

    def __init__(self) -> None:
        # Imported here: most runs never see such a body.
        import brotli

        self._error = brotli.error
        self._brotli = brotli.Decompressor()
        # The library stops after the block that exceeds the limit, and blocks double in size.
        self._process = partial(self._brotli.process, output_buffer_limit=MAX_OUTPUT_BYTES // 4)

    @property
    def ended(self) -> bool:
        return bool(self._brotli.is_finished())

    def decode(self, piece: bytes) -> Iterator[bytes]:
        while True:
            try:
                output = self._process(piece)
            except self._error as error:
                raise ContentCodingError("the body is not what its Content-Encoding says") from error
            if output:
                yield output
            if self.ended or (not output and self._brotli.can_accept_more_data()):
                return
            piece = b""


class _Zstd:
    def __init__(self) -> None:
        # Imported here: most runs never see such a body.
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd

        self._error = zstd.ZstdError
        self._zstd = zstd.ZstdDecompressor(
            options={zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
        )

    @property
    def ended(self) -> bool:
        return self._zstd.eof

    @property
    def unused(self) -> bytes:
        return self._zstd.unused_data

    def decode(self, piece: bytes) -> Iterator[bytes]:
        while True:
            try:
                output = self._zstd.decompress(piece, MAX_OUTPUT_BYTES)
            except self._error as error:
                raise ContentCodingError("the body is not what its Content-Encoding says") from error
            if output:
                yield output
            if self._zstd.eof or self._zstd.needs_input:
                return
            piece = b""
