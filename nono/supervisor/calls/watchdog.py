"""Ends a system call of ours that waits although it was told not to."""

from __future__ import annotations

import asyncio
import signal

STUCK_S = 0.05  # no call that does not wait takes that long
IDLE_S = 1.0  # after the last such call the timer goes on for so long, or twice that


class BlockingCallWatchdog:
    """From start() to close(), a call of the main thread that waits after arm() fails with EINTR.

    O_NONBLOCK belongs to the open file, which the command shares: another of its threads can take the flag
    off between our setting it and our connect, and would so stop the loop for as long as it likes. The
    socket must have been told setblocking(False), or Python itself waits once more.

    SIGALRM comes every STUCK_S while there are such calls: setting a timer before and after each of them
    would take as long as the call.
    """

    def __init__(self) -> None:
        self._is_armed = self._is_used = False
        self._idle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Only in the main thread, within a running loop. SIGALRM is taken."""
        self._loop = asyncio.get_running_loop()
        self._previous = signal.signal(signal.SIGALRM, lambda *_: None)

    def arm(self) -> None:
        self._is_used = True
        if not self._is_armed:
            self._is_armed = True
            signal.setitimer(signal.ITIMER_REAL, STUCK_S, STUCK_S)
            self._idle = self._loop.call_later(IDLE_S, self._rest)

    def close(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._previous)

    def _rest(self) -> None:
        if self._is_used:
            self._is_used = False
            self._idle = self._loop.call_later(IDLE_S, self._rest)
        else:
            self._is_armed = False
            self._idle = None
            signal.setitimer(signal.ITIMER_REAL, 0)
