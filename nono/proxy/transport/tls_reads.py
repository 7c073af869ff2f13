"""Read TLS in pieces that cannot hold the loop, and no more than is taken."""

from __future__ import annotations

import asyncio
from collections import deque
from time import perf_counter
from typing import Protocol, cast

# OpenSSL handles every message of a read before it returns. A KeyUpdate is 27 bytes and takes 15 µs, so the
# 256 KiB that uvloop reads at once can take 0.15 s, and libuv reads up to 32 times in a turn.
MOST_BYTES = 64 * 1024
LEAST_BYTES = 4 * 1024
_FIRST_BYTES = 16 * 1024
LONG_S = 0.003  # for one connection in one turn; then it waits until others have been read
# Of answers that TLS itself gives, as to each KeyUpdate that asks for one, to a peer that reads nothing. Flow
# control does not bound them: uvloop pauses only what writes to TLS. Its writes in a read cannot be told from
# them, so this is more than flow control lets it add: 512 KiB, and the last write.
MOST_UNREAD_BYTES = 1024 * 1024


class _Buffering(Protocol):
    def set_read_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...


class TlsReads:
    """Makes connections whose reads take long wait for each other: one is read in each turn of the loop."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Transport] = deque()
        self._turn_number = 0
        self._is_counting = False  # in this turn

    def share(self, transport: asyncio.Transport) -> None:
        """Bound the reads of `transport`; call it once start_tls() has installed the protocol of TLS."""
        if not transport.is_closing():
            transport.set_protocol(_Reads(self, transport))

    def secured(self, transport: asyncio.Transport, inside: asyncio.Transport) -> None:
        """Bound what TLS holds and what it answers by itself. inside: What start_tls() has returned."""
        _keep_what_waits(inside)
        reads = transport.get_protocol()
        if isinstance(reads, _Reads):
            reads.inside = inside

    def wait(self, transport: asyncio.Transport) -> None:
        """Read no more from `transport` until its turn."""
        transport.pause_reading()
        self._waiting.append(transport)
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_soon(self._resume_next)

    def _resume_next(self) -> None:
        self._waiting.popleft().resume_reading()
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._resume_next)

    def turn(self) -> int:
        """Return a number that is the same until this turn of the loop is over."""
        if not self._is_counting:
            self._is_counting = True
            asyncio.get_running_loop().call_soon(self._turn_over)
        return self._turn_number

    def _turn_over(self) -> None:
        self._is_counting = False
        self._turn_number += 1


class _Reads(asyncio.BufferedProtocol):
    """Stands between a socket and the protocol of TLS. Reads are smaller while they take long."""

    def __init__(self, shared: TlsReads, transport: asyncio.Transport) -> None:
        self._tls = cast(asyncio.BufferedProtocol, transport.get_protocol())
        self._shared = shared
        self._transport = transport
        self._turn = -1  # in which it was last read
        self._spent_s = 0.0  # in this turn
        self.inside: asyncio.Transport | None = None
        self._unread: int | None = None  # bytes of answers since the peer stopped reading; None: it reads
        self._read_at_most(_FIRST_BYTES)

    def _read_at_most(self, room: int) -> None:
        # TLS keeps one buffer of 256 KiB, whatever it is asked for; only what is read into takes memory.
        self._room, self._buffer = room, memoryview(self._tls.get_buffer(MOST_BYTES))[:room]

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        waiting = 0 if self._unread is None else self._waiting()
        began = perf_counter()
        self._tls.buffer_updated(nbytes)
        took_s = perf_counter() - began
        if self._unread is not None and self._is_flooded(self._waiting() - waiting, nbytes):
            self._transport.abort()
            return
        if nbytes == self._room or took_s >= LONG_S:  # else it is the last read in this turn
            self._count(took_s)

    def _waiting(self) -> int:
        """Return how many bytes TLS has to send."""
        return 0 if self.inside is None else self.inside.get_write_buffer_size()

    def _is_flooded(self, grown: int, nbytes: int) -> bool:
        """Add what the last read was answered with, which is no longer. Returns True if too much was."""
        self._unread = (self._unread or 0) + max(0, min(grown, nbytes))
        return self._unread > MOST_UNREAD_BYTES

    def _count(self, took_s: float) -> None:
        turn = self._shared.turn()
        if turn != self._turn:
            self._turn, self._spent_s = turn, 0.0
        self._spent_s += took_s
        if self._spent_s < LONG_S:
            if self._room < MOST_BYTES:
                self._read_at_most(2 * self._room)
            return
        self._read_at_most(LEAST_BYTES)
        if self._transport.is_reading():  # else TLS holds as much as it may, and will resume it
            self._shared.wait(self._transport)

    def eof_received(self) -> bool | None:
        return self._tls.eof_received()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._tls.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.inside = None  # it refers to this
        self._tls.connection_lost(exc)

    def pause_writing(self) -> None:
        self._unread = 0
        self._tls.pause_writing()

    def resume_writing(self) -> None:
        self._unread = None
        self._tls.resume_writing()


def _keep_what_waits(secured: asyncio.Transport) -> None:
    """Read nothing from the socket while TLS holds what the protocol of `secured` has paused for.

    At the end of the connection uvloop drops what TLS holds, by default up to 256 KiB. A peer that
    closes behind its last byte, as nginx does, would cost a slow reader the rest of an answer.
    """
    cast(_Buffering, secured).set_read_buffer_limits(high=1, low=0)  # high=0 would pause it for good
