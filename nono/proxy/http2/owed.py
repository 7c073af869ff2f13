"""Count the bytes that have arrived on one HTTP/2 connection and were not passed on yet."""

from __future__ import annotations

from nono.proxy.exchange.held import HeldBytes
from nono.proxy.http2.protocol.frames import FrameError


class Owed:
    """The bytes of one connection, by stream. Its windows alone would let each of 512 owe 32 MiB.

    own_bytes: As much the connection may always owe.
    in_all: What it owes beyond that is taken from here. close() gives it back.
    """

    __slots__ = ("_by_stream", "_in_all", "_own_bytes", "_taken", "_total")

    def __init__(self, own_bytes: int, in_all: HeldBytes) -> None:
        self._own_bytes = own_bytes
        self._in_all = in_all
        self._by_stream: dict[int, int] = {}
        self._total = self._taken = 0

    def __len__(self) -> int:
        """Return the number of streams of which anything is owed."""
        return len(self._by_stream)

    def add(self, stream_id: int, count: int) -> None:
        """Note that `count` bytes have arrived. Raises FrameError if all owe too much."""
        self._by_stream[stream_id] = self._by_stream.get(stream_id, 0) + count
        self._total += count
        more = self._total - self._own_bytes - self._taken
        if more > 0:
            if not self._in_all.take(more):
                raise FrameError("too many bytes wait to be passed on")
            self._taken += more

    def pay(self, stream_id: int, count: int) -> int:
        """Note that `count` bytes were passed on, or fewer if fewer are owed. Returns their number."""
        owed = self._by_stream.get(stream_id, 0)
        if count >= owed:
            count = owed
            self._by_stream.pop(stream_id, None)
        else:
            self._by_stream[stream_id] = owed - count
        self._total -= count
        less = min(self._taken, self._taken + self._own_bytes - self._total)
        if less > 0:
            self._in_all.give_back(less)
            self._taken -= less
        return count

    def pay_all(self, stream_id: int) -> int:
        """Note that nothing on the stream will be passed on. Returns the number of bytes that were owed."""
        return self.pay(stream_id, self._total)

    def close(self) -> None:
        """Owe nothing any more: the connection is gone."""
        self._in_all.give_back(self._taken)
        self._by_stream.clear()
        self._total = self._taken = 0
