"""Prints nono's own lines to stderr, or nothing with --silent; stdout belongs to the command."""

from __future__ import annotations

import sys
from collections.abc import Iterable


def printable(text: str) -> str:
    """text with its control characters spelled out: a directory's name may hold a terminal's commands."""
    if text.isprintable():
        return text
    # Format characters (category Cf) are spelled out too: some of them reorder what a person reads.
    return "".join(c if c.isprintable() or c in "\t\n" else ascii(c)[1:-1] for c in text)


class Console:
    """Warnings about weaker enforcement go through even when silent is what the person asked for."""

    def __init__(self, *, silent: bool, verbosity: int) -> None:
        self.silent = silent
        self.verbosity = 0 if silent else verbosity

    def lines(self, lines: Iterable[str]) -> None:
        if not self.silent:
            for line in lines:
                print(printable(line), file=sys.stderr)
            sys.stderr.flush()

    def warn(self, text: str) -> None:
        if not self.silent:
            self.insist(text)

    def note(self, text: str) -> None:
        """What --silent does not silence either: something that was asked for is switched off."""
        print(f"  [nono] {text}", file=sys.stderr, flush=True)

    def insist(self, text: str) -> None:
        """A warning that --silent does not silence: the run is weaker than it looks."""
        print(f"  [nono] WARNING: {printable(text)}", file=sys.stderr, flush=True)
