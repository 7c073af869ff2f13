"""Lend a person's terminal to a session, and restore it whichever process is killed meanwhile."""

from __future__ import annotations

import errno
import mmap
import os
import select
import struct
import termios
from contextlib import suppress

from nono.kernel.signals import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_STATE = struct.Struct(
    "??I"
)  # whether it is lent; whether Ctrl-C was typed; the length of the bytes that undo its modes
_NOTED_BYTES = 4096
_SESSION_BYTES = 1024
_MODES = struct.Struct("6I64s")  # the layout that termios(3) gives: flags, speeds and control characters
_FLAGS = 4  # the first fields of termios: modes of input, output, control and lines
_END = b"\x18\x1b\\"  # ends an escape sequence or a string that was not finished (CAN, ST)


class Lent:
    """The terminal on 0 and 1, and the bytes that undo its modes; shared with processes forked later.

    Two processes share it because one that is killed cannot restore anything: each does it for the other.
    """

    def __init__(self) -> None:
        """Raises termios.error if there is no terminal."""
        self._shared = mmap.mmap(-1, _NOTED_BYTES + _SESSION_BYTES + _MODES.size)
        self._keep_modes()

    @property
    def is_lent(self) -> bool:
        return self._state()[0]

    @property
    def session(self) -> str:
        """The id of the session that is shown; empty before its command runs."""
        return (
            bytes(self._shared[_NOTED_BYTES : _NOTED_BYTES + _SESSION_BYTES])
            .rstrip(b"\0")
            .decode("ascii", "replace")
        )

    @session.setter
    def session(self, session_id: str) -> None:
        content = session_id.encode("ascii", "replace")[:_SESSION_BYTES]
        self._shared[_NOTED_BYTES : _NOTED_BYTES + len(content)] = content

    @property
    def was_interrupted(self) -> bool:
        return self._state()[1]

    def interrupt(self) -> None:
        """Note that Ctrl-C was typed."""
        is_lent, _, length = self._state()
        _STATE.pack_into(self._shared, 0, is_lent, True, length)

    def lend(self) -> None:
        """Set raw mode if this process is in the foreground."""
        if not self.is_lent and in_front():
            with suppress(OSError, termios.error):
                self._keep_modes()  # again: in the background they were somebody else's modes
                self._write(b"", is_lent=True)
                termios.tcsetattr(0, termios.TCSANOW, _raw(self._modes()))

    def note(self, disarm: bytes) -> None:
        """Keep the bytes that would undo the modes set so far."""
        if len(disarm) <= _NOTED_BYTES - _STATE.size:
            self._write(disarm, is_lent=self.is_lent)

    def is_raw_still(self) -> bool:
        """Check that the line modes are those which lend() has set."""
        try:
            return termios.tcgetattr(0)[:_FLAGS] == _raw(self._modes())[:_FLAGS]
        except (OSError, termios.error):
            return False

    def is_changed(self) -> bool:
        """Check that the modes are no longer those from before the session."""
        try:
            return _packed(termios.tcgetattr(0)) != self._shared[_NOTED_BYTES + _SESSION_BYTES :]
        except (OSError, termios.error):
            return False

    def forget(self) -> None:
        """Note that another process has the terminal, with modes of its own."""
        self._write(b"", is_lent=False)

    def take_back(self) -> None:
        """Undo the modes and leave raw mode, once."""
        was_lent, _, length = self._state()
        disarm = bytes(self._shared[_STATE.size : _STATE.size + length])
        self._write(b"", is_lent=False)
        if was_lent:
            self.restore()
        with suppress(OSError):
            if disarm:
                write(_END + disarm)

    def restore(self) -> None:
        """Set the line modes that were in force before the session."""
        with suppress(OSError, termios.error):
            # Without waiting for the output, which the person may have stopped.
            termios.tcsetattr(0, termios.TCSANOW, self._modes())

    def _keep_modes(self) -> None:
        self._shared[_NOTED_BYTES + _SESSION_BYTES :] = _packed(termios.tcgetattr(0))

    def _modes(self) -> list[Any]:
        *flags, keys = _MODES.unpack_from(self._shared, _NOTED_BYTES + _SESSION_BYTES)
        return [*flags, [bytes([key]) for key in keys[: termios.NCCS]]]

    def _state(self) -> tuple[bool, bool, int]:
        is_lent, was_interrupted, length = _STATE.unpack_from(self._shared)
        return is_lent, was_interrupted, length

    def _write(self, disarm: bytes, *, is_lent: bool) -> None:
        state = _STATE.pack(is_lent, self.was_interrupted, len(disarm))
        self._shared[: _STATE.size + len(disarm)] = state + disarm


def _packed(attributes: list[Any]) -> bytes:
    *flags, characters = attributes
    return _MODES.pack(*flags, b"".join(bytes([key]) if isinstance(key, int) else key for key in characters))


def in_front() -> bool:
    """Check that no other process has the terminal: a shell may have put this one into the background."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:  # it is not the controlling terminal, so there is no background
        return True


def is_gone() -> bool:
    """Check that the terminal was closed. Whoever was in the background then has received no signal."""
    try:
        termios.tcgetattr(0)
    except termios.error as error:
        return bool(error.args[0] == errno.EIO)
    return False


def write(content: bytes) -> None:
    """Write to the terminal, as slowly as it takes it.

    Another program may have left it non-blocking: whoever has it shares one open file description.
    """
    remaining = memoryview(content)
    while remaining:
        try:
            remaining = remaining[os.write(1, remaining) :]
        except BlockingIOError:
            select.select([], [1], [])


def stop_job() -> None:
    """Stop this process and its whole job until the shell continues it, as Ctrl-Z does."""
    before = signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTSTP})
    with suppress(OSError):
        os.kill(0, signal.SIGTSTP)  # returns when the job is continued, or at once if there is no shell
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _raw(attributes: list[Any]) -> list[Any]:
    """Return attributes as cfmakeraw(3) sets them. Python's tty.setraw leaves some modes unchanged."""
    mode = [*attributes[:6], [*attributes[6]]]
    mode[0] &= ~(
        termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP
        | termios.INLCR | termios.IGNCR | termios.ICRNL | termios.IXON
    )  # fmt: skip
    mode[1] &= ~termios.OPOST
    mode[2] = (mode[2] & ~(termios.CSIZE | termios.PARENB)) | termios.CS8
    mode[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
    mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
    return mode
