"""Programs that keep a session for a terminal to come back to: nono, dtach and tmux, each driven alike."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import shutil
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.commands import PATIENCE_S, check
from benchmarks.samples import CannotRunError
from benchmarks.stage import NONO, Stage

ROWS, COLUMNS = 40, 120
LIMIT_S = 60.0
READ_BYTES = 1 << 16
LOOK_S = 0.01


class Seat:
    """A terminal with a program on it, and the person in front of it."""

    def __init__(self, master: int) -> None:
        self._master = master

    def type(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def wait_for(self, mark: bytes) -> None:
        """Return once `mark` has been shown since the call. Raises CannotRunError if it is not."""
        shown, deadline = b"", time.perf_counter() + LIMIT_S
        while mark not in shown:
            left_s = deadline - time.perf_counter()
            if left_s <= 0 or not select.select([self._master], [], [], left_s)[0]:
                raise CannotRunError(f"does not show {mark.decode()} within {LIMIT_S:.0f} s")
            try:
                piece = os.read(self._master, READ_BYTES)
            except OSError as error:
                raise CannotRunError(f"ended before it showed {mark.decode()}") from error
            shown = shown[-len(mark) :] + piece

    def forget(self, quiet_s: float = 0.1) -> None:
        """Read what is shown until nothing comes any more."""
        while select.select([self._master], [], [], quiet_s)[0] and os.read(self._master, READ_BYTES):
            pass


@contextmanager
def seat(argv: Sequence[str], environ: Mapping[str, str], folder: str) -> Iterator[Seat]:
    """Start a program on a terminal of its own; killed at the end of the block."""
    pid, master = pty.fork()
    if pid == 0:
        try:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
            os.chdir(folder)
            os.execvpe(argv[0], [*argv], dict(environ))
        finally:
            os._exit(127)
    try:
        yield Seat(master)
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(master)


@dataclass(frozen=True, slots=True)
class Keeper:
    """One program that keeps sessions, one at a time."""

    name: str
    start: Sequence[str]  # an argv that the command follows
    attach: Sequence[str]
    pids: Callable[[], list[int]]  # of the processes that keep the session; the first one ends it
    environ: Mapping[str, str]
    folder: str
    socket: str = ""

    @contextmanager
    def session(self, script: str) -> Iterator[None]:
        """Keep a shell script running, with nobody attached."""
        if shutil.which(self.start[0]) is None:
            raise CannotRunError(f"{self.name} is not installed")
        argv = [*self.start, "/bin/sh", "-c", script]
        if self.socket:
            Path(self.socket).unlink(missing_ok=True)  # of a session that was killed
        check(argv, self.environ)
        pid = self.pids()[0]
        try:
            yield
        finally:
            descriptor = os.pidfd_open(pid)
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            select.select([descriptor], [], [], PATIENCE_S)
            os.close(descriptor)

    def attached(self) -> AbstractContextManager[Seat]:
        return seat(self.attach, self.environ, self.folder)


def keepers(stage: Stage) -> dict[str, Keeper]:
    environ = stage.environ | {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
    folder, socket = stage.shared, f"{stage.folder}/terminal"
    nono = [NONO, "run", "--silent", "--detached", "--name=bench", f"--allow={folder}", "--"]
    tmux = ["tmux", "-S", f"{socket}.tmux", "-f", "/dev/null"]

    def supervisors() -> list[int]:
        said = subprocess.run([NONO, "ps", "--json"], env=environ, capture_output=True, check=True)
        (supervisor,) = (record["supervisor_pid"] for record in json.loads(said.stdout))
        return [supervisor, *_models(supervisor)]

    def tmux_server() -> list[int]:
        said = subprocess.run([*tmux, "display", "-p", "#{pid}"], capture_output=True, check=True)
        return [int(said.stdout)]

    def dtach_master() -> list[int]:
        return [_with_argument(f"{socket}.dtach")]

    new_session = [*tmux, "new-session", "-d", "-x", str(COLUMNS), "-y", str(ROWS)]
    return {
        "nono": Keeper("nono", nono, [NONO, "attach", "bench"], supervisors, environ, folder),
        "dtach": Keeper(
            "dtach",
            ["dtach", "-n", f"{socket}.dtach"],
            ["dtach", "-a", f"{socket}.dtach", "-r", "winch"],
            dtach_master,
            environ,
            folder,
            f"{socket}.dtach",
        ),
        "tmux": Keeper("tmux", new_session, [*tmux, "attach"], tmux_server, environ, folder),
    }


def memory_mib(pids: Sequence[int]) -> float:
    """Return the memory of processes; shared pages count by their share (Pss of proc_pid_smaps(5))."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            total += int(line.split()[1]) if line.startswith("Pss:") else 0
    return total / 1024


def _models(supervisor: int) -> list[int]:
    """Return the process that models the screen, if there is one by now."""
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    return [int(pid) for pid in children if b"screen.model" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def _with_argument(argument: str) -> int:
    """Return the process that was started with an argument. Raises CannotRunError if there is none."""
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and argument.encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                return int(entry.name)
    raise CannotRunError("the session has ended")
