"""Prints nono's own lines to stderr, or nothing with --silent; stdout belongs to the command."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Protocol

from nono.printable import printable


class Log(Protocol):
    """A file that lines are appended to."""

    def write(self, level: str, line: str) -> None: ...


class Console:
    """Warnings about weaker enforcement go through even when silent is what the person asked for."""

    def __init__(self, *, silent: bool, verbosity: int, log: Log | None = None) -> None:
        """log: where what is said is written down as well, unless silent."""
        self.silent = silent
        self.verbosity = 0 if silent else verbosity
        self._log = None if silent else log

    def lines(self, lines: Iterable[str]) -> None:
        if not self.silent:
            for line in lines:
                print(printable(line), file=sys.stderr)
                self.log("INFO", line)
            sys.stderr.flush()

    def warn(self, text: str) -> None:
        if not self.silent:
            self.insist(text)

    def note(self, text: str) -> None:
        """What --silent does not silence either: something that was asked for is switched off."""
        self._warned(f"  [nono] {printable(text)}")

    def insist(self, text: str) -> None:
        """A warning that --silent does not silence: the run is weaker than it looks."""
        self._warned(f"  [nono] WARNING: {printable(text)}")

    def log(self, level: str, text: str) -> None:
        """Write it down, where there is a log, and say nothing: a person hears of it in another way."""
        if self._log is not None and (level != "INFO" or self.verbosity > 0):
            self._log.write(level, text)

    def _warned(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)
        self.log("WARN", line.strip())
