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

from nono.kernel.signals import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PATIENCE_S, _TRIES = 0.1, 10  # for output that the command suspends repeatedly


class SharedTerminal:
    """The controlling terminal, or none; valid inside the block of shared_terminal()."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def writer[T](self, write: Callable[[T], None]) -> Callable[[T], None]:
        """Return `write`, made to resume a suspended output first. Drops what could not be shown in a second.

        A write would otherwise wait, and the command's signals and calls with it.
        """

        def resumed(what: T) -> None:
            if self._takes_output():
                write(what)

        return resumed

    def _takes_output(self) -> bool:
        if self._descriptor is None or not os.isatty(2):
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
    try:
        # Open it now, because the command may make it exclusive.
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        yield SharedTerminal(None)
        return
    before = _attributes(terminal)
    handler = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    try:
        shared = SharedTerminal(terminal)
        try:
            yield shared
        finally:
            with suppress(OSError, termios.error):
                fcntl.ioctl(terminal, termios.TIOCNXCL)
            shared.resume()
            with suppress(OSError, termios.error):
                if before is not None and _take_back(terminal):
                    # Does not wait for output, which a person may have stopped.
                    termios.tcsetattr(terminal, termios.TCSANOW, before)
    finally:
        signal.signal(signal.SIGTTOU, handler)
        os.close(terminal)


def _attributes(terminal: int) -> list[Any] | None:
    """Return the terminal's attributes if they are this job's to restore.

    Not in the background, where a shell uses the terminal. Nor if our output goes to another program: in
    `nono run ... | less`, less sets them, and it may outlive us.
    """
    with suppress(OSError, termios.error):
        if not _goes_to_a_program(1) and os.tcgetpgrp(terminal) == os.getpgrp():
            return termios.tcgetattr(terminal)
    return None


def _goes_to_a_program(descriptor: int) -> bool:
    """Tell whether somebody else may read from it now. OSError: it is closed."""
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _take_back(terminal: int) -> bool:
    """Take the foreground back from a group that has ended. Returns False if somebody else has it."""
    ours, front = os.getpgrp(), os.tcgetpgrp(terminal)
    if front == ours:
        return True
    try:
        os.killpg(front, 0)
    except OSError as error:
        if front <= 0 or error.errno != errno.ESRCH:
            return False
        os.tcsetpgrp(terminal, ours)
        return True
    return False
