"""Carry the streams of a program and its exit code on one stream.

A frame is its kind (1 byte), the length of its payload (4 bytes, big endian), and the payload. EXIT is the
kind of the last one that the program sends; its payload is the exit code, in one byte. What it is sent has
the kind STDIN, which without a payload is the end of its input. The end of the stream is that of its client,
who may have been killed.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator

from nono.named_tuple import NamedTuple

EXIT, STDOUT, STDERR, STDIN = 0, 1, 2, 3
PIECE_BYTES = 64 * 1024  # of a payload, at most
_HEAD = struct.Struct(">BI")


class Frame(NamedTuple):
    kind: int
    payload: bytes


class BrokenError(ValueError):
    """The stream ended within a frame, or was no sequence of frames."""


def received(stream: socket.socket) -> Iterator[bytes]:
    """Yield what comes, until it ends. Raises OSError."""
    while piece := stream.recv(PIECE_BYTES):
        yield piece


def framed(kind: int, payload: bytes) -> bytes:
    return _HEAD.pack(kind, len(payload)) + payload


def frames(pieces: Iterable[bytes]) -> Iterator[Frame]:
    """Yield the frames of a stream as they are complete. Raises BrokenError."""
    begun = b""
    for piece in pieces:
        begun += piece
        while len(begun) >= _HEAD.size:
            kind, length = _HEAD.unpack_from(begun)
            if kind not in (EXIT, STDOUT, STDERR, STDIN) or length > PIECE_BYTES:
                raise BrokenError
            end = _HEAD.size + length
            if len(begun) < end:
                break
            yield Frame(kind, begun[_HEAD.size : end])
            begun = begun[end:]
    if begun:
        raise BrokenError
