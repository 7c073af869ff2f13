"""Lends the terminal of a person to a session, and takes it back as it was, whoever is killed meanwhile."""

from __future__ import annotations

import mmap
import os
import signal
import struct
import termios
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from nono.kernel import process

_LENGTH = struct.Struct("I")
_NOTED_BYTES = 4096
_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)


class Lent:
    """The terminal in raw mode, and what undoes what was armed in it; shared by two processes."""

    def __init__(self, attributes: list[Any]) -> None:
        self._attributes = attributes
        self._noted = mmap.mmap(-1, _NOTED_BYTES)

    def note(self, disarm: bytes) -> None:
        """Keep what would undo the modes that are set by now."""
        if len(disarm) <= _NOTED_BYTES - _LENGTH.size:
            self._noted[: _LENGTH.size + len(disarm)] = _LENGTH.pack(len(disarm)) + disarm

    def take_back(self) -> None:
        """Undo the modes and leave raw mode; once."""
        (length,) = _LENGTH.unpack_from(self._noted)
        disarm = bytes(self._noted[_LENGTH.size : _LENGTH.size + length])
        self.note(b"")
        with suppress(OSError, termios.error):
            # First, and without waiting for the output, which a person may have stopped.
            termios.tcsetattr(0, termios.TCSANOW, self._attributes)
        with suppress(OSError):
            if disarm:
                os.write(1, disarm)


def lend(life: Callable[[Lent], int]) -> int:
    """Call life in a child, in raw mode. Returns its exit code; the terminal is then as it was.

    Two processes, since one that is killed cannot restore anything: each does it for the other.
    """
    # Nobody in the background may stop before the terminal is restored.
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    lent = Lent(termios.tcgetattr(0))
    ours = os.getpid()
    signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED)  # in the child until it reads them
    pid = os.fork()
    if pid == 0:
        os._exit(_live(lent, life, ours))
    for number in _FORWARDED:
        signal.signal(number, lambda _number, _frame: _terminate(pid))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _FORWARDED)
    status = os.waitpid(pid, 0)[1]  # PEP 475: handlers run, and it is waited on
    lent.take_back()
    return os.waitstatus_to_exitcode(status)


def _terminate(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)


def _live(lent: Lent, life: Callable[[Lent], int], parent: int) -> int:
    code = 1
    try:
        process.set_parent_death_signal(signal.SIGTERM)
        if os.getppid() == parent:
            _set_raw()
            code = life(lent)
    finally:
        lent.take_back()
    return code


def _set_raw() -> None:
    """Do as cfmakeraw(3); Python's tty.setraw leaves some modes."""
    mode = termios.tcgetattr(0)
    mode[0] &= ~(
        termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP
        | termios.INLCR | termios.IGNCR | termios.ICRNL | termios.IXON
    )  # fmt: skip
    mode[1] &= ~termios.OPOST
    mode[2] = (mode[2] & ~(termios.CSIZE | termios.PARENB)) | termios.CS8
    mode[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
    mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
    termios.tcsetattr(0, termios.TCSANOW, mode)
