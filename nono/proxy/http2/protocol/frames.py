"""Read HTTP/2 frames as they arrive (RFC 9113 section 4), and limit floods of them.

A frame is judged by its header, before its payload is waited for.
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct

from nono.named_tuple import NamedTuple

MAX_FRAME_BYTES = 16 * 1024  # the initial value of SETTINGS_MAX_FRAME_SIZE
MAX_HEAD_BYTES = 64 * 1024  # of one encoded header block
_MAX_HEAD_FRAMES = 64  # which may be empty (CVE-2024-27316)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # section 3.4

# Section 6. Plain numbers: comparing with the members of an IntEnum takes four times as long.
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    range(10)
)
END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
HAS_PRIORITY = 0x20

_HEADER = Struct(">BHBBI")  # the length in 24 bits, then kind, flags and stream
_HEADER_BYTES = 9
_STREAM_MASK = 0x7FFFFFFF  # the highest bit is reserved
_SETTINGS_BYTES = 128  # of settings, which take as long to apply as another frame to read
_CREDIT = 4  # empty frames allowed for each frame that carries something
_NOTHING = "too many frames that carry nothing"


class ErrorCode(IntEnum):
    """RFC 9113 section 7."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


class FrameError(Exception):
    """The peer breaks the protocol or floods the connection; end it with `code` (RFC 9113 section 5.4.1)."""

    def __init__(self, reason: str, code: ErrorCode = ErrorCode.ENHANCE_YOUR_CALM) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


class Frame(NamedTuple):
    """One whole frame."""

    kind: int
    flags: int
    stream_id: int
    payload: bytes


def frame_bytes(kind: int, flags: int, stream_id: int, payload: bytes | memoryview) -> bytes:
    """Serialise a frame."""
    size = len(payload)
    return b"".join((_HEADER.pack(size >> 16, size & 0xFFFF, kind, flags, stream_id), payload))


class Allowance:
    """A token bucket: `burst` units at once, refilled with `per_s` units each second; `now` is in seconds."""

    __slots__ = ("_at", "_burst", "_left", "_per_s")

    def __init__(self, burst: int, per_s: float) -> None:
        self._burst = self._left = float(burst)
        self._per_s = per_s
        self._at: float | None = None

    def refill(self, now: float) -> None:
        if self._at is not None:
            self.earn((now - self._at) * self._per_s)
        self._at = now

    def earn(self, units: float) -> None:
        self._left = min(self._burst, self._left + units)

    def spend(self, reason: str, units: int = 1) -> None:
        """Spend some units. Raises FrameError with `reason` if they are not left."""
        self._left -= units
        if self._left < 0:
            raise FrameError(reason)


class FrameReader:
    """Splits the bytes of one direction into frames, and charges for frames that carry nothing.

    PING, SETTINGS, PRIORITY, WINDOW_UPDATE, DATA with nothing but padding, and heads on a stream that was
    reset are free in proportion to the frames that carry something (CVE-2019-9511 to -9518). Resets are
    limited separately, because a reset stream costs more than the frame that resets it (CVE-2023-44487).

    preface: The client's preface comes first.
    """

    __slots__ = (
        "_awaits_continuation", "_begun", "_control", "_head_bytes", "_head_frames", "_held", "_preface",
        "_resets",
    )  # fmt: skip

    def __init__(self, *, preface: bool) -> None:
        self._preface = PREFACE if preface else b""  # the part still to come
        self._held = bytearray()  # an incomplete header, or what has arrived of the payload of _begun
        self._begun: tuple[int, int, int, int] | None = None  # length, kind, flags, stream
        self._head_bytes = self._head_frames = 0
        self._awaits_continuation = False
        self._control = Allowance(2000, 1000)
        self._resets = Allowance(500, 50)

    @property
    def in_head(self) -> bool:
        """True while a header block is arriving, its only frame included."""
        begun = self._begun
        return self._awaits_continuation or (begun is not None and begun[1] in (HEADERS, CONTINUATION))

    @property
    def left(self) -> int:
        """The bytes of the current frame still to come."""
        return 0 if self._begun is None else self._begun[0] - len(self._held)

    def feed(self, data: bytes, now: float) -> list[Frame]:
        """Return the frames that are complete. Raises FrameError."""
        self._control.refill(now)
        self._resets.refill(now)
        if self._preface:
            data = self._without_preface(data)
        if self._held:
            self._held += data
            if self._begun is not None and len(self._held) < self._begun[0]:
                return []
            data = bytes(self._held)
            self._held.clear()
        frames = list[Frame]()
        position, size = 0, len(data)
        while True:
            begun = self._begun
            if begun is None:
                if size - position < _HEADER_BYTES:
                    break
                begun = self._begun = self._begin_frame(data, position)
                position += _HEADER_BYTES
            end = position + begun[0]
            if end > size:
                break
            frames.append(Frame(begun[1], begun[2], begun[3], data[position:end]))
            self._begun = None
            position = end
        if position < size:
            self._held += data[position:]
        return frames

    def carried(self) -> None:
        """Grant credit for a substantial frame we sent: the peer's replies to it are not a flood."""
        self._control.earn(_CREDIT)

    def carried_nothing(self) -> None:
        """Charge for a frame that seemed to carry something, with the credit for it. Raises FrameError."""
        self._control.spend(_NOTHING, _CREDIT + 1)

    def stream_reset(self) -> None:
        """Count a stream that the peer ended early. Raises FrameError if there are too many."""
        self._resets.spend("too many streams were reset")

    def _without_preface(self, data: bytes) -> bytes:
        begin = data[: len(self._preface)]
        if not self._preface.startswith(begin):
            raise FrameError("it does not begin with the preface", ErrorCode.PROTOCOL_ERROR)
        self._preface = self._preface[len(begin) :]
        return data[len(begin) :]

    def _begin_frame(self, data: bytes, position: int) -> tuple[int, int, int, int]:
        high, low, kind, flags, stream_id = _HEADER.unpack_from(data, position)
        length = (high << 16) + low
        if length > MAX_FRAME_BYTES:
            raise FrameError(f"a frame is larger than {MAX_FRAME_BYTES} bytes", ErrorCode.FRAME_SIZE_ERROR)
        if kind in (HEADERS, PUSH_PROMISE):
            self._control.earn(_CREDIT)
            self._head_bytes = self._head_frames = 0
            self._count_head(length, flags)
        elif kind == DATA and (length or flags & END_STREAM):
            self._control.earn(_CREDIT)
        else:
            self._control.spend(_NOTHING, 1 + length // _SETTINGS_BYTES if kind == SETTINGS else 1)
            if kind == CONTINUATION:
                self._count_head(length, flags)
        return length, kind, flags, stream_id & _STREAM_MASK

    def _count_head(self, length: int, flags: int) -> None:
        self._head_bytes += length
        if self._head_bytes > MAX_HEAD_BYTES:
            raise FrameError(f"a header block is larger than {MAX_HEAD_BYTES} bytes")
        self._head_frames += 1
        if self._head_frames > _MAX_HEAD_FRAMES:
            raise FrameError(f"a header block comes in more than {_MAX_HEAD_FRAMES} frames")
        self._awaits_continuation = not flags & END_HEADERS
