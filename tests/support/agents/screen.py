"""Render a terminal as the person in front of it sees it: rows of text drawn from a command's output."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyte

from support.terminal import Terminal, terminal

SIZE = (40, 110)  # rows, columns


class _Answering(pyte.Screen):
    """Answer what a command asks the terminal: where the cursor is, and what kind of terminal it is."""

    def __init__(self, person: Terminal) -> None:
        super().__init__(SIZE[1], SIZE[0])
        self._person = person

    def select_graphic_rendition(self, *attributes: int, private: bool = False) -> None:
        if not private:  # xterm's modifyOtherKeys, which pyte mistakes for colours
            super().select_graphic_rendition(*attributes)

    def report_device_status(self, mode: int = 0, private: bool = False) -> None:
        if not private:  # a query of xterm's that pyte does not know; other terminals do not answer it either
            super().report_device_status(mode)

    def write_process_input(self, data: str) -> None:
        self._person.type(data.encode())


class Screen:
    """A terminal and its command. Valid inside the `screen` block that yielded it."""

    def __init__(self, person: Terminal) -> None:
        self._person = person
        self._screen = _Answering(person)
        self._stream = pyte.ByteStream(self._screen)
        self._drawn = 0  # bytes of the output that have been drawn

    @property
    def text(self) -> str:
        """Return what is on the screen now, row by row, without trailing blanks."""
        return "\n".join(row.rstrip() for row in self._screen.display).rstrip()

    @property
    def width(self) -> int:
        """Return the number of columns of the longest row."""
        return max(len(row) for row in self.text.split("\n"))

    @property
    def shown(self) -> str:
        """Return everything that was ever written to the terminal, including escape sequences."""
        return self._person.shown.decode(errors="replace")

    def type(self, keys: str) -> None:
        self._person.type(keys.encode())

    def resize(self, rows: int, columns: int) -> None:
        self._screen.resize(rows, columns)
        self._person.resize(rows, columns)

    def wait_for(self, *texts: str, limit_s: float = 60.0) -> str:
        """Wait until one of the texts is on the screen, and return it. AssertionError if none appears."""
        deadline = time.monotonic() + limit_s
        while True:
            self._draw()
            for text in texts:
                if text in self.text:
                    return text
            left = deadline - time.monotonic()
            assert left > 0, f"none of {texts} is on the screen:\n{self.text}"
            assert self._person.read(left), f"ended with none of {texts} on the screen:\n{self.text}"

    def answer_until(self, text: str, answers: Mapping[str, Sequence[str]]) -> list[str]:
        """Answer questions as they come up, each once. Returns those that were asked, once text is shown."""
        asked: list[str] = []
        while True:
            found = self.wait_for(text, *(each for each in answers if each not in asked))
            if found == text:
                return asked
            asked.append(found)
            for keys in answers[found]:
                self.settle()
                self.type(keys)

    def settle(self, quiet_s: float = 0.5, limit_s: float = 30.0) -> None:
        """Wait until nothing has been written for quiet_s: by then the program is ready to read keys."""
        deadline = time.monotonic() + limit_s
        before = -1
        while len(self._person.shown) != before and time.monotonic() < deadline:
            before = len(self._person.shown)
            self._person.read(quiet_s)
            self._draw()

    def end(self, limit_s: float = 60.0) -> int:
        """Wait for the end of the command and return its exit status."""
        code = self._person.end(limit_s)
        self._draw()
        return code

    def _draw(self) -> None:
        new, self._drawn = self._person.shown[self._drawn :], len(self._person.shown)
        self._stream.feed(new)


@contextmanager
def screen(argv: Sequence[str | bytes], environment: Mapping[str, str], cwd: Path) -> Iterator[Screen]:
    """Run argv on a terminal of SIZE. It is killed at the end of the block if it still runs."""
    with terminal(argv, environment, cwd, SIZE) as person:
        yield Screen(person)
