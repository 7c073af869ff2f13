"""Extract the JSON of the messages in an event stream of AWS as they stream past.

https://docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html has the encoding.
"""

from __future__ import annotations

import binascii
import json
import struct

MEDIA_TYPE = b"application/vnd.amazon.eventstream"
MAX_MESSAGE_BYTES = 1024 * 1024  # Bedrock sends a few hundred
_PRELUDE = struct.Struct(">3I")  # the lengths of the message and of its headers, and a checksum of both
_CHECKSUM_BYTES = 4


class AwsEventStream:
    """Buffers one message at a time. Checksums are not compared: the client does that."""

    def __init__(self) -> None:
        self._buffered = bytearray()
        self.is_broken = False  # what has come is no such stream, or has a message that is too long

    def feed(self, piece: bytes) -> list[bytes | None]:
        """Return the JSON texts in order, each with None after it."""
        parts: list[bytes | None] = []
        if not self.is_broken:
            self._buffered += piece
        while len(self._buffered) >= _PRELUDE.size:
            length, header_bytes, _ = _PRELUDE.unpack_from(self._buffered)
            start, end = _PRELUDE.size + header_bytes, length - _CHECKSUM_BYTES
            if length > MAX_MESSAGE_BYTES or start > end:
                self.is_broken = True
                self._buffered.clear()
                break
            if len(self._buffered) < length:
                break
            if text := _text_in(bytes(self._buffered[start:end])):
                parts += (text, None)
            del self._buffered[:length]
        return parts


def _text_in(payload: bytes) -> bytes:
    """Return the JSON of a payload, which Bedrock's InvokeModel wraps: {"bytes": BASE64}."""
    if not payload.startswith(b'{"bytes":'):
        return payload
    try:
        return binascii.a2b_base64(json.loads(payload)["bytes"])
    except (ValueError, TypeError, RecursionError):
        return b""
