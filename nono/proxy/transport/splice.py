"""Two connections joined: bytes both ways, half-closes passed on, and no more in memory than two buffers."""

from __future__ import annotations

import asyncio
from typing import cast

from nono.proxy.transport.connection_set import ConnectionSet
from nono.proxy.transport.deadline import Deadline

_FLUSH_S = 30.0  # how long an end may take to read the last bytes once the other end is gone


class SpliceEnd(asyncio.Protocol):
    """One end: what arrives goes to the other end, and a full buffer there stops the reading here.

    It is in registry from the moment it has a transport until that is closed.
    """

    def __init__(self, registry: ConnectionSet) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: SpliceEnd | None = None
        self.last_active = 0.0
        self.flowing = False
        self.early = b""  # what came before anything may flow; one read at most
        self.ended = False  # this end has sent its last byte
        self.is_full = False  # this end does not read what has been written to it, so no more is read for it
        self._flush: asyncio.TimerHandle | None = None  # runs once the other end is gone
        self._registry = registry

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._registry.add(self)

    def begin(self) -> None:
        """Let what arrives here flow to the other end, what came early first."""
        other = self.other
        if self.transport is None or other is None or other.transport is None:
            return
        self.flowing = True
        early, self.early = self.early, b""
        if early:
            other.transport.write(early)
        if self.ended:
            self._pass_end_on()
        elif not other.is_full and not self.transport.is_closing():
            self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        other = self.other
        if not self.flowing:
            # Pausing in connection_made would be the place, but uvloop starts to read only after it.
            self.early += data
            if self.transport is not None and not self.transport.is_closing():
                self.transport.pause_reading()
        elif other is not None and other.transport is not None:
            other.transport.write(data)
            self.last_active = other.last_active = asyncio.get_running_loop().time()

    def eof_received(self) -> bool:
        """Pass the half-close on; True keeps the direction that is still open."""
        self.ended = True
        goes_on = self._pass_end_on() if self.flowing else True
        # Over TLS both directions end together: uvloop takes no True, and says so on the person's terminal.
        return goes_on and self.transport is not None and self.transport.can_write_eof()

    def _pass_end_on(self) -> bool:
        other = self.other
        if other is None or other.transport is None or other.transport.is_closing():
            return False
        if other.ended:
            other.transport.close()
            return False
        if not other.transport.can_write_eof():  # TLS, whose end is the end of both directions
            other.transport.close()
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
        self._registry.discard(self)
        self.transport = None
        if self._flush is not None:
            self._flush.cancel()  # or ended tunnels would be kept until it is due
            self._flush = None
        other, self.other = self.other, None
        if other is None or other.transport is None:
            return
        if exc is None:
            other.close()
        else:
            other.abort()

    def close(self) -> None:
        """Once what was written last has been read, or its time is over."""
        if self.transport is not None:
            self.transport.close()
            self._flush = asyncio.get_running_loop().call_later(_FLUSH_S, self.abort)

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class TimedEnd(SpliceEnd):
    """The client's end of a pair that both end when nothing has moved either way for idle_timeout_s."""

    def __init__(self, registry: ConnectionSet, idle_timeout_s: float) -> None:
        super().__init__(registry)
        self._idle_timeout_s = idle_timeout_s
        self._deadline = Deadline(self._overdue)

    def join(self, upstream: SpliceEnd) -> None:
        """From now on bytes flow, what came early first."""
        self.other, upstream.other = upstream, self
        self.last_active = asyncio.get_running_loop().time()
        self._deadline.set(self._idle_timeout_s)
        self.begin()
        upstream.begin()

    def _overdue(self) -> None:
        # The other end moves last_active and not this deadline.
        left = self.last_active + self._idle_timeout_s - asyncio.get_running_loop().time()
        if left > 0:
            self._deadline.set(left)
        else:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadline.cancel()
        super().connection_lost(exc)
