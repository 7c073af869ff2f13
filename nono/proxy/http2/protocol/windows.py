"""Count the bytes that may arrive before they are acknowledged (RFC 9113 section 5.2)."""

from __future__ import annotations

from nono.proxy.http2.protocol.frames import ErrorCode, FrameError

DEFAULT_WINDOW = 65535  # section 6.9.2; no setting changes that of the connection
MAX_WINDOW = 2**31 - 1
_SMALL_BYTES = 1024


class ReceiveWindow:
    """A window that we keep open. Raises FrameError if the peer sends more than it allows."""

    __slots__ = ("_left", "_passed_on", "size")

    def __init__(self, size: int) -> None:
        self.size = self._left = size
        self._passed_on = 0  # bytes that are not announced yet

    def take(self, count: int) -> None:
        """Note that `count` bytes have arrived. Raises FrameError if the window has less room."""
        self._left -= count
        if self._left < 0:
            raise FrameError("more data than the window allows", ErrorCode.FLOW_CONTROL_ERROR)

    def give_back(self, count: int) -> int:
        """Note that `count` bytes have been passed on; return the increment to announce now, or 0.

        Announced once it is half of the window, or a little where the peer can send nothing at all.
        """
        self._passed_on = passed_on = self._passed_on + count
        if passed_on < self.size // 2 and (self._left or passed_on <= min(_SMALL_BYTES, self.size // 4)):
            return 0
        self._passed_on = 0
        self._left += passed_on
        return passed_on
