"""A terminal that a command has used, taken for a question and given back."""

from __future__ import annotations

import os
import signal
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress

SHOWN_S = 0.4  # before a key counts as an answer to what has just appeared
CTRL_C = b"\x03"

# What the command may have left the terminal in: within an escape sequence (CAN, ST), with another character
# set (SI, G0), invisible or moved (DECSTR resets attributes, margins, modes), with pasting marked, or with
# what is shown held back (2026).
RECOVER = b"\x18\x1b\\\x0f\x1b(B\x1b[!p\x1b[0m\x1b[?2004l\x1b[?2026l\n"

_NO_KEY = b"\0"  # _POSIX_VDISABLE


@contextmanager
def controlling_terminal() -> Iterator[int | None]:
    """A descriptor of it that does not block, closed with the block; None if this process has none."""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        yield None
        return
    try:
        yield terminal
    finally:
        os.close(terminal)


@contextmanager
def foreground(terminal: int) -> Iterator[bool]:
    """Take the terminal's foreground from a job of the command's; whether it is ours within the block.

    The command may have made itself a process group and put it in front, as shells do. One that is not of
    our session's job, such as the shell that started us in the background, keeps it.
    """
    ours, front = os.getpgrp(), os.tcgetpgrp(terminal)
    if front == ours:
        yield True
        return
    if not _is_below_us(front):
        yield False
        return
    # From the background this signal would stop us.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    try:
        os.tcsetpgrp(terminal, ours)
        yield True
    finally:
        with suppress(OSError):  # nobody is left in that group
            os.tcsetpgrp(terminal, front)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _is_below_us(group: int) -> bool:
    """Whether the leader of a process group descends from us: a group's number is its leader's pid."""
    pid = group
    while pid > 1:
        if pid == os.getpid():
            return True
        try:
            with open(f"/proc/{pid}/stat", "rb") as stat:
                pid = int(stat.read().rpartition(b")")[2].split()[1])
        except OSError:
            return False
    return False


@contextmanager
def line_mode(terminal: int, *, has_signals: bool = False) -> Iterator[None]:
    """Read echoed lines within the block. Unless has_signals, ^C ends the line, which is then no yes."""
    before = termios.tcgetattr(terminal)
    attributes = termios.tcgetattr(terminal)
    iflag, oflag, _, lflag, _, _, characters = range(7)
    attributes[iflag] = (attributes[iflag] | termios.ICRNL) & ~(termios.IGNCR | termios.INLCR)
    attributes[oflag] |= termios.OPOST | termios.ONLCR
    attributes[lflag] |= termios.ICANON | termios.ECHO | termios.ECHOE | termios.ECHOK
    attributes[lflag] &= ~(termios.ECHONL | termios.TOSTOP)
    if not has_signals:
        attributes[lflag] &= ~termios.ISIG
    keys = list(attributes[characters])
    keys[termios.VEOF], keys[termios.VEOL], keys[termios.VERASE] = b"\x04", CTRL_C, b"\x7f"
    # What a terminal says of itself, asked by the command, comes as keys: none of it takes others back.
    for editing in (termios.VKILL, termios.VWERASE, termios.VREPRINT, termios.VLNEXT, termios.VEOL2):
        keys[editing] = _NO_KEY
    attributes[characters] = keys
    # NOW: the others wait until all output is shown, which whoever holds the terminal can put off for ever.
    termios.tcsetattr(terminal, termios.TCSANOW, attributes)
    try:
        yield
    finally:
        with suppress(OSError, termios.error):
            termios.tcflush(terminal, termios.TCIFLUSH)  # keys for the question are none for the command
            termios.tcsetattr(terminal, termios.TCSANOW, before)
