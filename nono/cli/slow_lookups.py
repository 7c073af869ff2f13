"""Tell a person which path a start is waiting for, where a file system does not answer."""

from __future__ import annotations

import _thread
import os

from nono.policy.host_filesystem import HostFilesystem
from nono.printable import printable_line

PATIENCE_S = 3.0


class ToldIfSlow:
    """Print one line to stderr if the block takes longer than PATIENCE_S, naming what `fs` looks at then.

    A thread does, because a look at a mount whose server is gone ends for SIGKILL alone. It has ended when
    the block is left: a process with threads may not enter namespaces.
    """

    def __init__(self, fs: HostFilesystem) -> None:
        self._fs = fs
        # Not `threading`, which a run without a proxy does not import.
        self._left, self._ended = _thread.allocate_lock(), _thread.allocate_lock()

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

    def _tell(self) -> None:
        try:
            if self._left.acquire(timeout=PATIENCE_S):
                return
            path = printable_line(self._fs.looking_at)
            text = f"nono: still looking at {path}: its file system does not answer\n"
            os.write(2, text.encode("utf-8", "replace"))
            self._left.acquire()
        except OSError:
            return  # there is nobody to tell
        finally:
            self._ended.release()
