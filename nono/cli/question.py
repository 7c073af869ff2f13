"""Asks a person on the terminal, where the command has ended and nothing else writes any more."""

from __future__ import annotations

import os
import signal
import sys
import termios
from collections.abc import Iterable
from contextlib import suppress

from nono.cli.console import printable

ANSWER_BYTES_MAX = 1024
# What a command may have left the terminal in, ended by another character set, colours, margins or pasting.
_RECOVER = b"\x18\x1b\\\x0f\x1b(B\x1b[!p\x1b[0m\x1b[?1047l\x1b[?2004l\x1b[?2026l\n"
_CTRL_C, _NO_KEY = b"\x03", b"\0"
_YES = frozenset({"y", "yes"})


def is_interactive() -> bool:
    """Whether somebody can be asked: stderr is a terminal, and it is ours."""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.isatty(sys.stderr.fileno()) and os.tcgetpgrp(terminal) == os.getpgrp()
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
        _line_mode(terminal, signals=False)
        os.write(terminal, _RECOVER)
        for line in lines:
            os.write(terminal, f"{printable(line)}\n".encode("utf-8", "replace"))
        termios.tcflush(terminal, termios.TCIFLUSH)  # what was typed before was meant for something else
        os.write(terminal, f"{question} [y/N] ".encode())
        typed = os.read(terminal, ANSWER_BYTES_MAX)
        if not typed.endswith(b"\n"):
            os.write(terminal, b"\n")
    except (OSError, termios.error):
        return False
    finally:
        _line_mode(terminal, signals=True)
        os.close(terminal)
    return typed.decode("utf-8", "replace").strip().lower() in _YES


def _line_mode(terminal: int, *, signals: bool) -> None:
    """Lines, echoed, as a shell expects its terminal; without signals ^C ends one, which is then no yes."""
    with suppress(termios.error):
        attributes = termios.tcgetattr(terminal)
        iflag, oflag, _, lflag, _, _, characters = range(7)
        attributes[iflag] = (attributes[iflag] | termios.ICRNL) & ~(termios.IGNCR | termios.INLCR)
        attributes[oflag] |= termios.OPOST | termios.ONLCR
        attributes[lflag] |= termios.ICANON | termios.ECHO | termios.ECHOE | termios.ECHOK
        attributes[lflag] = attributes[lflag] | termios.ISIG if signals else attributes[lflag] & ~termios.ISIG
        keys = list(attributes[characters])
        keys[termios.VEOL] = _NO_KEY if signals else _CTRL_C
        attributes[characters] = keys
        termios.tcsetattr(terminal, termios.TCSANOW, attributes)
