"""Define the protocol between the supervisor and the process that models a terminal.

A message is a type (one byte), a length (four, big-endian) and that many bytes. The supervisor requests a
picture and gets one; nothing else is answered.
"""

from __future__ import annotations

import struct

from nono.named_tuple import NamedTuple

OUTPUT, SIZE, SWITCH, SHOW, PICTURE = range(5)
HEAD = struct.Struct(">BI")
SIDES = struct.Struct(">HH")  # rows, columns
OUTPUT_BYTES_MAX = 1 << 16
PICTURE_BYTES_MAX = 1 << 23
_PICTURE = struct.Struct(">?III")


class Picture(NamedTuple):
    """The output that draws the screen in an empty terminal of that size, with its cursor at home.

    It contains no modes (nono.sessions.modes).
    """

    primary: bytes
    alternate: bytes  # to write after switching to the alternate screen
    is_alternate: bool
    tail: bytes  # to write after the modes: a sequence that the output has begun


def message(kind: int, content: bytes = b"") -> bytes:
    return HEAD.pack(kind, len(content)) + content


def switch(is_alternate: bool) -> bytes:
    """Return the message that output resumes after a gap, on this screen."""
    return message(SWITCH, b"\1" if is_alternate else b"\0")


def picture(drawn: Picture) -> bytes:
    lengths = (len(drawn.primary), len(drawn.alternate), len(drawn.tail))
    content = _PICTURE.pack(drawn.is_alternate, *lengths) + drawn.primary + drawn.alternate + drawn.tail
    return message(PICTURE, content)


def parse_picture(content: bytes) -> Picture | None:
    """Parse the content of a message; None if it is malformed."""
    if len(content) < _PICTURE.size:
        return None
    is_alternate, primary, alternate, tail = _PICTURE.unpack_from(content)
    ends = (_PICTURE.size, _PICTURE.size + primary, _PICTURE.size + primary + alternate, len(content))
    if ends[2] + tail != ends[3]:
        return None
    return Picture(content[ends[0] : ends[1]], content[ends[1] : ends[2]], is_alternate, content[ends[2] :])
