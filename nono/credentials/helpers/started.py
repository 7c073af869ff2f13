"""Start a helper below an intermediate process, read its output, and see it end.

The intermediate process (``runner``) kills the helper when nono closes its leash or dies.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from time import monotonic

from nono.credentials.helpers import runner
from nono.disk.descriptor import is_readable
from nono.kernel import process as own_process

STDOUT_BYTES_MAX = 64 * 1024
STDERR_BYTES_MAX = 4 * 1024


class Stream:
    """One output of the helper: the part that is kept, and the length of the whole."""

    def __init__(self, fd: int, limit_bytes: int) -> None:
        os.set_blocking(fd, False)
        self.fd = fd
        self._limit_bytes = limit_bytes
        self.kept = bytearray()
        self.length = 0

    @property
    def is_too_long(self) -> bool:
        return self.length > self._limit_bytes

    def take(self) -> bool:
        """Read the available bytes and drop the excess. Returns False at end of file."""
        while True:
            try:
                piece = os.read(self.fd, 65536)
            except BlockingIOError:
                return True
            self.length += len(piece)
            self.kept += piece[: self._limit_bytes - len(self.kept)]
            if not piece or self.is_too_long:
                return bool(piece)


class HelperProcess:
    """A running helper, and the intermediate process that reports its end."""

    def __init__(
        self,
        between: subprocess.Popen[bytes],
        stdout: Stream,
        stderr: Stream,
        report: int,
        let_go: Callable[[], None],  # closes the leash, which kills the helper
        epoll: select.epoll,
    ) -> None:
        self.between = between
        self.stdout, self.stderr = stdout, stderr
        self.report = report
        self.let_go = let_go
        self.epoll = epoll  # readable when said() has something to do
        self._has_ended = False
        for descriptor in (stdout.fd, stderr.fd, report):
            epoll.register(descriptor, select.EPOLLIN)

    def said(self) -> bytes | None:
        """Read what is available. Returns the report; None if it has not arrived yet.

        The report is b"" if the intermediate process died, or if there is too much output.
        """
        for descriptor, _ in self.epoll.poll(0):
            if descriptor == self.report:
                report = os.read(self.report, 64)
                # The helper is dead, so all its output is in the pipes. EOF may never come, because a daemon
                # may hold them open.
                self.stdout.take()
                self.stderr.take()
                return report
            stream = self.stdout if descriptor == self.stdout.fd else self.stderr
            if not stream.take():
                self.epoll.unregister(descriptor)
        return b"" if self.stdout.is_too_long else None

    def report_within(self, limit_s: float) -> bytes | None:
        """Wait for what said() returns; None after limit_s."""
        deadline = monotonic() + limit_s
        while (report := self.said()) is None and (left_s := deadline - monotonic()) > 0:
            self.epoll.poll(left_s)
        return report

    def has_ended(self) -> bool:
        """Return True once the intermediate process has ended."""
        with suppress(BlockingIOError):
            while not self._has_ended:
                self._has_ended = not os.read(self.report, 64)
        return self._has_ended

    def ends_within(self, limit_s: float) -> bool:
        """Wait until it has ended, which it does at once unless something stopped it."""
        deadline = monotonic() + limit_s
        while not self.has_ended() and (left_s := deadline - monotonic()) > 0:
            is_readable(self.report, within_s=left_s)
        return self.has_ended()


@contextmanager
def started(argv: Sequence[str], environ: Mapping[str, str], stdin: bytes | None) -> Iterator[HelperProcess]:
    """Start the helper below an intermediate process; all descriptors are closed when the block is left.

    Leave the block only after the report has ended, so that reaping does not wait.
    """
    with ExitStack() as stack:
        leash_end, leash = os.pipe()
        stack.callback(os.close, leash_end)
        held = stack.enter_context(os.fdopen(leash, "wb", buffering=0))
        report, report_end = os.pipe()
        stack.callback(os.close, report)
        report_writer = stack.enter_context(os.fdopen(report_end, "wb", buffering=0))
        os.set_blocking(report, False)
        between = stack.enter_context(
            subprocess.Popen(
                [
                    *(sys.executable, "-I", "-S", runner.__file__),
                    *(str(leash_end), str(report_end)),
                    *argv,
                ],
                stdin=stack.enter_context(_input(stdin)),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(environ),
                cwd="/",  # a program may read settings from its cwd, and the agent controls the project
                pass_fds=(leash_end, report_end),
                start_new_session=True,  # Ctrl-C reaches only nono, which then closes the leash
            )
        )
        own_process.restore_open_files(between.pid)  # its interpreter is still starting
        report_writer.close()  # so that the report ends with the intermediate process
        if between.stdout is None or between.stderr is None:
            raise RuntimeError("a pipe that was asked for is not there")
        yield HelperProcess(
            between,
            Stream(between.stdout.fileno(), STDOUT_BYTES_MAX),
            Stream(between.stderr.fileno(), STDERR_BYTES_MAX),
            report,
            held.close,
            stack.enter_context(select.epoll()),
        )


@contextmanager
def _input(content: bytes | None) -> Iterator[int]:
    """Yield a descriptor to read `content` from: a memfd, because an unread pipe would fill up."""
    if content is None:
        yield subprocess.DEVNULL
        return
    fd = os.memfd_create("nono-helper-stdin", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(fd), "wb") as writer:
            writer.write(content)
        os.lseek(fd, 0, os.SEEK_SET)
        yield fd
    finally:
        os.close(fd)
