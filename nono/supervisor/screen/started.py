"""Start the process that models a terminal, as a new program without this one's memory."""

from __future__ import annotations

import os
import signal
import socket
import sys
from contextlib import suppress
from os.path import dirname

import nono
from nono.named_tuple import NamedTuple
from nono.sessions.wire import Size

# -S leaves nono off the path. Appended after Python's own paths, so that nothing there replaces a module.
PROGRAM = (
    "import sys; sys.path.append(sys.argv[1]); from nono.supervisor.screen.model.process import main;"
    "main(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))"
)


class Started(NamedTuple):
    """The process, which the supervisor reaps with its other children, and the connection to it."""

    pidfd: int
    connection: socket.socket

    def end(self) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        os.close(self.pidfd)
        self.connection.close()


def start(library: str, size: Size) -> Started:
    """Start the process. Raises OSError.

    It executes a new Python with an empty environment, because a forked process would keep the keys.
    """
    ours, theirs = socket.socketpair()
    try:
        pid = os.posix_spawn(
            sys.executable,
            [
                *(sys.executable, "-I", "-S", "-B", "-c", PROGRAM),
                *(dirname(dirname(nono.__file__)), library, str(size.rows), str(size.columns)),
            ],
            {},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, theirs.fileno(), 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
            ],
            setsid=True,  # detaches it from the terminal's signals
            setsigmask=(),
            setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
        )
        pidfd = os.pidfd_open(pid)  # it is reaped on the loop, so its number cannot be reused yet
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
    ours.setblocking(False)
    return Started(pidfd, ours)
