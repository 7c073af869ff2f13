"""A process that the fork server starts, with the methods of subprocess.Popen."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import weakref
from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any

PIPES = slice(10, 16)  # of the arguments of _execute_child
READ_SIZE = 64


class ForkedProcess(subprocess.Popen[Any]):
    """A process whose parent is the fork server.

    It overrides what Popen does to start a process and to wait for it; CPython 3.12 to 3.14 have the same
    methods. The server writes a line with the process ID to a pipe, and at the end one with the wait status.
    """

    if TYPE_CHECKING:  # what its stub leaves out
        _waitpid_lock: Lock

        def _close_pipe_fds(self, *descriptors: int) -> None: ...

        def _handle_exitstatus(self, status: int) -> None: ...

    def __init__(
        self, requests: socket.socket, request: bytes, argv: Sequence[str | bytes], **streams: Any
    ) -> None:
        self._requests, self._request = requests, request
        super().__init__(argv, **streams)

    def _execute_child(self, *arguments: Any) -> None:
        stdin, _, _, stdout, _, stderr = pipes = arguments[PIPES]
        self._answer, writing = os.pipe()
        weakref.finalize(self, os.close, self._answer)
        try:
            streams = [
                number if given == -1 else given for number, given in enumerate((stdin, stdout, stderr))
            ]
            socket.send_fds(self._requests, [self._request], [*streams, writing])
        finally:
            os.close(writing)
            self._close_pipe_fds(*pipes)
        self._told = os.read(self._answer, READ_SIZE)
        if not self._told:
            raise RuntimeError("the fork server has ended")
        self.pid = int(self._told.split()[0])
        self._child_created = True

    def _wait(self, timeout: float | None) -> int:
        status = select.poll()
        status.register(self._answer, select.POLLIN)
        if self.returncode is None and not status.poll(None if timeout is None else max(timeout, 0) * 1000):
            assert timeout is not None
            raise subprocess.TimeoutExpired(self.args, timeout)
        while self._internal_poll() is None:  # another thread is reading it
            pass
        return self.returncode

    def _internal_poll(self, _deadstate: int | None = None) -> int | None:
        if self._waitpid_lock.acquire(blocking=False):
            try:
                self._read_status()
            finally:
                self._waitpid_lock.release()
        return self.returncode

    def _read_status(self) -> None:
        """Read the wait status if it has arrived."""
        status = select.poll()
        status.register(self._answer, select.POLLIN)
        if self._told.count(b"\n") < 2 and status.poll(0):
            piece = os.read(self._answer, READ_SIZE)
            if not piece:
                raise RuntimeError("the fork server has ended")
            self._told += piece
        if self._told.count(b"\n") == 2:
            self._handle_exitstatus(int(self._told.split()[1]))
