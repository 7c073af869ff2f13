"""Keep the terminal shared with the command usable: for nono during the run, for everybody afterwards."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import stat
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from nono.kernel.process import FIRST_PRIVATE_DESCRIPTOR
from nono.kernel.signals import signal
from nono.supervisor.streams import shared_streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_IFLAG, _CHARACTERS = 0, 6  # in what tcgetattr returns
_FLOW = slice(termios.VSTART, termios.VSTOP + 1)
_PATIENCE_S, _TRIES = 0.1, 10  # for output that the command suspends repeatedly


class SharedTerminal:
    """The controlling terminal, or none; valid inside the block of shared_terminal()."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def writer[T](self, write: Callable[[T], None]) -> Callable[[T], None]:
        """Return `write`, made to resume a suspended output first. Drops what could not be shown in a second.

        A write would otherwise wait, and the command's signals and calls with it; or it would fail, if the
        command has made the stream non-blocking.
        """

        def resumed(what: T) -> None:
            if self._takes_output():
                write(what)

        return resumed

    def _takes_output(self) -> bool:
        may_be_suspended = self._descriptor is not None and os.isatty(2)
        if not may_be_suspended and not _is_non_blocking(2):
            return True
        poll = select.poll()
        poll.register(2, select.POLLOUT)
        for _ in range(_TRIES):
            self.resume()
            if poll.poll(_PATIENCE_S * 1000):
                return True
        return False

    def resume(self) -> None:
        """Undo tcflow(TCOOFF). A ^S typed by a person stays."""
        if self._descriptor is not None:
            with suppress(OSError, termios.error):
                termios.tcflow(self._descriptor, termios.TCOON)


@contextmanager
def shared_terminal() -> Iterator[SharedTerminal]:
    """Share the controlling terminal with a command, and restore it afterwards.

    In the block nono's own output cannot stop it (TOSTOP), whichever job is in the foreground.
    """
    terminal = _open_terminal()
    if terminal is None:
        with shared_streams(has_terminal=True):
            yield SharedTerminal(None)
        return
    is_in_front = _has_foreground(terminal)
    before = _attributes(terminal) if is_in_front else None
    flow_keys = _flow_keys(terminal) if is_in_front else None
    handler = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    try:
        shared = SharedTerminal(terminal)
        try:
            with shared_streams(has_terminal=is_in_front):
                yield shared
        finally:
            with suppress(OSError, termios.error):
                fcntl.ioctl(terminal, termios.TIOCNXCL)
            shared.resume()
            with suppress(OSError, termios.error):
                if is_in_front and _take_back(terminal):
                    _restore(terminal, flow_keys, before)
    finally:
        signal.signal(signal.SIGTTOU, handler)
        os.close(terminal)


def _restore(terminal: int, flow_keys: list[Any] | None, before: list[Any] | None) -> None:
    """Restore what was in force before the run; None: that is not this job's. Raises termios.error."""
    if flow_keys is not None:
        _give_back_flow_keys(terminal, flow_keys)
    if before is not None:
        # Does not wait for output, which a person may have stopped.
        termios.tcsetattr(terminal, termios.TCSANOW, before)


def _open_terminal() -> int | None:
    """Open the terminal now, because the command may make it exclusive.

    Without a controlling terminal, as below `su -c`, it is the one on a standard stream.
    """
    with suppress(OSError):
        return os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    for stream in range(FIRST_PRIVATE_DESCRIPTOR):
        if os.isatty(stream):
            return os.dup(stream)
    return None


def _has_foreground(terminal: int) -> bool:
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:  # it is not the controlling terminal, so there is no background
        return True


def _attributes(terminal: int) -> list[Any] | None:
    """Return the terminal's attributes if they are this job's to restore.

    Not in the background, where a shell uses the terminal. Nor if our output goes to another program: in
    `nono run ... | less`, less sets them, and it may outlive us.
    """
    with suppress(OSError, termios.error):
        if not _goes_to_a_program(1):
            return termios.tcgetattr(terminal)
    return None


def _flow_keys(terminal: int) -> list[Any] | None:
    """Return the keys that start and stop the output."""
    with suppress(OSError, termios.error):
        keys: list[Any] = termios.tcgetattr(terminal)[_CHARACTERS]
        return keys[_FLOW]
    return None


def _give_back_flow_keys(terminal: int, keys: list[Any]) -> None:
    """Restore keys that the command has changed, and start an output that those have stopped.

    A person may have typed one of them, knows no key that starts it again, and nono's own output would wait.
    Raises termios.error.
    """
    attributes = termios.tcgetattr(terminal)
    if attributes[_CHARACTERS][_FLOW] == keys:
        return
    attributes[_CHARACTERS][_FLOW] = keys
    has_flow = attributes[_IFLAG] & termios.IXON
    attributes[_IFLAG] &= ~termios.IXON  # without flow control the kernel starts a stopped output
    termios.tcsetattr(terminal, termios.TCSANOW, attributes)
    attributes[_IFLAG] |= has_flow
    termios.tcsetattr(terminal, termios.TCSANOW, attributes)


def _is_non_blocking(descriptor: int) -> bool:
    with suppress(OSError):  # it is closed
        return not os.get_blocking(descriptor)
    return False


def _goes_to_a_program(descriptor: int) -> bool:
    """Tell whether somebody else may read from it now. Raises OSError if it is closed."""
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _take_back(terminal: int) -> bool:
    """Take the foreground back from a group that has ended. Returns False if somebody else has it."""
    if _has_foreground(terminal):
        return True
    ours, front = os.getpgrp(), os.tcgetpgrp(terminal)
    try:
        os.killpg(front, 0)
    except OSError as error:
        if front <= 0 or error.errno != errno.ESRCH:
            return False
        os.tcsetpgrp(terminal, ours)
        return True
    return False
