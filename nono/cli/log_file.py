"""Write the file of --log-file: nono's warnings and errors, and with -v every line about a run."""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from nono.clock import rfc3339
from nono.disk.durable import is_of_the_kernel
from nono.printable import printable


class LogFile:
    """A log file opened for appending. It stays open until exec, which closes it."""

    def __init__(self, path: str) -> None:
        """Open the file. Raises OSError if it cannot be opened for appending, or is a link.

        In a project, a command of an earlier run may have left the link, and messages have words of its own.
        """
        # O_NONBLOCK: a FIFO without a reader must not block a run. 0600: command lines are private.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
        if not is_of_the_kernel(path):
            flags |= os.O_NOFOLLOW
        try:
            self._descriptor = os.open(path, flags, 0o600)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            raise OSError(error.errno, "It is a link: name the file that it leads to") from error

    def write(self, level: str, line: str) -> None:
        """Append one entry per line. Ignores write errors, because stderr has the lines too."""
        entries = (f"{rfc3339()} {level} {printable(each)}\n" for each in line.splitlines() or [""])
        with suppress(OSError):
            os.write(self._descriptor, "".join(entries).encode("utf-8", "backslashreplace"))
