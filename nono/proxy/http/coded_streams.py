"""Decode one coded stream, in steps of bounded output.

RFC 1952 (gzip), 1950 and 1951 (deflate), 7932 (br) and 8878 (zstd) define the codings.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator
from functools import partial
from typing import Protocol

MAX_OUTPUT_BYTES = 256 * 1024  # per step; a decompression bomb waits until the last step was consumed
ZSTD_WINDOW_LOG = 23  # 8 MiB, the most that RFC 9659 allows a server


class ContentCodingError(ValueError):
    """The body is not what its Content-Encoding says."""


class CodedStream(Protocol):
    """One coded stream of a body, which may hold several."""

    @property
    def ended(self) -> bool: ...
    @property
    def unused(self) -> bytes:
        """The bytes after the end of the stream."""
        ...

    def decode(self, piece: bytes) -> Iterator[bytes]:
        """Yield pieces of at most MAX_OUTPUT_BYTES; exhaust before the next call.

        Raises ContentCodingError if the stream is malformed.
        """
        ...


class Gzip:
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


class Deflate:
    """Decodes the zlib format, or the raw deflate data that some servers send under the same name."""

    def __init__(self) -> None:
        self._head = b""
        self._stream: Gzip | None = None

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
            self._stream = Gzip(zlib.MAX_WBITS if zlib_format else -zlib.MAX_WBITS)
        yield from self._stream.decode(piece)


class Brotli:
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


class Zstd:
    def __init__(self) -> None:
        # Imported here: most runs never see such a body.
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd

        self._error = zstd.ZstdError
        self._zstd = zstd.ZstdDecompressor(
            options={zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG}
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
