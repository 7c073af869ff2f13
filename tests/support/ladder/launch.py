"""Provide a place to launch from: an ordinary user with a granted directory, and ways to run a command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.ladder import report as ladder_report
from support.ordinary_user import OrdinaryUser, ordinary_user
from support.running import fork_server
from support.running.pace import PACE

NONO = str(Path(sys.executable).with_name("nono"))
REPORT = os.path.abspath(ladder_report.__file__)
INTERPRETER = os.path.realpath(sys.executable)
PYTHON = (INTERPRETER, "-I", "-S", "-c")
WAIT_S = 30.0 * PACE

# A run without a proxy has no event loop; a wrapped one has no supervisor.
MODES: Mapping[str, tuple[str, ...]] = {
    "alone": ("run",),
    "proxied": ("run", "--allow-domain", "example.invalid"),
    "wrapped": ("wrap",),
}


@dataclass(frozen=True, slots=True)
class Place:
    """A place to launch from. Valid inside the `place` block that yielded it."""

    user: OrdinaryUser

    @property
    def project(self) -> Path:
        return self.user.home / "project"

    @property
    def audit(self) -> Path:
        return self.user.home / ".local/state/nono/audit"

    def nono(self, mode: str, *options: str) -> list[str]:
        """Return the start of an argv that confines a command, for a process that is the user's already."""
        grants = ["--allow", str(self.project), "--read-file", REPORT]
        grants += ["--read", str(Path(INTERPRETER).parent.parent)]
        subcommand, *more = MODES[mode]
        return [NONO, subcommand, "-s", *grants, *more, *options, "--"]

    def argv(self, mode: str, command: Sequence[str | bytes], *options: str) -> list[str | bytes]:
        """Return the argv that confines `command`; the process becomes the user's."""
        return [*self.user.command(self.nono(mode, *options)), *command]

    def run(
        self,
        mode: str,
        *command: str | bytes,
        options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: int = subprocess.DEVNULL,
        input: bytes | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run nono to its end and capture its output; stdin and input are as in subprocess.run."""
        argv, env = self.argv(mode, command, *options), self.user.environment(environment)
        with fork_server.start(
            argv,
            env=env,
            cwd=cwd or self.project,
            stdin=stdin if input is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            try:
                stdout, stderr = process.communicate(input, timeout=WAIT_S)
            except BaseException:
                process.kill()
                raise
        return subprocess.CompletedProcess(argv, process.returncode, stdout, stderr)

    @contextmanager
    def started(
        self, mode: str, *command: str, options: Sequence[str] = ()
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Yield nono while it runs, with pipes as streams; killed at the end of the block if it still is."""
        argv = self.argv(mode, command, *options)
        with fork_server.start(
            argv,
            env=self.user.environment(),
            cwd=self.project,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def processes(self) -> list[int]:
        """Return the processes with this user's home in their environment: only this place starts such."""
        mark = f"HOME={self.user.home}\0".encode()
        found = []
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdigit() and mark in (entry / "environ").read_bytes() + b"\0":
                    found.append(int(entry.name))
        return found

    def files(self) -> set[Path]:
        """Return everything in the user's home except the audit log and the caches, which stay on purpose."""
        kept = {self.user.home / ".local", self.user.home / ".cache"}
        return {path for path in self.user.home.rglob("*") if kept.isdisjoint((path, *path.parents))}


@contextmanager
def place() -> Iterator[Place]:
    """Yield a place that is removed at the end. AssertionError if anything started there is left behind."""
    with ordinary_user() as user:
        (user.home / "project").mkdir()
        user.give(user.home / "project")
        prepared = Place(user)
        before = prepared.files()
        try:
            yield prepared
            assert wait_until(lambda: not prepared.processes()), "a process is left behind"
            assert prepared.files() == before, "a file is left behind"
        finally:
            for pid in prepared.processes():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def children(pid: int) -> list[int]:
    """Return the direct children of a process, including zombies."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            if entry.name.isdigit():
                # The name of the program, in parentheses, may contain anything.
                after_name = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(after_name[1]) == pid:
                    found.append(int(entry.name))
    return found


def wait_until(condition: Any) -> bool:
    """Return True if condition held within WAIT_S. For changes that only /proc shows."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
