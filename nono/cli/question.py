"""Asks a person on the terminal, where no command runs that could write over the question."""

from __future__ import annotations

import os
import signal
import sys
import termios
from collections.abc import Iterable

from nono.approval.tty import RECOVER, foreground, line_mode
from nono.cli.console import printable

ANSWER_BYTES_MAX = 1024
LEAVE_SCREEN = b"\x1b[?1047l"  # the other one, in which what is shown would be lost with it
_YES = frozenset({"y", "yes"})


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


def ask(lines: Iterable[str], question: str) -> bool:
    """Whether a person says yes, to what the lines say; no is what everything else means."""
    # A run has blocked them, to hand them on to its command.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT})
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        with foreground(terminal) as is_ours, line_mode(terminal):
            return is_ours and _ask(terminal, lines, question)
    except (OSError, termios.error):
        return False
    finally:
        os.close(terminal)


def _ask(terminal: int, lines: Iterable[str], question: str) -> bool:
    text = "".join(f"{printable(line)}\n" for line in lines)
    _write(terminal, LEAVE_SCREEN + RECOVER + text.encode("utf-8", "replace"))
    termios.tcflush(terminal, termios.TCIFLUSH)  # what was typed before was meant for something else
    _write(terminal, f"{question} [y/N] ".encode())
    typed = os.read(terminal, ANSWER_BYTES_MAX)
    if not typed.endswith(b"\n"):
        _write(terminal, b"\n")
    return typed.decode("utf-8", "replace").strip().lower() in _YES


def _write(terminal: int, text: bytes) -> None:
    while text:
        text = text[os.write(terminal, text) :]
