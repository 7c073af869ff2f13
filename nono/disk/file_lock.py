"""Wait for the lock of an open file, for a limited time (flock(2))."""

from __future__ import annotations

import fcntl
import time

_LOOK_EVERY_S = 0.005


def locked_within(descriptor: int, patience_s: float, operation: int = fcntl.LOCK_EX) -> bool:
    """Lock a file until its descriptor is closed. Returns False if another process held it all the time.

    operation: LOCK_EX or LOCK_SH. Raises OSError, ENOLCK for instance, where files cannot be locked.
    """
    deadline = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_LOOK_EVERY_S)
