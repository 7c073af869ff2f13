"""Read and write the settings of an HTTP/2 connection (RFC 9113 section 6.5)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from struct import Struct

from nono.proxy.http2.protocol.frames import MAX_FRAME_BYTES, ErrorCode, FrameError
from nono.proxy.http2.protocol.windows import DEFAULT_WINDOW, MAX_WINDOW

_PAIR = Struct(">HI")
_UNLIMITED = 2**32  # section 6.5.2: no limit until the peer announces one
_MAX_FRAME_BYTES = 2**24 - 1


class Setting(IntEnum):
    """Section 6.5.2, and section 3 of RFC 8441."""

    HEADER_TABLE_SIZE = 0x1
    ENABLE_PUSH = 0x2
    MAX_CONCURRENT_STREAMS = 0x3
    INITIAL_WINDOW_SIZE = 0x4
    MAX_FRAME_SIZE = 0x5
    MAX_HEADER_LIST_SIZE = 0x6
    ENABLE_CONNECT_PROTOCOL = 0x8


class PeerSettings:
    """The settings of the peer that limit what we send."""

    __slots__ = ("initial_window", "max_frame_bytes", "max_streams")

    def __init__(self) -> None:
        self.max_streams = _UNLIMITED
        self.initial_window = DEFAULT_WINDOW
        self.max_frame_bytes = MAX_FRAME_BYTES

    def update(self, payload: bytes, *, from_server: bool) -> list[int]:
        """Apply a SETTINGS frame. Raises FrameError if a value is out of its range.

        Returns the sizes of the compression table in their order; the smallest counts too (RFC 7541 4.2).
        """
        tables = list[int]()
        for key, value in _PAIR.iter_unpack(payload):
            match key:
                case Setting.HEADER_TABLE_SIZE:
                    tables.append(value)
                case Setting.ENABLE_PUSH:
                    _check(value <= (0 if from_server else 1))
                case Setting.MAX_CONCURRENT_STREAMS:
                    self.max_streams = value
                case Setting.INITIAL_WINDOW_SIZE:
                    _check(value <= MAX_WINDOW, ErrorCode.FLOW_CONTROL_ERROR)
                    self.initial_window = value
                case Setting.MAX_FRAME_SIZE:
                    _check(MAX_FRAME_BYTES <= value <= _MAX_FRAME_BYTES)
                    self.max_frame_bytes = value
                case Setting.ENABLE_CONNECT_PROTOCOL:
                    _check(value <= 1)
        return tables


def settings_payload(settings: Mapping[Setting, int]) -> bytes:
    """Serialise the settings we announce."""
    return b"".join(_PAIR.pack(key, value) for key, value in settings.items())


def _check(is_in_range: bool, code: ErrorCode = ErrorCode.PROTOCOL_ERROR) -> None:
    if not is_in_range:
        raise FrameError("a setting is out of its range", code)
