"""Read the server name a TLS client asks for from its first records (RFC 8446 section 4.1.2)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from nono.named_tuple import NamedTuple

MAX_HELLO_BYTES = 16 * 1024  # records and headers together; post-quantum key shares take about 2 KiB
# Each piece that arrives is parsed with all before it, however small it is. Clients send one record, or a few
# to hide the name from a network.
MAX_RECORDS = 64
_HANDSHAKE = 22
_CLIENT_HELLO = 1
_SERVER_NAME = 0  # RFC 6066 section 3
_KEY_SHARE = 51  # RFC 8446 section 4.2.8
_X25519 = 29  # of the named groups, RFC 8446 section 4.2.7
_MAX_RECORD = 16384  # RFC 8446 section 5.1, plaintext
_LENGTH = struct.Struct(">H")
_ENTRY = struct.Struct(">HH")  # the number and the length of an extension or a key share
_BEFORE_SESSION_ID = 2 + 32  # legacy_version, random


@dataclass(frozen=True, slots=True)
class NeedMore:
    """The bytes so far are the beginning of a ClientHello."""


class NotTls(NamedTuple):
    reason: str


class Hello(NamedTuple):
    server_name: str | None  # the outer name under encrypted ClientHello
    has_x25519: bool = False  # sent a share for it, so using it needs no second round trip


class _TruncatedError(Exception):
    """The message ends inside a field."""


class _Reader:
    """Takes length-prefixed fields off the front of a complete message."""

    __slots__ = ("_at", "_message")

    def __init__(self, message: bytes) -> None:
        self._message = message
        self._at = 0

    def take(self, count: int) -> bytes:
        at, end = self._at, self._at + count
        if end > len(self._message):
            raise _TruncatedError
        self._at = end
        return self._message[at:end]

    def number(self, octets: int) -> int:
        return int.from_bytes(self.take(octets), "big")

    def vector(self, length_octets: int) -> bytes:
        return self.take(self.number(length_octets))

    def __bool__(self) -> bool:
        return self._at < len(self._message)


def parse(received: bytes) -> Hello | NeedMore | NotTls:
    """Judge everything received so far, from the first byte. Bounded by MAX_HELLO_BYTES and MAX_RECORDS."""
    message = bytearray()
    position = 0
    for _ in range(MAX_RECORDS):
        record = received[position : position + 5]
        fault = _record_fault(record)
        if fault is not None:
            return NotTls(fault)
        length = int.from_bytes(record[3:5], "big") if len(record) == 5 else 0
        if len(record) == 5 and not 0 < length <= _MAX_RECORD:
            return NotTls("a TLS record of impossible length")
        message += received[position + 5 : position + 5 + length]
        if message and message[0] != _CLIENT_HELLO:
            return NotTls("the first TLS message is not a ClientHello")
        if len(message) >= 4:
            needed = 4 + int.from_bytes(message[1:4], "big")
            if needed > MAX_HELLO_BYTES:
                return NotTls("the ClientHello is too large")
            if len(message) >= needed:
                return _server_name(bytes(message[4:needed]))
        position += 5 + length
        if len(record) < 5 or position > len(received):
            return NotTls("the ClientHello is too large") if len(received) > MAX_HELLO_BYTES else NeedMore()
    return NotTls("the ClientHello is in too many records")


def _record_fault(header: bytes) -> str | None:
    """Return why `header`, which may be incomplete, cannot begin a TLS 1.x handshake record, or None."""
    if header[:1] and header[0] != _HANDSHAKE:
        return "the first bytes are not TLS"
    if len(header) >= 2 and header[1] != 3:
        return "the first bytes are not TLS"
    return None


def _server_name(hello: bytes) -> Hello | NotTls:
    try:
        # By offsets: a browser's ClientHello has twenty extensions, of which two matter here.
        at = _BEFORE_SESSION_ID
        at += 1 + hello[at]  # legacy_session_id
        at += _LENGTH.size + _LENGTH.unpack_from(hello, at)[0]  # cipher_suites
        at += 1 + hello[at]  # legacy_compression_methods
        if at == len(hello):
            return Hello(None)
        names, has_x25519 = list[bytes](), False
        for kind, start, end in _entries(hello, at, len(hello)):
            if kind == _SERVER_NAME:
                names.append(hello[start:end])
            elif kind == _KEY_SHARE:
                groups = [group for group, _, _ in _entries(hello, start, end)]
                has_x25519 = has_x25519 or _X25519 in groups
        if not names:
            return Hello(None, has_x25519)
        entries = _Reader(_Reader(names[0]).vector(2))
        if len(names) > 1 or entries.number(1) != 0:
            return NotTls("the server_name extension is not one host name")
        name = entries.vector(2)
        if entries:
            return NotTls("the server_name extension is not one host name")
        return Hello(name.decode("ascii"), has_x25519)
    except (_TruncatedError, IndexError, struct.error, UnicodeDecodeError):
        return NotTls("the ClientHello is not well-formed")


def _entries(message: bytes, at: int, end: int) -> list[tuple[int, int, int]]:
    """Return number, start and end of each entry of the vector at `at`, which must end by `end`."""
    start = at + _LENGTH.size
    stop = start + _LENGTH.unpack_from(message, at)[0]
    if stop > end:
        raise _TruncatedError
    found = list[tuple[int, int, int]]()
    while start < stop:
        number, length = _ENTRY.unpack_from(message, start)
        start += _ENTRY.size + length
        if start > stop:
            raise _TruncatedError
        found.append((number, start - length, start))
    return found
