"""The file of --log-file: nono's warnings and errors in it, and with -v all that it says of a run."""

from __future__ import annotations

import os
from contextlib import suppress

from nono.cli.args.options import Given
from nono.cli.console import Console
from nono.clock import rfc3339
from nono.printable import printable


def console_of(given: Given, *, silent: bool) -> Console:
    """What a command speaks through. A log that cannot be opened is said on stderr, and the run goes on."""
    plain = Console(silent=silent, verbosity=given.count("verbose"))
    path = given.value("log_file")
    console = plain if path is None or silent else _logging(plain, path)
    for warning in given.insisted:
        console.insist(warning)
    return console


def _logging(plain: Console, path: str) -> Console:
    try:
        return Console(silent=False, verbosity=plain.verbosity, log=LogFile(path))
    except OSError as error:
        plain.note(f"the log file {path} cannot be opened: {error.strerror}. It is said here instead.")
        return plain


class LogFile:
    """One file that is appended to. It stays open, and is closed when the command is executed."""

    def __init__(self, path: str) -> None:
        """OSError: it cannot be opened for that."""
        # O_NONBLOCK: a FIFO that nobody reads must not hold a run up. 0600: command lines are private.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
        self._descriptor = os.open(path, flags, 0o600)

    def write(self, level: str, line: str) -> None:
        """One entry for each line of it. What cannot be written is lost: it was said on stderr as well."""
        entries = (f"{rfc3339()} {level} {printable(each)}\n" for each in line.splitlines() or [""])
        with suppress(OSError):
            os.write(self._descriptor, "".join(entries).encode("utf-8", "backslashreplace"))
