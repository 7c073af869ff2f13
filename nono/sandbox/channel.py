"""Messages between the supervisor and its launcher: JSON objects behind a length, over a socketpair."""

from __future__ import annotations

import json
import os
import struct

LENGTH = struct.Struct("=I")
MESSAGE_BYTES_MAX = 8 * 1024 * 1024  # an environment and an argument list fit (ARG_MAX is 2 MiB here)

Message = dict[str, object]


def send(descriptor: int, message: Message) -> None:
    """Write one message with write(2) alone.

    sendmsg(2) is trapped in the launcher once its filter is installed, and nobody serves the listener
    before the supervisor has taken it: sending with it would wait for ever.
    """
    payload = json.dumps(message).encode("ascii")
    remaining = memoryview(LENGTH.pack(len(payload)) + payload)
    while remaining:
        remaining = remaining[os.write(descriptor, remaining) :]


def receive(descriptor: int) -> Message | None:
    """The next message; None when the other side has closed. ValueError when it is not one of ours."""
    header = _read_exactly(descriptor, LENGTH.size)
    if header is None:
        return None
    (length,) = LENGTH.unpack(header)
    if length > MESSAGE_BYTES_MAX:
        raise ValueError(f"a launcher message of {length} bytes")
    payload = _read_exactly(descriptor, length)
    if payload is None:
        return None
    message = json.loads(payload)
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
