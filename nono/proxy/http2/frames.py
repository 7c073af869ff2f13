"""Check HTTP/2 frames as they arrive: limit floods and take GOAWAY out of the stream.

RFC 9113 section 4.1 defines the layout. This runs before the h2 library, which checks the length of a frame
only after buffering all of it, and after a GOAWAY lets no open stream finish.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from nono.named_tuple import NamedTuple

MAX_FRAME_BYTES = 16 * 1024  # the initial value of SETTINGS_MAX_FRAME_SIZE
MAX_HEAD_BYTES = 64 * 1024  # of one encoded header block

_PREFACE_BYTES = 24  # RFC 9113 section 3.4; the h2 library checks its content
_HEADER_BYTES = 9
_END_STREAM = 0x1
_END_HEADERS = 0x4
_CREDIT = 4  # empty frames allowed for each frame that carries something


class _Kind(IntEnum):
    DATA = 0
    HEADERS = 1
    RST_STREAM = 3
    PUSH_PROMISE = 5
    GOAWAY = 7
    CONTINUATION = 9


class FrameError(Exception):
    """The peer sends frames that are too large, or too many that carry nothing; end the connection."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class GoAway(NamedTuple):
    """A GOAWAY frame (RFC 9113 section 6.8)."""

    last_stream_id: int
    error_code: int


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

    def spend(self, reason: str) -> None:
        """Spend one unit. Raises FrameError with `reason` if none is left."""
        self._left -= 1
        if self._left < 0:
            raise FrameError(reason)


class FrameGate:
    """Passes the bytes of one direction through, and charges for frames that carry nothing.

    PING, SETTINGS, PRIORITY, WINDOW_UPDATE and empty DATA are free in proportion to the frames that carry
    something (CVE-2019-9511 to -9518). Resets are limited separately, because a reset stream costs more
    than the frame that resets it (CVE-2023-44487).
    """

    def __init__(self, *, preface: bool) -> None:
        self._ahead = _PREFACE_BYTES if preface else 0
        self._held = b""  # an incomplete frame header
        self._left = 0  # bytes of the current frame still to come
        self._away: bytearray | None = None  # the GOAWAY being taken out
        self._head_bytes = 0
        self.in_head = False  # a header block has begun but not ended
        self._control = Allowance(2000, 1000)
        self._resets = Allowance(500, 50)

    @property
    def left(self) -> int:
        """The bytes of the current frame still to come."""
        return self._left

    def feed(self, data: bytes, now: float) -> tuple[bytes, Sequence[GoAway]]:
        """Return the bytes for the h2 library and the GOAWAY frames taken out. Raises FrameError."""
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
        """Grant credit for a substantial frame we sent: the peer's replies to it are not a flood."""
        self._control.earn(_CREDIT)

    def stream_reset(self) -> None:
        """Count a stream that the peer ended early. Raises FrameError if there are too many."""
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
