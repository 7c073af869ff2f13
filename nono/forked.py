"""Run a function in a forked process and read its answer.

An answer is one length-prefixed byte string over a pipe, so a process that dies while writing has answered
nothing. The process inherits every descriptor and must close those it should not have. It ends with
os._exit(), so that neither an exception nor a return continues the code that forked it. Fork before
starting a thread: the copy would inherit locks that other threads hold.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from nono.named_tuple import NamedTuple

_LENGTH_BYTES = 8
PICKLED_BYTES_MAX = 64 * 1024 * 1024


class _End:
    """One end of the pipe for an answer."""

    __slots__ = ("_descriptor",)

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        """Close this end. Closing twice is harmless."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class Reply(_End):
    """The writing end, on which a process answers."""

    __slots__ = ()

    def send(self, answer: bytes) -> None:
        """Send the answer; call once. Raises OSError EPIPE if the reader is gone."""
        remaining = memoryview(len(answer).to_bytes(_LENGTH_BYTES, "little") + answer)
        while remaining:
            remaining = remaining[os.write(self._descriptor, remaining) :]

    def wait_until_closed(self) -> None:
        """Wait until the reader has closed its end or is gone.

        For an answer that names a resource of this process, which must live until the reader has used it.
        """
        poll = select.poll()
        poll.register(self._descriptor, 0)  # poll(2) always reports POLLERR
        poll.poll()


class Answer(_End):
    """The reading end."""

    __slots__ = ()

    def read(self, bytes_max: int) -> bytes | None:
        """Wait for the answer. Returns None if the process ended without one, or it exceeds bytes_max."""
        header = self._read_exactly(_LENGTH_BYTES)
        if header is None:
            return None
        length = int.from_bytes(header, "little")
        return self._read_exactly(length) if length <= bytes_max else None

    def _read_exactly(self, length: int) -> bytes | None:
        parts = bytearray()
        while len(parts) < length:
            part = os.read(self._descriptor, length - len(parts))
            if not part:
                return None
            parts += part
        return bytes(parts)


def answer_pipe() -> tuple[Answer, Reply]:
    """Make the pipe of one answer. Close the Reply after forking, or the process's death goes unnoticed."""
    ours, theirs = os.pipe()
    return Answer(ours), Reply(theirs)


def fork_child(life: Callable[[], object], *, set_death_signal: Callable[[], object] | None = None) -> int:
    """Fork a child that calls life and exits: with status 0 if life returns, 1 if it raises.

    Returns its pid; the caller reaps it.

    set_death_signal: Called first in the child, to tie it to the thread that forked it (PR_SET_PDEATHSIG,
        see nono.kernel.process). If the parent died before that, no signal comes: the child exits at once.
    """
    parent = os.getpid()
    is_child = False
    status = 1
    # Fork inside the try: a signal handler may raise in the child before it executes anything else.
    try:
        pid = os.fork()
        is_child = pid == 0
        if is_child:
            if set_death_signal is not None:
                set_death_signal()
            if set_death_signal is None or os.getppid() == parent:
                life()
            status = 0
    finally:
        if is_child or os.getpid() != parent:
            os._exit(status)
    return pid


def fork_orphan(life: Callable[[], object]) -> None:
    """Fork a process like fork_child, but through a second fork, so that it is not a child of this one.

    The command, which this process may become, must neither wait for it nor find it among its children; the
    next subreaper above reaps it. Raises OSError if it could not be forked.
    """
    starter = fork_child(lambda: fork_child(life))
    if _reap(starter) not in (0, None):
        raise OSError("fork(2): no process for a helper")


class Child(NamedTuple):
    """A child that answers; valid inside the block that yielded it."""

    pid: int
    answer: Answer


@contextmanager
def answering(life: Callable[[Reply], object]) -> Iterator[Child]:
    """Fork a child that answers; leaving the block waits for it."""
    answer, reply = answer_pipe()

    def answer_and_end() -> None:
        answer.close()
        life(reply)

    try:
        pid = fork_child(answer_and_end)
        reply.close()
        try:
            yield Child(pid, answer)
        finally:
            answer.close()
            _reap(pid)
    finally:
        answer.close()
        reply.close()


def bytes_from_fork(work: Callable[[], bytes], bytes_max: int) -> bytes | None:
    """Return the result of work, run in a child, where it may change the process irreversibly.

    Returns None if work raised, was killed, or returned more than bytes_max bytes.
    """
    with answering(lambda reply: reply.send(work())) as child:
        return child.answer.read(bytes_max)


def call_in_fork[Value](work: Callable[[], Value]) -> Value | None:
    """Return the result of work, run in a child so that its imports and objects leave the memory again.

    The value is pickled. Returns None if work raised, was killed, or returned more than PICKLED_BYTES_MAX.
    """
    # Imported here: the kernel probes do not need it.
    import pickle

    pickled = bytes_from_fork(lambda: pickle.dumps(work()), PICKLED_BYTES_MAX)
    if pickled is None:
        return None
    value: Value = pickle.loads(pickled)  # written by this very program, in its own child
    return value


def _reap(pid: int) -> int | None:
    """Wait for a child; returns its wait status. None: SIGCHLD is ignored, and the kernel has reaped it."""
    with suppress(ChildProcessError):
        return os.waitpid(pid, 0)[1]
    return None
