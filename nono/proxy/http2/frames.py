"""The frames of an HTTP/2 connection as they arrive: counted, so that none can flood, and GOAWAY taken out.

RFC 9113 section 4.1 for the layout. It looks at bytes before the h2 library does, which checks the length
of a frame only once it holds all of it, and lets no stream end that is open when a GOAWAY comes.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from nono.named_tuple import NamedTuple

MAX_FRAME_BYTES = 16 * 1024  # SETTINGS_MAX_FRAME_SIZE, at the value the protocol begins with
MAX_HEAD_BYTES = 64 * 1024  # of one header block as it is encoded

_PREFACE_BYTES = 24  # RFC 9113 section 3.4; the h2 library compares it
_HEADER_BYTES = 9
_END_STREAM = 0x1
_END_HEADERS = 0x4
_CREDIT = 4  # further frames that one which carries something entitles to


class _Kind(IntEnum):
    DATA = 0
    HEADERS = 1
    RST_STREAM = 3
    PUSH_PROMISE = 5
    GOAWAY = 7
    CONTINUATION = 9


class FrameError(Exception):
    """The connection ends: what arrives is too large, or too much of what carries nothing."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class GoAway(NamedTuple):
    """RFC 9113 section 6.8."""

    last_stream_id: int
    error_code: int


class Allowance:
    """Units that may be spent: burst at once, and per_s every second. Times are in seconds."""

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

    def spend(self, reason: str) -> None:
        """One unit; FrameError with reason when none is left."""
        self._left -= 1
        if self._left < 0:
            raise FrameError(reason)


class FrameGate:
    """Lets the bytes of one direction through, and charges for frames that carry nothing.

    PING, SETTINGS, PRIORITY, WINDOW_UPDATE and empty DATA are free in proportion to what they accompany
    (CVE-2019-9511 to -9518); a stream that is reset costs more than the frame that resets it
    (CVE-2023-44487).
    """

    def __init__(self, *, preface: bool) -> None:
        self._ahead = _PREFACE_BYTES if preface else 0
        self._held = b""  # of a frame's header, until it is whole
        self._left = 0  # bytes of the current frame that are still to come
        self._away: bytearray | None = None  # the GOAWAY that is being taken out
        self._head_bytes = 0
        self.in_head = False  # a header block has begun and not ended
        self._control = Allowance(2000, 1000)
        self._resets = Allowance(500, 50)

    def feed(self, data: bytes, now: float) -> tuple[bytes, Sequence[GoAway]]:
        """The bytes for the h2 library, and the GOAWAY frames that were among them. FrameError."""
        self._control.refill(now)
        self._resets.refill(now)
        data = self._held + data
        self._held = b""
        position = min(self._ahead, len(data))
        self._ahead -= position
        kept: list[bytes] = [data[:position]] if position else []
        away: list[GoAway] = []
        while position < len(data):
            begin = position
            if not self._left:
                header = data[begin : begin + _HEADER_BYTES]
                if len(header) < _HEADER_BYTES:
                    self._held = header
                    break
                self._begin_frame(header)
                position += _HEADER_BYTES
            end = min(position + self._left, len(data))
            self._left -= end - position
            if self._away is None:
                kept.append(data[begin:end])
            else:
                self._away += data[position:end]
                if not self._left:
                    away.append(_go_away(bytes(self._away)))
                    self._away = None
            position = end
        return kept[0] if len(kept) == 1 else b"".join(kept), away

    def carried(self) -> None:
        """A frame was sent that carries something: what the peer answers it with is no flood."""
        self._control.earn(_CREDIT)

    def stream_reset(self) -> None:
        """A stream ended before its time by the peer's doing. FrameError when that is its habit."""
        self._resets.spend("too many streams were reset")

    def _begin_frame(self, header: bytes) -> None:
        length, kind, flags = int.from_bytes(header[:3]), header[3], header[4]
        if length > MAX_FRAME_BYTES:
            raise FrameError(f"a frame is larger than {MAX_FRAME_BYTES} bytes")
        self._left = length
        match kind:
            case _Kind.DATA if length or flags & _END_STREAM:
                self._control.earn(_CREDIT)
            case _Kind.HEADERS | _Kind.PUSH_PROMISE:
                self._control.earn(_CREDIT)
                self._head_bytes = 0
                self._count_head(length, flags)
            case _Kind.CONTINUATION:
                self._control.spend("too many frames that carry nothing")
                self._count_head(length, flags)
            case _Kind.GOAWAY:
                self._away = bytearray()
            case _:
                self._control.spend("too many frames that carry nothing")

    def _count_head(self, length: int, flags: int) -> None:
        self._head_bytes += length
        if self._head_bytes > MAX_HEAD_BYTES:
            raise FrameError(f"a header block is larger than {MAX_HEAD_BYTES} bytes")
        self.in_head = not flags & _END_HEADERS


def _go_away(payload: bytes) -> GoAway:
    if len(payload) < 8:
        raise FrameError("a GOAWAY frame is too short")
    return GoAway(int.from_bytes(payload[:4]) & 0x7FFFFFFF, int.from_bytes(payload[4:8]))
