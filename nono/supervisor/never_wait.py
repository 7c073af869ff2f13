"""Ends a system call of ours that waits although it was told not to."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

STUCK_S = 0.05  # no call that does not wait takes that long


@contextmanager
def interruptible() -> Iterator[None]:
    """Within it `interrupted` works. Only in the main thread; SIGALRM is taken for it."""
    previous = signal.signal(signal.SIGALRM, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, previous)


class _Interrupted:
    def __enter__(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, STUCK_S)

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)


# A call that waits within it fails with EINTR. O_NONBLOCK belongs to the open file, which the command shares:
# another of its threads can take the flag off between our setting it and our connect, and would so stop the
# loop for as long as it likes. The socket must have been told setblocking(False), or Python waits once more.
# An object and no generator: it is on the way of every connection.
interrupted = _Interrupted()
