"""Asks a person at the terminal: shows a question, drops what was typed before it, reads one line."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import Enum

from nono.approval.tty import CTRL_C, RECOVER, SHOWN_S, controlling_terminal, foreground, line_mode
from nono.printable import printable

LINE_BYTES_MAX = 1024
# What a program that has ended may leave behind beside what RECOVER undoes: its own screen, no cursor. Not
# 1049, which also puts the cursor where it was when somebody last saved it, over what is shown.
_LEAVE_SCREEN = b"\x1b[?1047l\x1b[?25h"
_YES = frozenset({"y", "yes"})


class Wait(Enum):
    """What a question waits for between two of its steps."""

    WRITABLE = "writable"  # output is held (^S), or the terminal is slow
    SHOWN = "shown"  # for SHOWN_S: a key pressed sooner was not meant for what has just appeared
    READABLE = "readable"


class Dialog:
    """One question on a terminal that does not block and is in line mode.

    Iterating asks it and yields what to wait for, so that callers with and without an event loop share the
    steps. OSError, termios.error: the terminal went away.
    """

    def __init__(self, terminal: int, question: bytes) -> None:
        self._terminal = terminal
        self._question = question
        self.answer: str | None = None  # unless a whole line earns a better one

    def __iter__(self) -> Iterator[Wait]:
        yield from write(self._terminal, self._question)
        yield Wait.SHOWN
        # What was typed before now was meant for something else.
        termios.tcflush(self._terminal, termios.TCIFLUSH)
        typed = b""
        while not typed.endswith((b"\n", CTRL_C)) and len(typed) < LINE_BYTES_MAX:
            yield Wait.READABLE
            try:
                piece = os.read(self._terminal, LINE_BYTES_MAX - len(typed))
            except BlockingIOError:
                continue
            if not piece:  # ^D at the start of a line
                break
            typed += piece
        self.answer = answer_of(typed)
        if not typed.endswith(b"\n"):
            yield from write(self._terminal, b"\n")

    @property
    def is_yes(self) -> bool:
        return is_yes(self.answer)


def write(terminal: int, text: bytes) -> Iterator[Wait]:
    """Write text to a terminal that does not block; yields what to wait for."""
    while text:
        try:
            text = text[os.write(terminal, text) :]
        except BlockingIOError:
            yield Wait.WRITABLE


def answer_of(typed: bytes) -> str | None:
    """Return the line typed, without the blanks around it; None unless it is one whole line without ^C."""
    if not typed.endswith(b"\n") or CTRL_C in typed:
        return None
    return typed.decode("utf-8", "replace").strip()


def is_yes(answer: str | None) -> bool:
    """Anything but yes means no."""
    return answer is not None and answer.lower() in _YES


class TerminalPrompt:
    """A terminal that is ours, and in line mode, for as long as its block lasts."""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal

    def recover(self) -> None:
        """Make what follows readable, whatever state a command has left the terminal in."""
        self._perform(write(self._terminal, _LEAVE_SCREEN + RECOVER))

    def say(self, lines: Iterable[str]) -> None:
        """Print lines, control characters spelled out."""
        self._perform(write(self._terminal, _shown("".join(f"{line}\n" for line in lines))))

    def ask(self, question: str) -> str | None:
        """Return the line typed after the question was shown; None for ^C, ^D and a line too long."""
        dialog = Dialog(self._terminal, _shown(question))
        self._perform(dialog)
        return dialog.answer

    def _perform(self, steps: Iterable[Wait]) -> None:
        for wait in steps:
            match wait:
                case Wait.WRITABLE:
                    select.select([], [self._terminal], [])
                case Wait.READABLE:
                    select.select([self._terminal], [], [])
                case Wait.SHOWN:
                    time.sleep(SHOWN_S)


@contextmanager
def open_terminal(*, is_pristine: bool = False) -> Iterator[TerminalPrompt | None]:
    """The person at the terminal; None if there is no terminal, or somebody else has it now.

    is_pristine: no command has used it yet. Then it is readable as it is, and ^C interrupts nono rather than
        end a line.
    OSError, termios.error: it went away within the block.
    """
    with controlling_terminal() as terminal:
        if terminal is None:
            yield None
            return
        with foreground(terminal) as is_ours:
            if not is_ours:
                yield None
                return
            # A run has blocked them, to hand them on to its command.
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT})
            with line_mode(terminal, has_signals=is_pristine):
                prompt = TerminalPrompt(terminal)
                if not is_pristine:
                    prompt.recover()
                yield prompt


def is_interactive() -> bool:
    """Tell whether somebody can be asked: stderr is a terminal, and the controlling terminal is ours."""
    try:
        with controlling_terminal() as terminal:
            if terminal is None:
                return False
            with foreground(terminal) as is_ours:
                return is_ours and os.isatty(sys.stderr.fileno())
    except OSError:
        return False


def confirm(lines: Iterable[str], question: str, *, is_pristine: bool = False) -> bool:
    """Show lines and ask; True only if a person says yes. is_pristine: as for open_terminal."""
    try:
        with open_terminal(is_pristine=is_pristine) as prompt:
            if prompt is None:
                return False
            prompt.say(lines)
            return is_yes(prompt.ask(question))
    except (OSError, termios.error):
        return False


def _shown(text: str) -> bytes:
    return printable(text).encode("utf-8", "replace")
