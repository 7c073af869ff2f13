"""Puts the supervisor of a detached session into the background, with a terminal for its command.

It is forked at once, and asks and complains on the terminal of the person until its command runs. Then it
tells the process that the person has started, which ends, and has nothing to do with that terminal any more.
"""

from __future__ import annotations

import json
import os
import select
import signal
from collections.abc import Mapping

from nono.errors import LaunchError, NonoError
from nono.supervisor.relay.pty import Pty, open_pty

READ_BYTES = 4096


class Background:
    """The supervisor's side."""

    def __init__(self, pty: Pty, ready: int) -> None:
        self.pty = pty
        self._ready = ready

    def leave_terminal(self) -> None:
        """Leave the session of the person, whose terminal is still told of errors; nothing more is asked."""
        os.setsid()
        self._to_nothing(0)

    def started(self, session: Mapping[str, str]) -> None:
        """Tell that the command runs; from now on nothing is printed."""
        os.close(self.pty.slave)  # the command has it; at its end nobody must
        os.write(self._ready, json.dumps(dict(session)).encode("ascii"))
        os.close(self._ready)
        self._to_nothing(1, 2)

    def _to_nothing(self, *streams: int) -> None:
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        for stream in streams:
            os.dup2(nothing, stream)
        os.close(nothing)


class Started(Exception):  # noqa: N818 - no error
    """Raised in the process that the person has started, once it has nothing more to do."""

    def __init__(self, session: Mapping[str, str]) -> None:
        super().__init__(session)
        self.session = session


def go_to_background() -> Background:
    """Fork the supervisor and return in it. The calling process raises Started once the command runs.

    It raises NonoError if the command does not start.
    Call before the launcher is forked.
    """
    try:
        pty = open_pty(like=1)
    except OSError as error:
        raise LaunchError(f"no terminal can be had for the session: {error.strerror}") from error
    reader, ready = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        return Background(pty, ready)
    for descriptor in (ready, pty.master, pty.slave):
        os.close(descriptor)
    raise Started(_wait(pid, reader))


def _wait(pid: int, reader: int) -> Mapping[str, str]:
    """Wait until the command runs. Raises NonoError if it does not come to that."""
    try:
        select.select([reader], [], [])
        said = os.read(reader, READ_BYTES)
    except KeyboardInterrupt:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)
        raise
    if said:
        session: Mapping[str, str] = json.loads(said)
        return session
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    raise StartFailedError(128 - code if code < 0 else code)


class StartFailedError(NonoError):
    """The supervisor has ended, and has said why."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(f"Detached session failed to start (exit status: {exit_code}).")
        self.exit_code = exit_code or 1
