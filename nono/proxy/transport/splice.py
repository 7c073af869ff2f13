"""Join two connections: bytes both ways, half-closes passed on, at most two buffers in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import cast

from nono.proxy.transport.connection_set import ConnectionSet, Peer, peer_of
from nono.proxy.transport.deadline import GOODBYE_S, Deadline
from nono.proxy.transport.polled import is_sending

_FLUSH_S = 30.0  # how long an end may take to read the last bytes once the other end is gone
_LOOK_S = 0.05  # first look whether an end over TLS has read the last bytes; less and less often after that


class SpliceEnd(asyncio.Protocol):
    """One end; sends its input to the other end, and stops reading while the buffer there is full.

    It is in `connections` from connection_made until connection_lost.
    """

    def __init__(self, connections: ConnectionSet) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: SpliceEnd | None = None
        self.last_active = 0.0
        self.moved = 0  # bytes that this end has sent to the other
        self.was_reset = False
        self.flowing = False
        self.early = b""  # received before bytes may flow; one read at most
        self.ended = False  # this end has sent its last byte
        self.is_full = False  # this end does not read what was written to it, so the other end is paused
        self._flush: asyncio.Handle | None = None  # runs once the other end is gone
        self._connections = connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._connections.add(self)

    def begin(self) -> None:
        """Let input flow to the other end, early bytes first."""
        other = self.other
        if self.transport is None or other is None or other.transport is None:
            return
        self.flowing = True
        early, self.early = self.early, b""
        if early:
            self.moved += len(early)
            other.transport.write(early)
        if self.ended:
            self._pass_end_on()
        elif not other.is_full and not self.transport.is_closing():
            self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        other = self.other
        if not self.flowing:
            # connection_made would be too early to pause, because uvloop starts reading only after it.
            self.early += data
            if self.transport is not None and not self.transport.is_closing():
                self.transport.pause_reading()
        elif other is not None and other.transport is not None:
            self.moved += len(data)
            other.transport.write(data)
            self.last_active = other.last_active = asyncio.get_running_loop().time()

    def eof_received(self) -> bool:
        """Pass the half-close on. Returns True to keep the other direction open."""
        self.ended = True
        goes_on = self._pass_end_on() if self.flowing else True
        # Over TLS both directions end together: uvloop rejects True with a warning on the terminal.
        return goes_on and self.transport is not None and self.transport.can_write_eof()

    def _pass_end_on(self) -> bool:
        other = self.other
        if other is None or other.transport is None or other.transport.is_closing():
            return False
        if other.ended:
            other.transport.close()
            return False
        if not other.transport.can_write_eof():  # TLS, which ends both directions at once
            other.close()
            return False
        other.transport.write_eof()
        return True

    def pause_writing(self) -> None:
        self.is_full = True
        other = self.other
        if other is not None and other.transport is not None and not other.transport.is_closing():
            other.transport.pause_reading()

    def resume_writing(self) -> None:
        self.is_full = False
        other = self.other
        if other is None or other.transport is None or other.transport.is_closing():
            return
        if other.flowing and not other.ended:
            other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        self.transport = None
        self.was_reset = exc is not None
        if self._flush is not None:
            self._flush.cancel()  # otherwise the timer would keep ended tunnels alive
            self._flush = None
        other, self.other = self.other, None
        if other is None or other.transport is None:
            return
        if exc is None:
            other.close()
        else:
            other.abort()

    def close(self) -> None:
        """Close once the last bytes have been read, or after _FLUSH_S."""
        if self.transport is None or self._flush is not None:
            return
        loop = asyncio.get_running_loop()
        self.transport.close()
        if self.transport.can_write_eof():
            self._flush = loop.call_later(_FLUSH_S, self.abort)
        else:
            self._flush = loop.call_soon(self._abort_once_sent, loop.time() + _FLUSH_S, _LOOK_S)

    def _abort_once_sent(self, until: float, wait_s: float, *, was_sent: bool = False) -> None:
        """End TLS once everything was sent, or at the time `until`; `wait_s` is when to look again.

        Otherwise it would wait for the other end's close_notify, and decrypt whatever that sends instead.

        was_sent: It was in the last turn of the loop, too. In one turn the last bytes may be in the loop,
            which counts only those that TLS holds, and not yet in the kernel.
        """
        if self.transport is None:
            return
        loop = asyncio.get_running_loop()
        if loop.time() < until and is_sending(self.transport):
            self._flush = loop.call_later(wait_s, self._abort_once_sent, until, min(2 * wait_s, GOODBYE_S))
        elif was_sent:
            self.abort()
        else:
            self._flush = loop.call_soon(partial(self._abort_once_sent, until, wait_s, was_sent=True))

    @property
    def peer(self) -> Peer | None:
        return peer_of(self.transport)

    def cut(self, reason: str) -> None:
        """Cut both ends, if this is the upstream's."""
        if self.other is not None:
            self.other.cut(reason)
        self.abort()

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class TimedEnd(SpliceEnd):
    """The client's end of a pair; ends both if no byte has moved either way for idle_timeout_s.

    on_over: called once it is lost, while it still knows the other end.
    """

    def __init__(self, connections: ConnectionSet, idle_timeout_s: float) -> None:
        super().__init__(connections)
        self._idle_timeout_s = idle_timeout_s
        self.was_idle = False  # long enough that both ends were closed
        self.on_over: Callable[[TimedEnd], None] | None = None
        self.refused_since: Callable[[], str | None] = lambda: None  # why the current rules refuse its host
        self.on_cut: Callable[[str], None] = lambda reason: None  # called before it is cut for that
        self._deadline = Deadline(self._overdue)

    def join(self, upstream: SpliceEnd) -> None:
        """Start the flow between both ends, early bytes first."""
        self.other, upstream.other = upstream, self
        self.last_active = asyncio.get_running_loop().time()
        self._deadline.set(self._idle_timeout_s)
        self.begin()
        upstream.begin()

    def cut_if_refused(self) -> bool:
        """Judge by the current rules. Returns True if both ends were cut."""
        reason = self.refused_since()
        if reason is None:
            return False
        self.cut(reason)
        return True

    def cut(self, reason: str) -> None:
        self.on_cut(reason)
        if self.other is not None:
            self.other.abort()
        self.abort()

    def _overdue(self) -> None:
        # The other end updates last_active but not this deadline.
        left = self.last_active + self._idle_timeout_s - asyncio.get_running_loop().time()
        if left > 0:
            self._deadline.set(left)
        else:
            self.was_idle = True
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadline.cancel()
        on_over, self.on_over = self.on_over, None
        if on_over is not None:
            on_over(self)
        super().connection_lost(exc)
