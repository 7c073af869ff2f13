"""Read the payloads of HTTP/2 frames (RFC 9113 section 6). Raises FrameError for what no frame may hold."""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct

from nono.proxy.http.message import Header
from nono.proxy.http2.protocol.events import GoAway
from nono.proxy.http2.protocol.frames import HAS_PRIORITY, PADDED, ErrorCode, FrameError

_LENGTH_DIGITS = 18
_PRIORITY_BYTES = 5
_NUMBER = Struct(">I")
_TWO_NUMBERS = Struct(">II")
_31_BITS = 0x7FFFFFFF


def violation(reason: str) -> FrameError:
    return FrameError(reason, ErrorCode.PROTOCOL_ERROR)


def number(value: int) -> bytes:
    """Serialise a payload that is one number."""
    return _NUMBER.pack(value)


def check_stream(is_right: bool) -> None:
    if not is_right:
        raise violation("a frame on a stream where it has no meaning")


def check_size(is_right: bool) -> None:
    if not is_right:
        raise FrameError("a frame has the wrong size", ErrorCode.FRAME_SIZE_ERROR)


def unpadded(flags: int, payload: bytes) -> bytes:
    """Return the payload without its padding (section 6.1)."""
    if not flags & PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise violation("a frame has more padding than it has bytes")
    return payload[1 : len(payload) - payload[0]]


def field_block(flags: int, stream_id: int, payload: bytes) -> bytes:
    """Return what a HEADERS frame holds of a field block (section 6.2)."""
    payload = unpadded(flags, payload)
    if not flags & HAS_PRIORITY:
        return payload
    check_size(len(payload) >= _PRIORITY_BYTES)
    _check_dependency(stream_id, payload)
    return payload[_PRIORITY_BYTES:]


def check_priority(stream_id: int, payload: bytes) -> None:
    """Check a PRIORITY frame, whose content is not used (section 5.3.2)."""
    check_stream(stream_id != 0)
    check_size(len(payload) == _PRIORITY_BYTES)
    _check_dependency(stream_id, payload)


def error_code(stream_id: int, payload: bytes) -> int:
    """Read a RST_STREAM frame."""
    check_stream(stream_id != 0)
    check_size(len(payload) == 4)
    (code,) = _NUMBER.unpack(payload)
    return int(code)


def increment(payload: bytes) -> int:
    """Read a WINDOW_UPDATE frame."""
    check_size(len(payload) == 4)
    value = int(_NUMBER.unpack(payload)[0])
    if not 0 < value <= _31_BITS:
        raise violation("a window is opened by nothing or too much")
    return value


def go_away(stream_id: int, payload: bytes) -> GoAway:
    """Read a GOAWAY frame."""
    check_stream(stream_id == 0)
    check_size(len(payload) >= 8)
    last, code = _TWO_NUMBERS.unpack_from(payload)
    return GoAway(last & _31_BITS, code)


def go_away_payload(last_stream_id: int, code: int) -> bytes:
    return _TWO_NUMBERS.pack(last_stream_id, code)


def announced_length(fields: Iterable[Header]) -> int | None:
    """Return the announced length of a body; `heads` refuses one that is malformed or ambiguous."""
    for name, value in fields:
        if name == b"content-length" and value.isdigit() and len(value) <= _LENGTH_DIGITS:
            return int(value)
    return None


def is_interim(fields: Iterable[Header]) -> bool:
    """Return True for the head of an interim response."""
    for name, value in fields:
        if name == b":status":
            return value.startswith(b"1")
        if not name.startswith(b":"):
            break
    return False


def _check_dependency(stream_id: int, payload: bytes) -> None:
    if int(_NUMBER.unpack_from(payload)[0]) & _31_BITS == stream_id:
        raise violation("a stream depends on itself")
