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


def told(answer: bytes | bytearray) -> dict[bytes, int]:
    """Return what the whole lines of an answer say: "pid", then "status"."""
    lines = [line.split() for line in bytes(answer).split(b"\n")[:-1]]
    return {name: int(number) for name, number in lines}


class ForkedProcess(subprocess.Popen[Any]):
    """A process whose parent is the fork server.

    It overrides what Popen does to start a process and to wait for it; CPython 3.12 to 3.14 have the same
    methods. Two lines arrive by a pipe: its ID, and at the end its wait status.
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
        if b"pid" not in told(self._told):
            raise RuntimeError(f"the fork server could not start it: {self._told!r}")
        self.pid = told(self._told)[b"pid"]
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
        if b"status" not in told(self._told) and status.poll(0):
            piece = os.read(self._answer, READ_SIZE)
            if not piece:
                raise RuntimeError("the fork server has ended")
            self._told += piece
        if b"status" in told(self._told):
            self._handle_exitstatus(told(self._told)[b"status"])
