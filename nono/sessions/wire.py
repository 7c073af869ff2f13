"""Define the protocol of a session's socket: an HTTP request, then frames on the upgraded connection.

A frame is a type (one byte), a length (four, big-endian) and so many bytes. The supervisor sends DATA, MODES,
END, NOTICE, START, STOPPED, ASK, WITHDRAWN and BARE; a viewer sends DATA, SIZE, CONTINUE and ANSWER. Each
passes over what it does not know.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence

from nono.disk import json_text
from nono.named_tuple import NamedTuple

ATTACH, DETACH = ("GET", "/v1/attach"), ("POST", "/v1/detach")
UPGRADE = "nono-terminal/1"
READ_ONLY, ASKS = "read-only", "asks"  # values of the field Nono-Viewer: sends no input; can ask a person
HEAD_BYTES_MAX = 4096
HEAD_END = b"\r\n\r\n"
OK, SWITCHED, BAD, DENIED, NOT_FOUND, BUSY = 204, 101, 400, 401, 404, 409
_REASONS = {
    OK: "No Content",
    SWITCHED: "Switching Protocols",
    BAD: "Bad Request",
    DENIED: "Unauthorized",
    NOT_FOUND: "Not Found",
    BUSY: "Conflict",
}

DATA, SIZE, END = 0, 1, 2
NOTICE = 3  # words of nono itself, as text with \n
START = 4  # the command runs, and has the terminal from now on (JSON)
STOPPED, CONTINUE = 5, 6  # the command was stopped, as by Ctrl-Z; it is to go on
ASK, WITHDRAWN, ANSWER = 7, 8, 9  # a question for the person (JSON); it is not asked any more; what was said
MODES = 11  # what undoes the modes that the DATA behind it leaves set, and what sets them
BARE = 10  # the command has ended: the terminal is the person's again, for what nono still says
FRAME = struct.Struct(">BI")
_LENGTH = struct.Struct(">I")
SCREEN = struct.Struct(">HH")
FRAME_BYTES_MAX = 1 << 16
SIDE_MAX = 1000  # of a screen: programs allocate rows times columns


class Size(NamedTuple):
    """The size of a terminal; rows and columns are at least 1."""

    rows: int
    columns: int


class Request(NamedTuple):
    """The head of a request."""

    target: tuple[str, str]  # method and path
    key: str
    size: Size | None
    words: frozenset[str] = frozenset()  # the kinds of viewer it is


def request(target: tuple[str, str], key: str, size: Size | None = None, words: Sequence[str] = ()) -> bytes:
    """Return the bytes of a request."""
    lines = [f"{target[0]} {target[1]} HTTP/1.1", "Host: nono", f"Authorization: Bearer {key}"]
    if size is not None:
        lines += ["Connection: Upgrade", f"Upgrade: {UPGRADE}", f"Nono-Size: {size.rows}x{size.columns}"]
    else:
        lines.append("Content-Length: 0")
    if words:
        lines.append(f"Nono-Viewer: {' '.join(words)}")
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def parse_request(head: bytes) -> Request | None:
    """Parse a head up to its empty line; None if it is malformed."""
    try:
        first, *lines = head.decode("ascii").removesuffix("\r\n\r\n").split("\r\n")
    except UnicodeDecodeError:
        return None
    words = first.split(" ")
    if len(words) != 3 or words[2] != "HTTP/1.1":
        return None
    fields: dict[str, str] = {}
    for line in lines:
        name, found, value = line.partition(":")
        if not found or name.lower() in fields:
            return None
        fields[name.lower()] = value.strip()
    key = fields.get("authorization", "").removeprefix("Bearer ")
    rows, found, columns = fields.get("nono-size", "").partition("x")
    size = None
    if found and rows.isascii() and columns.isascii() and rows.isdecimal() and columns.isdecimal():
        size = size_of(int(rows[:6]), int(columns[:6]))
    return Request((words[0], words[1]), key, size, frozenset(fields.get("nono-viewer", "").split()))


def size_of(rows: int, columns: int) -> Size | None:
    """Return a size within bounds; None if it is unknown (0)."""
    return Size(min(rows, SIDE_MAX), min(columns, SIDE_MAX)) if rows > 0 and columns > 0 else None


def response(status: int, error: str = "") -> bytes:
    """Return the bytes of a response, with a body if it says what is wrong."""
    body = json_text.compact_ascii({"error": error}) if error else ""
    lines = [f"HTTP/1.1 {status} {_REASONS[status]}"]
    if status == SWITCHED:
        lines += ["Connection: Upgrade", f"Upgrade: {UPGRADE}"]
    else:
        lines.append("Connection: close")
        if status != OK:
            lines.append(f"Content-Length: {len(body)}")
    if body:
        lines.append("Content-Type: application/json")
    return "\r\n".join([*lines, "", body]).encode("ascii")


def status_of(head: bytes) -> int | None:
    """Return the status of a response; None if it is malformed."""
    words = head.split(b" ", 2)
    is_http = len(words) == 3 and words[0] == b"HTTP/1.1" and words[1].isdigit() and len(words[1]) == 3
    return int(words[1]) if is_http else None


def frame(kind: int, content: bytes) -> bytes:
    return FRAME.pack(kind, len(content)) + content


def frames(kind: int, content: bytes) -> bytes:
    """Return content of any length as frames; none if it is empty."""
    pieces = range(0, len(content), FRAME_BYTES_MAX)
    return b"".join(frame(kind, content[at : at + FRAME_BYTES_MAX]) for at in pieces)


def end_frame(word: str, **fields: object) -> bytes:
    """Return the last frame for a viewer: why nothing more follows."""
    return json_frame(END, {"end": word, **fields})


def json_frame(kind: int, document: Mapping[str, object]) -> bytes:
    return frame(kind, json_text.compact_ascii(document).encode("ascii"))


def modes_frame(disarm: bytes, arm: bytes) -> bytes:
    """Return what a viewer is told of the modes: what undoes them, and what sets them."""
    return frame(MODES, _LENGTH.pack(len(disarm)) + disarm + arm)


def parse_modes(content: bytes) -> tuple[bytes, bytes]:
    """Return what undoes the modes, and what sets them. Raises ValueError if the frame is damaged."""
    if len(content) < _LENGTH.size:
        raise ValueError("a damaged frame")
    end = _LENGTH.size + _LENGTH.unpack_from(content)[0]
    return content[_LENGTH.size : end], content[end:]


class Frames:
    """Splits a stream into frames."""

    def __init__(self) -> None:
        self._received, self._at = b"", 0
        self._data_left = 0  # bytes that are still to come of a frame of DATA

    def feed(self, received: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield the frames that are whole by now, and of a frame of DATA what is there.

        May be called while an earlier call still yields. Raises ValueError for a frame that is too long.
        """
        rest = self._received[self._at :]
        self._received, self._at = rest + received if rest else received, 0
        while (found := self._next()) is not None:
            yield found

    def _next(self) -> tuple[int, bytes] | None:
        while True:
            if self._data_left:
                content = self._received[self._at : self._at + self._data_left]
                self._at += len(content)
                self._data_left -= len(content)
                return (DATA, content) if content else None
            begin = self._at + FRAME.size
            if len(self._received) < begin:
                return None
            kind, length = FRAME.unpack_from(self._received, self._at)
            if length > FRAME_BYTES_MAX:
                raise ValueError(f"a frame of {length} bytes")
            if kind == DATA:
                self._at, self._data_left = begin, length
            elif len(self._received) < begin + length:
                return None
            else:
                self._at = begin + length
                return kind, self._received[begin : self._at]
