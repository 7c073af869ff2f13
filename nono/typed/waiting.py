"""Wait until something can be read or written, so that no signal goes unnoticed.

Python runs the handler of a signal between two of its own instructions. A signal that comes after the last of
them, but before the system call, does not interrupt that call: Ctrl-C would have no effect until it returns.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

_HANDLED_BYTES = 4096


def wait_for(
    reading: FileDescriptorLike | None = None,
    writing: FileDescriptorLike | None = None,
    timeout_s: float | None = None,
) -> bool:
    """Wait until one of the two is ready. Returns False if timeout_s has passed.

    Raises what the handler of a signal raises, KeyboardInterrupt for SIGINT. For the main thread only. After
    a signal whose handler raises nothing, the wait goes on, and timeout_s begins anew.
    """
    poll = select.poll()
    for descriptor, event in ((reading, select.POLLIN), (writing, select.POLLOUT)):
        if descriptor is not None:
            poll.register(descriptor, event)
    timeout_ms = None if timeout_s is None else timeout_s * 1000
    with _handled_signals() as handled:
        poll.register(handled, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in poll.poll(timeout_ms)}
            if handled not in ready:
                return bool(ready)
            os.read(handled, _HANDLED_BYTES)  # what was to be done about them has been done


@contextmanager
def unblocked(numbers: Iterable[int]) -> Iterator[None]:
    """Let these signals act within the block. A run blocks them, to forward them to its command."""
    before = signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _handled_signals() -> Iterator[int]:
    """Yield a descriptor that is readable once a signal has come for which Python has a handler."""
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        try:
            yield reader
        finally:
            signal.set_wakeup_fd(before)
    finally:
        os.close(reader)
        os.close(writer)
