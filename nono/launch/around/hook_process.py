"""Run a hook outside the sandbox, within a time limit, and keep the end of its output."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress

from nono.disk.descriptor import is_readable
from nono.kernel import process, signals
from nono.named_tuple import NamedTuple
from nono.printable import printable

TERMINATION_S = 0.1  # between SIGTERM and SIGKILL
OUTPUT_BYTES = 4096
POLL_S_MAX = 86_400.0  # poll(2) takes milliseconds as an int; a profile may allow a hook more
# Signals that end the run end a hook too.
_INTERRUPTED = "was ended: the run was interrupted"
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class Ran(NamedTuple):
    """How a hook ended."""

    status: int | None  # -N: killed by signal N; None: it was not started
    duration_ms: int
    problem: str | None = None  # what went wrong, to complete a sentence
    output: str = ""
    interrupted_by: int | None = None  # the signal that ended it, which the run must still handle


def ended(path: str, environment: Mapping[str, str], timeout_s: float) -> Ran:
    """Run a program in its own process group, to its end or time limit. Raises OSError."""
    began = time.monotonic()
    with ExitStack() as stack:
        reader, writer = os.pipe2(os.O_CLOEXEC)
        stack.callback(os.close, reader)
        try:
            pid = os.posix_spawn(
                path,
                [path],
                dict(environment),
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, writer, 1),
                    (os.POSIX_SPAWN_DUP2, writer, 2),
                ],
                setpgroup=0,
                setsigmask=(),
                setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
            )
        finally:
            os.close(writer)
        process.restore_open_files(pid)
        pidfd = os.pidfd_open(pid)
        stack.callback(os.close, pidfd)
        # Not read here, because the command's supervisor passes them on.
        interrupts = signals.open_signalfd(_ENDING)
        stack.callback(os.close, interrupts)
        output = _Output(reader)
        cut = output.follow(pidfd, interrupts, began + timeout_s)
        if cut is not None:
            _end_group(pid, pidfd)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        output.take()
        said = output.text()
    ms = round((time.monotonic() - began) * 1000)
    if cut is not None:
        number = min(signal.sigpending() & {*_ENDING}, default=None) if cut == _INTERRUPTED else None
        return Ran(status if status < 0 else -signal.SIGTERM, ms, cut.format(timeout_s), said, number)
    if status < 0:
        return Ran(status, ms, f"was ended by signal {-status}", said)
    return Ran(status, ms, f"failed with exit status {status}" if status else None, said)


class _Output:
    """The end of a hook's output."""

    def __init__(self, reader: int) -> None:
        os.set_blocking(reader, False)
        self._reader = reader
        self._kept = b""

    def follow(self, pidfd: int, interrupts: int, until: float) -> str | None:
        """Wait for the end of the hook. Returns why it must be killed, or None."""
        poll = select.poll()
        for descriptor in (self._reader, pidfd, interrupts):
            poll.register(descriptor, select.POLLIN)
        while True:
            left_s = min(max(0.0, until - time.monotonic()), POLL_S_MAX)
            found = {descriptor for descriptor, _ in poll.poll(left_s * 1000)}
            if self._reader in found and not self.take():
                poll.unregister(self._reader)
            if pidfd in found:
                return None
            if interrupts in found:
                return _INTERRUPTED
            if time.monotonic() >= until:
                return "took longer than {:g} s and was ended"

    def take(self) -> bool:
        """Read the available output. Returns False at the end."""
        with suppress(BlockingIOError):
            while piece := os.read(self._reader, 65536):
                self._kept = (self._kept + piece)[-OUTPUT_BYTES:]
            return False
        return True

    def text(self) -> str:
        lines = self._kept.decode("utf-8", "replace").splitlines()
        return "\n".join(map(printable, lines))


def _end_group(pid: int, pidfd: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGTERM)
    is_readable(pidfd, within_s=TERMINATION_S)
    with suppress(ProcessLookupError):  # it, or the rest of its group: its number is not free yet
        os.killpg(pid, signal.SIGKILL)
