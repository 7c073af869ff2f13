"""Start runs with a terminal of their own, from a terminal of a test or from a shell in one."""

from __future__ import annotations

import os
import shlex
import signal
import termios
import tty
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from support.nono_run import NonoRun
from support.sessions.detached import OPEN, VARIABLES, wait_until
from support.sessions.records import record_of
from support.terminal import Terminal, terminal

PROMPT = b"person> "


def is_lent(person: Terminal) -> bool:
    """Return True if the person's terminal is in the raw mode of a viewer; a line editor keeps OPOST."""
    return not person.modes()[tty.OFLAG] & termios.OPOST


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextmanager
def at_terminal(sandbox: NonoRun, command: Sequence[str], flags: Sequence[str] = ()) -> Iterator[Terminal]:
    """Yield a run that shows its terminal; killed at the end of the block if it still runs."""
    argv = sandbox.argv(command, profile=OPEN, flags=["--name=one", *flags])
    with terminal(argv, sandbox.user.environment(VARIABLES), sandbox.project) as person:
        try:
            wait_until(lambda: is_lent(person), "it shows nothing")
            yield person
        finally:
            kill_session(sandbox)


@contextmanager
def in_shell(
    sandbox: NonoRun, command: Sequence[str], flags: Sequence[str] = (), after: str = ""
) -> Iterator[Terminal]:
    """Yield a shell with job control that runs something and shows its terminal. after: rest of that line."""
    variables = sandbox.user.environment({**VARIABLES, "PS1": PROMPT.decode()})
    shell = sandbox.user.command(["bash", "--norc", "--noprofile", "-i"])
    argv = sandbox.argv(command, profile=OPEN, flags=["--name=one", *flags])
    line = shlex.join(argv[len(sandbox.user.command([])) :])
    with terminal(shell, variables, sandbox.project) as person:
        try:
            person.wait_for(PROMPT)
            person.type(f"{line}{after}\r".encode())
            wait_until(lambda: is_lent(person), "it shows nothing")
            person.shown = b""
            yield person
        finally:
            kill_session(sandbox)


def kill_session(sandbox: NonoRun) -> None:
    with suppress(ProcessLookupError, AssertionError):
        os.kill(record_of(sandbox.user, "one")["supervisor_pid"], signal.SIGKILL)
