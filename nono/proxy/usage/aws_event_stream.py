"""Extract the JSON of the messages in an event stream of AWS, in memory independent of their size.

https://docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html has the encoding.
"""

from __future__ import annotations

import binascii
import struct

MEDIA_TYPE = b"application/vnd.amazon.eventstream"
MAX_MESSAGE_BYTES = 1024 * 1024  # Bedrock sends a few hundred
_PRELUDE = struct.Struct(">3I")  # the lengths of the message and of its headers, and a checksum of both
_CHECKSUM_BYTES = 4
_WRAPPED = b'{"bytes":'  # in which Bedrock's InvokeModel puts the JSON, as base64


class AwsEventStream:
    """Reads one message at a time. Checksums are not compared: the client does that."""

    def __init__(self) -> None:
        self._prelude = b""  # what has come of it
        self._before = 0  # bytes of headers still to come
        self._left = 0  # bytes of the payload still to come
        self._after = 0  # bytes of the checksum still to come
        self._payload = _Payload()
        self._has_text = False  # the message had some
        self.is_broken = False  # what has come is no such stream, or has a message that is too long

    def feed(self, piece: bytes) -> list[bytes | None]:
        """Return the parts of JSON texts in order; None marks the end of a message that had one."""
        parts: list[bytes | None] = []
        rest = memoryview(piece)  # a copy for each of the shortest messages would take seconds for a mebibyte
        while rest and not self.is_broken:
            if self._before:
                rest = self._skip_headers(rest)
            elif self._left:
                part, rest = bytes(rest[: self._left]), rest[self._left :]
                self._left -= len(part)
                if text := self._payload.feed(part):
                    self._has_text = True
                    parts.append(text)
            elif self._after:
                skipped = min(self._after, len(rest))
                self._after -= skipped
                rest = rest[skipped:]
                if not self._after and self._has_text:
                    parts.append(None)
            else:
                rest = self._begin(rest)
        return parts

    def _skip_headers(self, piece: memoryview) -> memoryview:
        skipped = min(self._before, len(piece))
        self._before -= skipped
        return piece[skipped:]

    def _begin(self, piece: memoryview) -> memoryview:
        """Read the prelude of a message, or a part of it. Returns what follows."""
        missing = _PRELUDE.size - len(self._prelude)
        self._prelude += piece[:missing]
        if len(self._prelude) == _PRELUDE.size:
            length, header_bytes, _ = _PRELUDE.unpack(self._prelude)
            self._prelude = b""
            self._before, self._after = header_bytes, _CHECKSUM_BYTES
            self._left = length - _PRELUDE.size - header_bytes - _CHECKSUM_BYTES
            self._payload, self._has_text = _Payload(), False
            self.is_broken = length > MAX_MESSAGE_BYTES or self._left < 0
        return piece[missing:]


class _Payload:
    """The payload of one message: JSON, or base64 of JSON in the one member of an object."""

    def __init__(self) -> None:
        self._start = b""  # while it may be that of a wrapped text
        self._is_wrapped: bool | None = None
        self._has_begun = False  # the quote before the wrapped text has come
        self._rest = b""  # of base64: less than a group of four
        self._has_ended = False  # the wrapped text has, or is not base64

    def feed(self, part: bytes) -> bytes:
        """Return the JSON in the next part."""
        if self._is_wrapped is None:
            part = self._start + part
            if len(part) < len(_WRAPPED) and _WRAPPED.startswith(part):
                self._start = part
                return b""
            self._is_wrapped = part.startswith(_WRAPPED)
            if self._is_wrapped:
                part = part[len(_WRAPPED) :]
        return self._unwrapped(part) if self._is_wrapped else part

    def _unwrapped(self, part: bytes) -> bytes:
        if not self._has_begun:
            part = part.lstrip()
            self._has_begun, part = bool(part), part[1:]
        if self._has_ended:
            return b""
        coded, quote, _ = part.partition(b'"')
        coded = self._rest + coded.replace(b"\\", b"")  # JSON allows a slash to be escaped
        whole = len(coded) // 4 * 4
        self._rest, self._has_ended = coded[whole:], bool(quote)
        try:
            return binascii.a2b_base64(coded[:whole])
        except ValueError:
            self._has_ended = True
            return b""
