"""Keep the streams of one HTTP/2 connection (RFC 9113 section 5.1)."""

from __future__ import annotations

from nono.proxy.http2.protocol.payloads import violation
from nono.proxy.http2.protocol.windows import ReceiveWindow

MAX_STREAM_ID = 2**31 - 1
_RESETS_REMEMBERED = 1024


class Stream:
    """A stream on which either side may still send."""

    __slots__ = ("has_head", "heard_all", "inbound", "outbound", "sent_all", "unseen")

    def __init__(self, inbound: int, outbound: int, *, has_head: bool) -> None:
        self.inbound = ReceiveWindow(inbound)
        self.outbound = outbound  # bytes the peer still allows; a setting can make it negative
        self.has_head = has_head  # the peer's request or final response head has arrived
        self.heard_all = False
        self.sent_all = False
        self.unseen: int | None = None  # bytes of the request's body still to come, if announced


class Streams:
    """The open streams by their number, and what is known of the others.

    client_side: We open the odd ones.
    """

    __slots__ = ("_client_side", "_next_id", "_was_reset", "last_inbound", "open")

    def __init__(self, *, client_side: bool) -> None:
        self.open = dict[int, Stream]()
        self.last_inbound = 0  # the highest number that the peer has opened
        self._client_side = client_side
        self._next_id = 1 if client_side else 2
        self._was_reset = dict[int, None]()  # the oldest first

    @property
    def are_used_up(self) -> bool:
        """True if there is no number left for a stream of ours."""
        return self._next_id > MAX_STREAM_ID

    def reserve(self) -> int:
        """Return the number of the next stream of ours. It may stay unused (RFC 9113 section 5.1.1)."""
        stream_id = self._next_id
        self._next_id += 2
        return stream_id

    def may_open(self, stream_id: int) -> bool:
        """Return True if the peer may open a stream with this number."""
        return not self._client_side and bool(stream_id & 1) and stream_id > self.last_inbound

    def add_theirs(self, stream_id: int, stream: Stream) -> None:
        """Open a stream of the peer; requires may_open."""
        self.last_inbound = stream_id
        self.open[stream_id] = stream

    def sent_all(self, stream_id: int, stream: Stream) -> None:
        """Note that we have ended our side."""
        stream.sent_all = True
        if stream.heard_all:
            del self.open[stream_id]

    def heard_all(self, stream_id: int, stream: Stream) -> None:
        """Note that the peer has ended its side."""
        stream.heard_all = True
        if stream.sent_all:
            del self.open[stream_id]

    def was_reset(self, stream_id: int) -> bool:
        """Return True for one of the last streams that were reset: its frames may have crossed the reset."""
        return stream_id in self._was_reset

    def note_reset(self, stream_id: int) -> None:
        """Drop a stream that either side has reset."""
        self.open.pop(stream_id, None)
        self._was_reset[stream_id] = None
        if len(self._was_reset) > _RESETS_REMEMBERED:
            del self._was_reset[next(iter(self._was_reset))]

    def check_not_idle(self, stream_id: int) -> None:
        """Raise FrameError for a stream that nobody has opened yet."""
        is_ours = bool(stream_id & 1) is self._client_side
        if stream_id >= self._next_id if is_ours else stream_id > self.last_inbound:
            raise violation("a frame on a stream that nobody opened")
