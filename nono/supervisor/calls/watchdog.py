"""Interrupt a system call of the supervisor that blocks although it should not."""

from __future__ import annotations

import asyncio
import signal

STUCK_S = 0.05  # a call that does not block takes less
IDLE_S = 1.0  # how long the timer runs from such a call on


class BlockingCallWatchdog:
    """Makes a call of the main thread that blocks after arm() fail with EINTR, from start() to close().

    O_NONBLOCK belongs to the open file description, which the command shares: one of its threads can clear
    the flag between our setting it and our connect, and so block the loop for as long as it likes. Call
    setblocking(False) on the socket first, or Python itself waits once more.

    SIGALRM arrives every STUCK_S while there are such calls: setting a timer before and after each of them
    would take as long as the call. A call and its arm() share one turn of the loop, so that no rest comes
    between them.
    """

    def __init__(self) -> None:
        self._is_armed = False
        self._idle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Install the SIGALRM handler. Call in the main thread, within a running loop."""
        self._loop = asyncio.get_running_loop()
        signal.signal(signal.SIGALRM, lambda *_: None)

    def arm(self) -> None:
        if not self._is_armed:
            self._is_armed = True
            signal.setitimer(signal.ITIMER_REAL, STUCK_S, STUCK_S)
            self._idle = self._loop.call_later(IDLE_S, self._rest)

    def close(self) -> None:
        """Stop the timer. The handler stays: the last signal may still be on its way to another thread."""
        if self._idle is not None:
            self._idle.cancel()
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _rest(self) -> None:
        self._is_armed = False
        self._idle = None
        signal.setitimer(signal.ITIMER_REAL, 0)
