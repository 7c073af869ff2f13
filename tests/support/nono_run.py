"""Run commands under the real `nono run`, and the same commands without it, and read the audit log."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import get_ident
from typing import Any

import pytest

from nono.audit.event import TIME
from nono.audit.windows import WINDOW_S
from nono.kernel import landlock
from support.ordinary_user import UNPRIVILEGED_ID, OrdinaryUser, remove_home
from support.running import fork_server
from support.running.fork_server import NONO as NONO
from support.running.needs import require_for
from support.running.pace import PACE

SUPPORT = Path(__file__).parent
TIMEOUT_S = 90.0 * PACE
KILLED_S = 10.0 * PACE
# Programs import their neighbours as the tests do, whatever their directory and environment.
_BOOT = (
    "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); module = sys.argv.pop(1);"
    "runpy.run_module('support.attack_programs.' + module, run_name='__main__', alter_sys=True)"
)
PROGRAM_GRANTS = tuple(
    f"--read={path}" for path in dict.fromkeys((sys.prefix, sys.base_prefix, str(SUPPORT.parent)))
)

# A run in proxy-only mode whose proxy lets nothing through.
PROXY_ONLY: Mapping[str, object] = {"network": {"allow_domain": []}}

# With namespaces of its own, a command has no pid for a process outside: this tests what else confines it.
NO_NAMESPACES = "--namespaces=off"

# Each uses another rung; the rung of Landlock needs TCP rules.
SANDBOX_POLICIES = ("auto", "netns", *(["landlock"] if landlock.abi_version() >= 4 else []))

# The same for parametrize; what "auto" comes to here is the rung of the listener.
POLICIES = tuple(
    pytest.param(each, marks=pytest.mark.needs("listener") if each == "auto" else ())
    for each in SANDBOX_POLICIES
)

AuditEvent = dict[str, Any]


def program(name: str, *arguments: str | int) -> list[str]:
    """Return the argv of an attack program, "room.module". A run of it needs PROGRAM_GRANTS."""
    return [sys.executable, "-I", "-S", "-B", "-c", _BOOT, str(SUPPORT.parent), name, *map(str, arguments)]


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has ended. events: its whole audit log, oldest first; empty without nono."""

    exit_code: int
    stdout: str
    stderr: str
    events: tuple[AuditEvent, ...] = ()

    def outcomes(self) -> Any:
        """Return the JSON an attack program printed.

        AssertionError with the whole output if it is not JSON.
        """
        try:
            return json.loads(self.stdout)
        except ValueError:
            raise AssertionError(f"exit code {self.exit_code}: {self.stdout}\n{self.stderr}") from None

    @property
    def network(self) -> list[AuditEvent]:
        """Return the network decisions, each as the flat event of the log."""
        return [event["event"] for event in self.events if event["type"] == "network"]

    @property
    def denied(self) -> list[AuditEvent]:
        """Return every refusal; those that the log only counts appear once for each time."""
        return [event for event in self.denial_lines for _ in range(event.get("repeats", 1))]

    @property
    def denial_lines(self) -> list[AuditEvent]:
        """Return the refusals as the log has them, with repetitions folded."""
        return [event for event in self.network if event["decision"] == "deny"]

    @property
    def allowed(self) -> list[AuditEvent]:
        return [event for event in self.network if event["decision"] == "allow"]

    def denied_targets(self) -> set[tuple[str, int | None]]:
        """Return (target, port) of every refusal."""
        return {(event["target"], event["port"]) for event in self.denied}


def most_records(refusals: Sequence[AuditEvent]) -> int:
    """Return how many records one kind of refusal may have: its first in each window, and a count there.

    A slow machine takes more windows for the same tries.
    """
    times = [each[TIME] for each in refusals]
    windows = 2 + (max(times) - min(times)) / 1000 / WINDOW_S
    return int(2 * windows)


