"""Writes the file of --log-file: nono's warnings and errors, and with -v every line about a run."""

from __future__ import annotations

import os
from contextlib import suppress

from nono.cli.args.options import Given
from nono.cli.console import Console
from nono.clock import rfc3339
from nono.printable import printable


def console_of(given: Given, *, silent: bool) -> Console:
    """Return the console of a command. If its log cannot be opened, says so on stderr and goes on."""
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
    """A log file opened for appending. It stays open until exec, which closes it."""

    def __init__(self, path: str) -> None:
        """Open the file. Raises OSError if it cannot be opened for appending."""
        # O_NONBLOCK: a FIFO that nobody reads must not block a run. 0600: command lines are private.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
        self._descriptor = os.open(path, flags, 0o600)

    def write(self, level: str, line: str) -> None:
        """Append one entry per line. Ignores write errors: stderr has the lines too."""
        entries = (f"{rfc3339()} {level} {printable(each)}\n" for each in line.splitlines() or [""])
        with suppress(OSError):
            os.write(self._descriptor, "".join(entries).encode("utf-8", "backslashreplace"))
