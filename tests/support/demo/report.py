"""Print what the demo shows, at most 80 columns wide, and count the claims that did not hold."""

from __future__ import annotations

import sys
import textwrap

WIDTH = 78
LABEL_WIDTH = 16
KEY_CHARS_SHOWN = 28


class Report:
    """Print plain text; on a terminal, headings are bold and verdicts coloured."""

    def __init__(self) -> None:
        self._colours = sys.stdout.isatty()
        self._held = 0
        self._failed: list[str] = []

    def heading(self, text: str) -> None:
        print(f"\n{self._styled(text, '1')}")

    def say(self, text: str) -> None:
        print(textwrap.fill(text, WIDTH))

    def show(self, label: str, text: str) -> None:
        """Print a labelled value that somebody saw."""
        first = f"    {label:<{LABEL_WIDTH}}"
        print(textwrap.fill(text.strip(), WIDTH, initial_indent=first, subsequent_indent=" " * len(first)))

    def claim(self, sentence: str, holds: bool) -> None:
        """Print a sentence that the demo has just verified or found to be false."""
        if holds:
            self._held += 1
        else:
            self._failed.append(sentence)
        verdict = self._styled("ok", "32") if holds else self._styled("FALSE", "31")
        print(f"    {verdict}: {sentence}")

    def conclude(self) -> int:
        """Return the exit status: 0 only if there was a claim and every claim held."""
        print()
        for sentence in self._failed:
            print(f"FALSE: {sentence}")
        print(f"{self._held} claims held, {len(self._failed)} did not.")
        return 1 if self._failed or not self._held else 0

    def _styled(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colours else text


def short(key: str) -> str:
    """Return a key as it is shown: its beginning and its length."""
    return key if len(key) <= KEY_CHARS_SHOWN else f"{key[:KEY_CHARS_SHOWN]}... ({len(key)} characters)"
