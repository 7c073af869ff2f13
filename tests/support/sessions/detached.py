"""Start detached sessions, and attach to them on terminals of a test."""

from __future__ import annotations

import os
import signal
import termios
import time
import tty
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from support.nono_run import NONO, NonoRun
from support.sessions.records import nono, record_of
from support.terminal import Terminal, terminal

OPEN: dict[str, Any] = {}
KEYS = b"\x1dd"
VARIABLES = {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "PS1": "$ "}
WAIT_S = 20.0


def wait_until(holds: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@contextmanager
def detached(
    sandbox: NonoRun,
    command: Sequence[str],
    name: str = "one",
    flags: Sequence[str] = (),
    *,
    profile: Mapping[str, object] = OPEN,
    environment: Mapping[str, str] | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield a detached session's record at its start; killed at the end of the block if it still runs."""
    argv = sandbox.argv(command, profile=profile, flags=["--detached", f"--name={name}", *flags])
    environment = sandbox.user.environment({**VARIABLES, **(environment or {})})
    with terminal(argv, environment, sandbox.project) as starter:
        assert starter.end() == 0, starter.shown
        assert b"Started detached session " in starter.shown
    record = record_of(sandbox.user, name)
    try:
        yield record
    finally:
        with suppress(ProcessLookupError):
            os.kill(record["supervisor_pid"], signal.SIGKILL)


@contextmanager
def attached(sandbox: NonoRun, name: str = "one", size: tuple[int, int] = (24, 80)) -> Iterator[Terminal]:
    """Yield a terminal that shows a session."""
    argv = sandbox.user.command([*NONO, "attach", name])
    with terminal(argv, sandbox.user.environment(VARIABLES), sandbox.project) as viewer:
        viewer.resize(*size)
        wait_until(lambda: record_of(sandbox.user, name)["attachment"] == "attached", "nobody is attached")
        wait_until(lambda: not viewer.modes()[tty.LFLAG] & termios.ICANON, "it is not raw")
        yield viewer


def wait_until_detached(sandbox: NonoRun) -> None:
    wait_until(lambda: record_of(sandbox.user, "one")["attachment"] == "detached", "somebody is attached")


def end(sandbox: NonoRun, name: str = "one") -> dict[str, Any]:
    """Return the record of a session once it has ended."""
    wait_until(lambda: nono(sandbox, "ps", "--json").stdout == "[]\n", "the session goes on")
    return record_of(sandbox.user, name)


def has_ended(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def openers(sandbox: NonoRun, terminal_path: str) -> list[str]:
    """Return the processes of this user that have a terminal open."""
    mark, found = f"HOME={sandbox.user.home}\0".encode(), []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes():
                links = [os.readlink(descriptor) for descriptor in (entry / "fd").iterdir()]
                found += [(entry / "cmdline").read_text()] if terminal_path in links else []
    return found
