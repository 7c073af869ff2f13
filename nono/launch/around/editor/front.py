"""Stand between an editor and the run that it has started, and pass on what they say (ACP, LSP).

The process that the editor has started stays in front. The run is a child of it whose standard input and
output are pipes; `acp` and `lsp` judge what passes. The child leads a session of its own:
what it asks a person would otherwise be drawn over an editor in a terminal.
"""

from __future__ import annotations

import os
import queue
import select
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

from nono.disk.descriptor import write_all
from nono.kernel import process
from nono.kernel.signals import ENDING, shell_exit_code, signal
from nono.launch.around.editor import acp, lsp
from nono.launch.around.editor.acp import Passed, Withheld
from nono.named_tuple import NamedTuple

READ_BYTES = 64 * 1024
LINE_BYTES_MAX = 64 * 1024 * 1024  # a message may hold an image
PIPE_BYTES_MAX = 1024 * 1024  # what a pipe may hold (pipe(7))
ANSWERS_MAX = 1000  # that the agent has not read; others are dropped


class Protocol(NamedTuple):
    """What passes in each direction, from the bytes of that side as they come."""

    from_editor: Callable[[Iterator[bytes]], Iterator[bytes]]
    from_agent: Callable[[Iterator[bytes]], Iterator[Passed | Withheld]]


class InFront(NamedTuple):
    """What the process in front holds of the run."""

    pid: int
    to_agent: int
    from_agent: int


def fork_run() -> InFront | None:
    """Fork the run, which gets None and goes on. The calling process stays in front.

    Call this before the launcher is forked, because the command inherits the streams.
    """
    asked, to_agent = os.pipe()
    from_the_agent, said = os.pipe()
    parent = os.getpid()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)  # until pass_on knows what to do with them
    pid = os.fork()
    if pid:
        os.close(asked)
        os.close(said)
        return InFront(pid, to_agent, from_the_agent)
    process.set_parent_death_signal(signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(128 + signal.SIGTERM)
    os.setsid()
    os.dup2(asked, 0)
    os.dup2(said, 1)
    for descriptor in (asked, said, to_agent, from_the_agent):
        os.close(descriptor)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return None


def pass_on(front: InFront, protocol: Protocol, tell: Callable[[str], object]) -> int:
    """Pass on what editor and agent, or language server, say until the run ends. Returns its exit code.

    tell: Gets each kind of message that was withheld from the editor, once.
    """
    for number in ENDING:
        signal.signal(number, lambda received, _frame: _end(front.pid, received))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    for stream in (0, 1):
        os.set_blocking(stream, True)  # they are not shared with the command
    agent = _Agent(front.to_agent)
    threading.Thread(target=_hear_editor, args=(agent, protocol), daemon=True).start()
    _hear_agent(front, agent, protocol, tell)
    return shell_exit_code(os.waitstatus_to_exitcode(os.waitpid(front.pid, 0)[1]))


def cut_lines(pieces: Iterator[bytes], bytes_max: int = LINE_BYTES_MAX) -> Iterator[bytes]:
    """Yield the lines of a stream with their ends; the last may have none. A longer one comes out empty."""
    begun, is_too_long = bytearray(), False
    for piece in pieces:
        *ended, rest = piece.split(b"\n")
        for part in ended:
            begun += part
            is_too_long = is_too_long or len(begun) > bytes_max
            yield b"\n" if is_too_long else bytes(begun) + b"\n"
            begun.clear()
            is_too_long = False
        begun += rest
        if len(begun) > bytes_max:
            begun.clear()
            is_too_long = True
    if begun:
        yield bytes(begun)


ACP = Protocol(
    lambda pieces: map(acp.from_editor, cut_lines(pieces)),
    lambda pieces: map(acp.from_agent, cut_lines(pieces)),
)
LSP = Protocol(lsp.from_editor, lambda pieces: map(Passed, pieces))


class _Agent:
    """The standard input of the agent, which two threads write, each whole lines."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._answers: queue.Queue[bytes] = queue.Queue(ANSWERS_MAX)
        threading.Thread(target=self._write_answers, daemon=True).start()

    def answer(self, line: bytes) -> None:
        """Queue a line for the agent, without waiting: its output has to be passed on meanwhile.

        Otherwise an agent that writes everything before it reads again would never go on.
        """
        with suppress(queue.Full):
            self._answers.put_nowait(line)

    def _write_answers(self) -> None:
        with suppress(OSError):  # it has closed its input
            while True:
                self.write(self._answers.get())

    def write(self, line: bytes) -> None:
        """Write a whole line. Raises OSError EPIPE if the agent has closed its input, EBADF after close()."""
        with self._lock:
            write_all(self._descriptor, line)

    def close(self) -> None:
        with self._lock:
            os.close(self._descriptor)
            self._descriptor = -1  # so that no answer is written to what gets its number


def _hear_editor(agent: _Agent, protocol: Protocol) -> None:
    with suppress(OSError):
        for passed in protocol.from_editor(iter(lambda: os.read(0, READ_BYTES), b"")):
            agent.write(passed)
    agent.close()
    with suppress(OSError):
        os.close(0)  # so that an editor whose agent hears nothing more notices


def _hear_agent(front: InFront, agent: _Agent, protocol: Protocol, tell: Callable[[str], object]) -> None:
    told = set[str]()
    try:
        for judged in protocol.from_agent(_said(front)):
            match judged:
                case Passed(passed):
                    write_all(1, passed)
                case withheld:
                    if withheld.reason not in told:
                        told.add(withheld.reason)
                        tell(withheld.reason)
                    if withheld.answer is not None:
                        agent.answer(withheld.answer)
    except BrokenPipeError:  # the editor hears nothing more
        pass
    os.close(front.from_agent)


def _said(front: InFront) -> Iterator[bytes]:
    """Yield what the agent says until it has closed its output, or until the run has ended.

    What the run has left behind without namespaces may hold the output open, and write on.
    """
    left = PIPE_BYTES_MAX
    os.set_blocking(front.from_agent, False)
    ended = os.pidfd_open(front.pid)
    poll = select.poll()
    poll.register(front.from_agent, select.POLLIN)
    poll.register(ended, select.POLLIN)
    try:
        while left > 0:
            has_ended = ended in {descriptor for descriptor, _ in poll.poll()}
            try:
                piece = os.read(front.from_agent, READ_BYTES)
            except BlockingIOError:
                if has_ended:
                    return
                continue
            if not piece:
                return
            left -= len(piece) if has_ended else 0
            yield piece
    finally:
        os.close(ended)


def _end(pid: int, received: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, received)
