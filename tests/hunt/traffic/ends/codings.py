"""Encode the pieces of an answer so that each can be decoded when it arrives."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Sequence
from typing import Protocol

import brotli

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CODINGS = ("gzip", "deflate", "br", "zstd", "x-gzip")


class _Coder(Protocol):
    def add(self, octets: bytes) -> bytes: ...
    def finish(self) -> bytes: ...


class _Plain:
    def add(self, octets: bytes) -> bytes:
        return octets

    def finish(self) -> bytes:
        return b""


class _Zlib:
    def __init__(self, window: int) -> None:
        self._coder = zlib.compressobj(wbits=window)

    def add(self, octets: bytes) -> bytes:
        return self._coder.compress(octets) + self._coder.flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        return self._coder.flush()


class _Brotli:
    def __init__(self) -> None:
        self._coder = brotli.Compressor(quality=4)

    def add(self, octets: bytes) -> bytes:
        return bytes(self._coder.process(octets)) + bytes(self._coder.flush())

    def finish(self) -> bytes:
        return bytes(self._coder.finish())


class _Zstd:
    def __init__(self) -> None:
        self._coder = zstd.ZstdCompressor()

    def add(self, octets: bytes) -> bytes:
        return self._coder.compress(octets, self._coder.FLUSH_BLOCK)

    def finish(self) -> bytes:
        return self._coder.flush(self._coder.FLUSH_FRAME)


def _coder(name: str) -> _Coder:
    match name:
        case "gzip" | "x-gzip":
            return _Zlib(31)
        case "deflate":
            return _Zlib(15)
        case "br":
            return _Brotli()
        case "zstd":
            return _Zstd()
        case _:
            return _Plain()


class _Chain:
    def __init__(self, names: Sequence[str]) -> None:
        self._coders = [_coder(name) for name in names]

    def add(self, octets: bytes) -> bytes:
        for coder in self._coders:
            octets = coder.add(octets)
        return octets

    def finish(self) -> bytes:
        rest = b""
        for coder in self._coders:
            rest = (coder.add(rest) if rest else b"") + coder.finish()
        return rest


def coded(coding: str, pieces: Sequence[tuple[bytes, int]]) -> list[bytes]:
    """Return what is sent for each piece, and the rest. With each: how many last octets go with the next."""
    chain = _Chain([name.strip() for name in coding.split(",") if name.strip()])
    sent, kept = list[bytes](), b""
    for octets, held in pieces:
        ready = kept + chain.add(octets)
        cut = max(len(ready) - held, 0)
        sent.append(ready[:cut])
        kept = ready[cut:]
    return [*sent, kept + chain.finish()]
