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

_MEMBER = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:[ \t]*;[ \t]*[qQ]=([01](?:\.[0-9]{0,3})?))?", re.ASCII
)
_DECODED = (b"gzip", b"x-gzip", b"deflate", b"br", b"zstd")


class ContentCodingError(ValueError):
    """The body is not what its Content-Encoding says."""


class Decoder(Protocol):
    """Decodes one body."""

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Yield pieces of at most MAX_OUTPUT_BYTES; exhaust before the next feed.

        Raises ContentCodingError if the body is not in its coding.
        """
        ...

    def finish(self) -> None:
        """End the body. Raises ContentCodingError if it was cut off."""
        ...


def decoder(encoding: bytes) -> Decoder | None:
    """Return a decoder for a Content-Encoding value; None for an unknown coding or more than one."""
    match encoding.strip().lower():
        case b"" | b"identity":
            return _Identity()
        case b"gzip" | b"x-gzip":
            return _Members(_Gzip)
        case b"deflate":
            return _Members(_Deflate, most=1)
        case b"br":
            return _Members(_Brotli, most=1)
        case b"zstd":
            return _Members(_Zstd)
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

    def __init__(self, start: Callable[[], _Member], most: int | None = None) -> None:
        self._start = start
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
                self._begin()
            assert self._member is not None
            for output in self._member.decode(rest):
                self._empty = 0
                yield output
            if not self._member.ended:
                return
            rest = self._member.unused
            self._member = None
            self._ended += 1
            self._empty += 1

    def _begin(self) -> None:
        if self._ended == self._most:
            raise ContentCodingError("the coded body goes on after its end")
        if self._empty > _MAX_EMPTY_MEMBERS:
            raise ContentCodingError("the coded body consists of empty members")
        self._member = self._start()

    def finish(self) -> None:
        if self._member is not None:
            raise ContentCodingError("the coded body was cut off")


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
