"""Run a command in the foreground of a terminal of its own, and play the person in front of it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.running import fork_server
from support.running.pace import PACE

WAIT_S = 30.0 * PACE
UNREAD_S = 3.0 * PACE  # far longer than a key takes to count as an answer
TIOCGPTN = 0x80045430  # asm-generic/ioctls.h


@dataclass
class Terminal:
    """The person's end of a terminal, with the command at the other end."""

    master: int
    process: subprocess.Popen[bytes]
    shown: bytes = field(default=b"")
    drops: int = 0  # how often the command's end was seen to drop what was typed and not read

    def __post_init__(self) -> None:
        # Each read then begins with an octet: output follows, or something happened at the other end.
        fcntl.ioctl(self.master, termios.TIOCPKT, struct.pack("i", 1))

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    @property
    def path(self) -> str:
        """Return the path of the command's end."""
        (number,) = struct.unpack("I", fcntl.ioctl(self.master, TIOCGPTN, bytes(4)))
        return f"/dev/pts/{number}"

    def other_end(self) -> int:
        """Return a descriptor of the command's end, which the caller closes."""
        return os.open(self.path, os.O_RDWR | os.O_NOCTTY)

    def modes(self) -> list[Any]:
        """Return the modes of the terminal, as tcgetattr does; the constants of tty are its indices."""
        slave = self.other_end()
        try:
            return termios.tcgetattr(slave)
        finally:
            os.close(slave)

    def resize(self, rows: int, columns: int) -> None:
        termios.tcsetwinsize(self.master, (rows, columns))

    def wait_for(self, text: bytes) -> None:
        """Wait until text has been shown. AssertionError if it is not."""
        deadline = time.monotonic() + WAIT_S
        while text not in self.shown:
            left = deadline - time.monotonic()
            assert left > 0, f"{text!r} was not shown, but {self.shown!r}"
            assert self.read(left), f"{text!r} was not shown, but {self.shown!r}, and the command ended"

    def wait_for_more(self) -> None:
        """Wait until anything more has been shown. AssertionError if nothing is."""
        assert self.read(WAIT_S), f"nothing more was shown than {self.shown!r}"

    def wait_until_heeded(self) -> None:
        """Wait until the question that has been shown takes an answer: nono drops what was typed until then.

        Not seen if it came before the question was read here, so the wait is bounded.
        """
        deadline, before = time.monotonic() + UNREAD_S, self.drops
        while self.drops == before and (left := deadline - time.monotonic()) > 0 and self.read(left):
            pass

    def answer(self, question: bytes, keys: bytes) -> None:
        """Wait until the question is shown and takes an answer, and type."""
        self.wait_for(question)
        self.wait_until_heeded()
        self.type(keys)

    def end(self, limit_s: float = WAIT_S) -> int:
        """Return the command's wait status as Popen has it; everything it has shown is then in shown."""
        # Read while it runs: a terminal that nobody reads stops whoever writes to it.
        deadline = time.monotonic() + limit_s
        while self.process.poll() is None and time.monotonic() < deadline:
            self.read(0.05)
        code = self.process.wait(0.1)
        while self.read(0):
            pass
        return code

    def read(self, patience_s: float) -> bool:
        """Read what is shown within patience_s. Returns False if nobody can show anything more."""
        if not select.select([self.master], [], [], patience_s)[0]:
            return patience_s > 0
        try:
            piece = os.read(self.master, 65536)
        except OSError:  # EIO: nobody has the other end open
            return False
        if piece and piece[0] == termios.TIOCPKT_DATA:
            self.shown += piece[1:]
        elif piece and piece[0] & termios.TIOCPKT_FLUSHREAD:
            self.drops += 1
        return bool(piece)


def session_leaders(pid: int) -> list[int]:
    """Return the descendants that lead a session and so survive the process, like a run's supervisor."""
    try:
        children = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    found = [leader for child in children for leader in session_leaders(child)]
    for child in children:
        with suppress(ProcessLookupError):
            found += [child] if os.getsid(child) == child else []
    return found


@contextmanager
def terminal(
    argv: Sequence[str | bytes],
    environment: Mapping[str, str],
    cwd: Path,
    size: tuple[int, int] | None = None,
) -> Iterator[Terminal]:
    """Run argv on a new terminal; killed at the end of the block if it still runs. size: rows and columns."""
    master, slave = pty.openpty()
    try:
        try:
            if size is not None:
                termios.tcsetwinsize(slave, size)
            process = fork_server.start(
                argv,
                env=environment,
                cwd=cwd,
                takes_terminal=True,
                stdin=slave,
                stdout=slave,
                stderr=slave,
            )
        finally:
            os.close(slave)
        try:
            yield Terminal(master, process)
        finally:
            leaders = session_leaders(process.pid)
            with suppress(ProcessLookupError):
                process.kill()
            process.wait(WAIT_S)
            for leader in leaders:
                with suppress(ProcessLookupError):
                    os.kill(leader, signal.SIGKILL)
    finally:
        os.close(master)
