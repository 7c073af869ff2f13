"""Tell a person what a start or an end is waiting for, where a file system does not answer."""

from __future__ import annotations

import _thread
import os
import time
from collections.abc import Callable

from nono.kernel.signals import reset_to_default, signal
from nono.printable import printable_line

PATIENCE_S = 3.0
_ENDING_S = 1.0  # in which a thread that has run its last line leaves, on any machine


class ToldIfSlow:
    """Say one line if the block takes longer than PATIENCE_S, with what `looking_at` returns then.

    A thread does, because a look at a mount whose server is gone ends for fatal signals alone. It has ended
    when the block is left: a process with threads may not enter namespaces.

    Once that is printed, Ctrl-C ends this process and the look: a signal that nobody handles is fatal.
    A FUSE server that has read the request has to be ended itself (request_wait_answer in fs/fuse/dev.c).
    """

    def __init__(
        self,
        looking_at: Callable[[], str],
        say: Callable[[str], object] | None = None,
        why: str = "its file system does not answer",
    ) -> None:
        """say: Says the line; by default it is printed to stderr."""
        self._looking_at = looking_at
        self._say = say or _print
        self._why = why
        # Not `threading`, which a run without a proxy does not import.
        self._left, self._ended = _thread.allocate_lock(), _thread.allocate_lock()
        self._is_fatal = False
        self._tid = 0  # of the thread, once it runs; no task has that number

    def __enter__(self) -> None:
        self._left.acquire()
        try:
            self._ended.acquire()
            _thread.start_new_thread(self._tell, ())
        except RuntimeError:  # no more threads here: it would only have been a word
            self._ended.release()

    def __exit__(self, *_: object) -> None:
        self._left.release()
        self._ended.acquire()
        # The kernel counts a thread until it has left for good, which is after its last line of Python.
        gives_up = time.monotonic() + _ENDING_S
        while os.path.exists(f"/proc/self/task/{self._tid}") and time.monotonic() < gives_up:
            os.sched_yield()
        if self._is_fatal:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _tell(self) -> None:
        self._tid = _thread.get_native_id()
        try:
            if self._left.acquire(timeout=PATIENCE_S):
                return
            text = f"still looking at {printable_line(self._looking_at())}: {self._why}"
            # A caller that ignores it, such as nohup, stays without it.
            self._is_fatal = signal.getsignal(signal.SIGINT) is signal.default_int_handler
            if self._is_fatal:
                reset_to_default(signal.SIGINT)
            self._say(text)
            self._left.acquire()
        except OSError:
            return  # there is nobody to tell
        finally:
            self._ended.release()


def _print(text: str) -> None:
    os.write(2, f"nono: {text}\n".encode("utf-8", "replace"))
