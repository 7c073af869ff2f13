"""Exchange length-prefixed JSON messages between the supervisor and its launcher, over a socketpair."""

from __future__ import annotations

import os
import struct

from nono.disk import json_text

LENGTH = struct.Struct("=I")
# Room for what execve(2) passes at most, 6 MiB: a byte that is not UTF-8 takes six in JSON.
MESSAGE_BYTES_MAX = 40 * 1024 * 1024

Message = dict[str, object]


def send(descriptor: int, message: Message) -> None:
    """Write one message, using write(2) only.

    sendmsg(2) is trapped in the launcher once its filter is installed, and nobody serves the listener before
    the supervisor has taken it: a sendmsg would block forever.
    """
    payload = json_text.compact_ascii(message).encode("ascii")
    remaining = memoryview(LENGTH.pack(len(payload)) + payload)
    while remaining:
        remaining = remaining[os.write(descriptor, remaining) :]


def receive(descriptor: int) -> Message | None:
    """Return the next message, or None if the other side has closed.

    Raises ValueError if it is too long or not a JSON object.
    """
    header = _read_exactly(descriptor, LENGTH.size)
    if header is None:
        return None
    (length,) = LENGTH.unpack(header)
    if length > MESSAGE_BYTES_MAX:
        raise ValueError(f"a launcher message of {length} bytes")
    payload = _read_exactly(descriptor, length)
    if payload is None:
        return None
    message = json_text.parse(payload.decode("ascii"))
    if not isinstance(message, dict):
        raise ValueError("a launcher message that is not an object")
    return message


def _read_exactly(descriptor: int, length: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < length:
        part = os.read(descriptor, length - len(parts))
        if not part:
            return None
        parts += part
    return bytes(parts)
