"""Create the terminal of a session."""

from __future__ import annotations

import fcntl
import os
import struct
import termios

from nono.named_tuple import NamedTuple

_IUTF8 = 0o40000  # asm-generic/termbits.h: backspace erases a whole character
USUAL = 24, 80  # rows and columns
_WINSIZE = struct.Struct("HHHH")


class Pty(NamedTuple):
    """Both ends, close-on-exec; the owner of each closes it."""

    master: int
    slave: int
    path: str


def open_pty(like: int) -> Pty:
    """Open a terminal with the size of `like`, if that is one, and its keys and modes. Raises OSError.

    If nono is in the background, the modes belong to another program, such as a shell's line editor.
    """
    master, slave = os.openpty()
    if in_front(like):
        attributes = termios.tcgetattr(like)
    else:
        attributes = termios.tcgetattr(slave)
        attributes[0] |= _IUTF8
    termios.tcsetattr(slave, termios.TCSANOW, attributes)
    rows, columns = size(like) or USUAL
    set_size(master, rows, columns)
    return Pty(master, slave, os.ttyname(slave))


def in_front(terminal: int) -> bool:
    """Check that `terminal` is this process's controlling terminal, and that it is in the foreground."""
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False


def size(terminal: int) -> tuple[int, int] | None:
    """Return rows and columns; None if it is no terminal, or its size is unknown."""
    try:
        rows, columns, _, _ = _WINSIZE.unpack(fcntl.ioctl(terminal, termios.TIOCGWINSZ, bytes(_WINSIZE.size)))
    except OSError:
        return None
    return (rows, columns) if rows and columns else None


def set_size(terminal: int, rows: int, columns: int) -> None:
    """Set the size; the kernel notifies the programs in it of a change."""
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, _WINSIZE.pack(rows, columns, 0, 0))
