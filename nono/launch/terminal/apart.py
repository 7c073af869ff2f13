"""Fork the supervisor of a run with its own terminal from the process that a person has started.

That process stays in front, at the person's terminal. The supervisor leads a session of its own, whose
terminal is the command's.
"""

from __future__ import annotations

import fcntl
import os
import termios
from _socket import SHUT_RDWR, socketpair  # socket itself makes enums: 1.5 ms of a start
from contextlib import suppress

from nono.disk.descriptor import is_readable
from nono.kernel import process
from nono.kernel.signals import ENDING, signal
from nono.named_tuple import NamedTuple
from nono.supervisor.relay.pty import Pty, open_pty

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket

STEPS_BACK_S = 0.02  # sooner, it takes a CPU from the launcher; later, a short command waits for it (ADR 69)


class Ahead(NamedTuple):
    """What the process in front holds of the supervisor; it waits for the one and closes the other."""

    pid: int
    connection: _socket.socket

    def step_back(self) -> None:
        """Leave the CPUs, of which there may be two, to the supervisor and its launcher for a moment.

        Blocks the signals that are waited for later: they have to wait as well.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGTSTP, *ENDING})
        is_readable(self.connection, within_s=STEPS_BACK_S)


class Apart(NamedTuple):
    """What the supervisor holds of the process in front."""

    pty: Pty
    connection: _socket.socket
    is_detached: bool  # the process in front only waits until the command runs

    def leave(self) -> None:
        """Tell the viewer that nothing follows: it ends while this process does, which takes a moment."""
        with suppress(OSError):  # it has gone
            self.connection.shutdown(SHUT_RDWR)  # a process forked meanwhile may hold it too
        self.connection.close()


def fork_supervisor(*, is_detached: bool) -> Apart | Ahead:
    """Fork the supervisor, which gets Apart. The calling process stays in front, and gets Ahead.

    Call this before the launcher is forked, because the command inherits the session. Raises OSError if no
    terminal is available.
    """
    own = open_pty(like=1)
    ours, theirs = socketpair()
    parent = os.getpid()
    pid = os.fork()
    if pid:
        theirs.close()
        os.close(own.master)
        os.close(own.slave)
        return Ahead(pid, ours)
    ours.close()
    process.set_parent_death_signal(signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(128 + signal.SIGTERM)
    os.setsid()
    fcntl.ioctl(own.slave, termios.TIOCSCTTY, 0)
    return Apart(own, theirs, is_detached)
