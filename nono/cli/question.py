"""Asks a person on the terminal after a command has used it, or before one does."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from nono.approval.tty import CTRL_C, RECOVER, SHOWN_S, foreground, line_mode
from nono.cli.console import printable

ANSWER_BYTES_MAX = 1024
# What a program that was ended may leave behind beside what approval knows of: its own screen, no cursor. Not
# 1049, which also puts the cursor where it was when somebody last saved it, over what is shown.
_LEAVE_SCREEN = b"\x1b[?1047l\x1b[?25h"
_YES = frozenset({"y", "yes"})


class Person:
    """Somebody at the terminal."""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal

    def recover(self) -> None:
        """Make what follows readable, whatever the command has left the terminal in."""
        self._write(_LEAVE_SCREEN + RECOVER)

    def say(self, lines: Iterable[str]) -> None:
        self._write("".join(f"{printable(line)}\n" for line in lines).encode("utf-8", "replace"))

    def ask(self, question: str) -> str:
        """One line, typed after the question was shown; "" for none, and for ^C."""
        self._write(printable(question).encode("utf-8", "replace"))
        time.sleep(SHOWN_S)
        termios.tcflush(self._terminal, termios.TCIFLUSH)  # what was typed before was for something else
        typed = b""
        while not typed.endswith((b"\n", CTRL_C)) and len(typed) < ANSWER_BYTES_MAX:
            select.select([self._terminal], [], [])
            piece = os.read(self._terminal, ANSWER_BYTES_MAX)
            if not piece:
                break
            typed += piece
        if not typed.endswith(b"\n"):
            self.say([""])
        return "" if CTRL_C in typed else typed.decode("utf-8", "replace").strip()

    def _write(self, text: bytes) -> None:
        while text:
            text = text[os.write(self._terminal, text) :]


@contextmanager
def somebody() -> Iterator[Person | None]:
    """The person at the terminal; None where there is no terminal, or it is somebody else's now.

    OSError, termios.error: it went away within the block.
    """
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        yield None
        return
    try:
        with foreground(terminal) as is_ours:
            if not is_ours:
                yield None
                return
            # A run has blocked them, to hand them on to its command.
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT})
            with line_mode(terminal):
                person = Person(terminal)
                person.recover()
                yield person
    finally:
        os.close(terminal)


def is_interactive() -> bool:
    """Whether somebody can be asked: stderr is a terminal, and it is ours."""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        with foreground(terminal) as is_ours:
            return is_ours and os.isatty(sys.stderr.fileno())
    except OSError:
        return False
    finally:
        os.close(terminal)


def agrees(lines: Iterable[str], question: str) -> bool:
    """Whether a person says yes, to what the lines say; no is what everything else means."""
    try:
        with somebody() as person:
            if person is None:
                return False
            person.say(lines)
            return person.ask(f"{question} [y/N] ").lower() in _YES
    except (OSError, termios.error):
        return False
