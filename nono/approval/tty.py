"""Takes over a terminal that a command has used, for a question, and gives it back."""

from __future__ import annotations

import os
import signal
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress

SHOWN_S = 0.4  # delay before a key counts as an answer to the new text
CTRL_C = b"\x03"

# Undoes states a command may leave the terminal in: inside an escape sequence (CAN, ST), another character
# set (SI, G0), invisible or moved text (DECSTR resets attributes, margins, modes), bracketed paste (2004), or
# held-back output (2026).
RECOVER = b"\x18\x1b\\\x0f\x1b(B\x1b[!p\x1b[0m\x1b[?2004l\x1b[?2026l\n"

_NO_KEY = b"\0"  # _POSIX_VDISABLE


@contextmanager
def controlling_terminal() -> Iterator[int | None]:
    """Open the controlling terminal, non-blocking; closed with the block. None if the process has none."""
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
    """Take the terminal's foreground from a job of the command. Yields whether nono has it.

    The command may have made itself a process group and put it in the foreground, as shells do. A group that
    does not descend from us, such as the shell that started us in the background, keeps it.
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
    """Check that a process group's leader descends from us: the group's number is its leader's pid."""
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
    """Set the terminal to echoed lines within the block.

    has_signals: The terminal is as the user set it, and ^C interrupts. TOSTOP stays on then: it keeps a
        background job from writing over the question. Otherwise a command may have left it on, which would
        stop nono itself, and ^C ends the line, as a no.
    """
    before = termios.tcgetattr(terminal)
    attributes = termios.tcgetattr(terminal)
    iflag, oflag, _, lflag, _, _, characters = range(7)
    attributes[iflag] = (attributes[iflag] | termios.ICRNL) & ~(termios.IGNCR | termios.INLCR)
    attributes[oflag] |= termios.OPOST | termios.ONLCR
    attributes[lflag] |= termios.ICANON | termios.ECHO | termios.ECHOE | termios.ECHOK
    attributes[lflag] &= ~termios.ECHONL
    if not has_signals:
        attributes[lflag] &= ~(termios.ISIG | termios.TOSTOP)
    keys = list(attributes[characters])
    keys[termios.VEOF], keys[termios.VEOL], keys[termios.VERASE] = b"\x04", CTRL_C, b"\x7f"
    # A terminal's reports, requested by the command, arrive as keys: none of them may edit the line.
    for editing in (termios.VKILL, termios.VWERASE, termios.VREPRINT, termios.VLNEXT, termios.VEOL2):
        keys[editing] = _NO_KEY
    attributes[characters] = keys
    # TCSANOW: the other modes wait until all output is shown, which a held terminal (^S) can delay forever.
    termios.tcsetattr(terminal, termios.TCSANOW, attributes)
    try:
        yield
    finally:
        with suppress(OSError, termios.error):
            termios.tcflush(terminal, termios.TCIFLUSH)  # keys typed for the question are not for the command
            termios.tcsetattr(terminal, termios.TCSANOW, before)