@dataclass(frozen=True, slots=True)
class NonoRun:
    """A user with a home outside /tmp (which every command may write) and a project that is granted."""

    user: OrdinaryUser
    project: Path

    @property
    def trusted(self) -> Path:
        """Return a directory for a CA that both nono and the command trust: the command can only read it."""
        return self.user.home / "ca.pem"

    def argv(
        self,
        command: Sequence[str],
        *,
        profile: Mapping[str, object] | Path = PROXY_ONLY,
        flags: Sequence[str] = (),
        wrapper: Sequence[str] = (),
        stage: Sequence[str] = (),
    ) -> list[str]:
        """Return the argv of a run.

        profile: a file, or what one holds; wrapper: an argv prefix that runs nono as the user; stage: before
        that.
        """
        file = profile if isinstance(profile, Path) else self.write_profile(profile)
        grants = [f"--allow={self.project}", *PROGRAM_GRANTS]
        if self.trusted.exists():
            grants.append(f"--read-file={self.trusted}")
        require_for([*wrapper, *flags], self.user.uid)
        nono = [*NONO, "run", f"--profile={file}", *grants, *flags, "--"]
        return [*stage, *self.user.command([*wrapper, *nono, *command])]

    def write_profile(self, profile: Mapping[str, object]) -> Path:
        """Write a profile and return its file, which the next one replaces."""
        file = self.user.home / "profile.json"
        written = file.with_suffix(f".{get_ident()}")
        written.write_text(json.dumps(profile))
        return written.rename(file)  # at once: runs of other threads read it

    def run(
        self,
        command: Sequence[str],
        *,
        profile: Mapping[str, object] | Path = PROXY_ONLY,
        flags: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        stdin: str | int = "",
        wrapper: Sequence[str] = (),
        stage: Sequence[str] = (),
        pass_fds: Sequence[int] = (),
        timeout_s: float = TIMEOUT_S,
    ) -> Ended:
        """Run `nono run -- command` to its end. stdin: a text, or a descriptor to pass on unchanged."""
        before = set(self.logs())
        argv = self.argv(command, profile=profile, flags=flags, wrapper=wrapper, stage=stage)
        ended = self._finish(argv, environment, stdin, pass_fds, timeout_s)
        return Ended(ended.returncode, ended.stdout, ended.stderr, self.events_since(before))

    def bare(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        stdin: str | int = "",
        stage: Sequence[str] = (),
        pass_fds: Sequence[int] = (),
        timeout_s: float = TIMEOUT_S,
    ) -> Ended:
        """Run the same command without nono, to see what the kernel itself would have allowed."""
        argv = [*stage, *self.user.command(command)]
        ended = self._finish(argv, environment, stdin, pass_fds, timeout_s)
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    @contextmanager
    def started(
        self,
        command: Sequence[str],
        *,
        sandboxed: bool = True,
        profile: Mapping[str, object] = PROXY_ONLY,
        flags: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        is_own_child: bool = False,
    ) -> Iterator[subprocess.Popen[str]]:
        """Yield a run that goes on; its pid is nono's own. Killed and reaped when the block is left.

        is_own_child: It has the limits of this process, which alone can wait for it: nobody else forks it.
        """
        argv = self.user.command(command)
        if sandboxed:
            argv = self.argv(command, profile=profile, flags=flags)
        with self.begun(argv, environment, stdin=subprocess.PIPE, is_own_child=is_own_child) as process:
            yield process

    @contextmanager
    def begun(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str] | None = None,
        *,
        stdin: int = subprocess.DEVNULL,
        is_own_child: bool = True,
    ) -> Iterator[subprocess.Popen[str]]:
        """Yield a process of the user in the project. Killed and reaped when the block is left."""
        start = subprocess.Popen if is_own_child else fork_server.start
        process = start(
            argv,
            env=self.user.environment(environment),
            cwd=self.project,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with process:
            try:
                yield process
            finally:
                process.kill()

    def _finish(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str] | None,
        stdin: str | int,
        pass_fds: Sequence[int],
        timeout_s: float,
    ) -> subprocess.CompletedProcess[str]:
        source: dict[str, Any] = {"input": stdin} if isinstance(stdin, str) else {"stdin": stdin}
        return fork_server.run(
            argv,
            env=self.user.environment(environment),
            cwd=self.project,
            pass_fds=pass_fds,
            timeout=timeout_s,
            **source,
        )

    def logs(self) -> list[Path]:
        return sorted((self.user.home / ".local/state/nono/audit").glob("*/audit-events.ndjson"))

    def events_since(self, before: set[Path]) -> tuple[AuditEvent, ...]:
        """Return everything in the logs that were not there before."""
        new = [path for path in self.logs() if path not in before]
        # A run beside this one may be in the middle of its last line.
        texts = (path.read_text(encoding="utf-8").rpartition("\n")[0] for path in new)
        lines = [line for text in texts for line in text.splitlines()]
        return tuple(json.loads(json.loads(line)["event_json"]) for line in lines)

    def give(self, path: Path) -> Path:
        return self.user.give(path)

    def make(self, directory: Path) -> Path:
        """Make a directory of the user's."""
        directory.mkdir()
        return self.give(directory)


@contextmanager
def nono_run(*, as_root: bool = False, homes: str = "/var/tmp") -> Iterator[NonoRun]:
    """Yield a user; everything is removed when the block is left. as_root: root itself, in a fresh home.

    homes: Where the home is created. A run whose home is in /var/tmp has no /var/tmp of its own.
    """
    suite_is_root = os.geteuid() == 0
    if as_root and not suite_is_root:
        raise RuntimeError("only root can run nono as root")
    uid, gid = (
        (UNPRIVILEGED_ID, UNPRIVILEGED_ID) if suite_is_root and not as_root else (os.geteuid(), os.getegid())
    )
    home = Path(tempfile.mkdtemp(prefix="nono-run-", dir=homes)).resolve()
    try:
        user = OrdinaryUser(uid, gid, home)
        for directory in (home, home / "tmp", home / "run", home / "project"):
            directory.mkdir(mode=0o700, exist_ok=True)
            user.give(directory)
        yield NonoRun(user, home / "project")
    finally:
        _end_daemons(home)
        remove_home(home)


def _end_daemons(home: Path) -> None:
    """End what a program has left running outside, as Codex, gh and Claude Code do, by its home."""
    mark = f"\0HOME={home}\0".encode()
    for name in filter(str.isdecimal, os.listdir("/proc")):  # many: pathlib would take twice as long
        with suppress(OSError), open(f"/proc/{name}/environ", "rb", buffering=0) as environ:
            if mark in b"\0" + environ.read():
                _kill(int(name))


def _kill(pid: int) -> None:
    """Kill a process, and wait until it is gone: until then it may write into its home."""
    pidfd = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        select.select([pidfd], [], [], KILLED_S)
    finally:
        os.close(pidfd)
