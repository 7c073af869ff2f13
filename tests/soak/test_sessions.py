"""Whoever is killed, and however many sessions there are: nothing is left over, and each end has a reason.

Under NONO_TEST_LONG=1 the killing goes on for two minutes, and there are fifty sessions.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from support.nono_run import NO_NAMESPACES, NONO, TIMEOUT_S, NonoRun, nono_run
from support.sessions.detached import OPEN, VARIABLES, detached, wait_until
from support.sessions.own_terminal import is_lent
from support.sessions.records import directory, leftovers, nono, records
from support.terminal import terminal

IS_LONG = bool(os.environ.get("NONO_TEST_LONG"))
KILLING_S = 120.0 if IS_LONG else 4.0
ANSWERS = 20 if IS_LONG else 1
SESSIONS = 50 if IS_LONG else 6
SEED = 20261127
LATEST_S = 0.7  # a start takes about half of it
OF_STATE = (".nono-", ".new.nono-")  # swept by the next run, which finds them unlocked
# Of a supervisor killed before it could rename a record; `nono prune` removes it once it is old.
UNFINISHED = re.compile(r"\.[0-9a-f]{16}\.json\.[0-9a-f]{16}\.tmp")
MOST_KIB_OF_A_SESSION = 40 * 1024  # of its own: without what all of them share


@pytest.fixture
def sandbox() -> Iterator[NonoRun]:
    with nono_run() as runner:
        yield runner


def processes(sandbox: NonoRun) -> list[int]:
    """Return all processes with the home of this user: nono's own, and what the command has started."""
    mark, found = f"HOME={sandbox.user.home}\0".encode(), []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes():
                found.append(int(entry.name))
    return found


def beside_records(sandbox: NonoRun) -> list[str]:
    return leftovers(sandbox.user) if directory(sandbox.user).exists() else []


@pytest.mark.root
@pytest.mark.timeout(KILLING_S * 4 + 60)
def test_nothing_is_left_over_whoever_is_killed_and_when(sandbox: NonoRun) -> None:
    """The viewer, the supervisor, init, the command or a process of it, by the seed that is shown."""
    dice, deadline, rounds = random.Random(SEED), time.monotonic() + KILLING_S, 0
    while rounds < 2 or time.monotonic() < deadline:
        rounds += 1
        flags = dice.choice(([], ["--allow-domain=example.com"], [NO_NAMESPACES]))
        killed = one_killed(sandbox, dice, flags)
        told = f"seed {SEED}, round {rounds}, {flags}, killed {killed}"
        wait_until(lambda: not processes(sandbox), f"something goes on: {told}")
        assert nono(sandbox, "ps", "--json").stdout == "[]\n", told
        left = [name for name in beside_records(sandbox) if not name.startswith(OF_STATE)]
        assert [name for name in left if not UNFINISHED.fullmatch(name)] == [], told
        assert all(record["end"]["cause"] for record in records(sandbox.user)), told
    assert sandbox.run(["true"]).exit_code == 0
    assert beside_records(sandbox) == [], "the next run sweeps what is locked by nobody"


def one_killed(sandbox: NonoRun, dice: random.Random, flags: list[str]) -> str:
    """Start a run at a terminal, kill one of its processes at some moment, and end what goes on."""
    # Without namespaces a process that left the terminal outlives a supervisor that is killed: SECURITY.md.
    leaving = "" if flags == [NO_NAMESPACES] else "setsid "
    command = ["sh", "-c", f"sleep 987 & {leaving}sleep 987 & printf '\\033[?1049h'; read line"]
    argv = sandbox.argv(command, profile=OPEN, flags=flags)
    with terminal(argv, sandbox.user.environment(VARIABLES), sandbox.project) as person:
        moment = time.monotonic() + dice.uniform(0.05, LATEST_S)
        while time.monotonic() < moment:
            person.read(0.01)
        victim = dice.choice(sorted(processes(sandbox)) or [person.process.pid])
        name = f"pid {victim}"
        with suppress(OSError):
            name = Path(f"/proc/{victim}/cmdline").read_bytes().replace(b"\0", b" ").decode()[-60:]
            os.kill(victim, signal.SIGKILL)
        wait_until(lambda: ended(sandbox, person), f"it goes on without {name}")
        wait_until(lambda: not is_lent(person), f"the terminal stays raw after {name} was killed")
    return name


def ended(sandbox: NonoRun, person: Any) -> bool:
    """Return True once nono is gone.

    What was killed before it had a record is stopped as soon as it has one.
    """
    person.read(0)
    if person.process.poll() is not None and not processes(sandbox):
        return True
    for record in records(sandbox.user):
        if record["status"] == "running":
            nono(sandbox, "stop", "--force", record["session_id"])
    return False


@pytest.mark.timeout(SESSIONS * 20)
def test_many_sessions_stand_side_by_side(sandbox: NonoRun) -> None:
    with ExitStack() as stack:
        for number in range(SESSIONS):
            stack.enter_context(detached(sandbox, ["sleep", "987"], f"s{number}"))
        shown = json.loads(nono(sandbox, "ps", "--json").stdout)
        assert {record["name"] for record in shown} == {f"s{number}" for number in range(SESSIONS)}
        assert max(own_kib(record["supervisor_pid"]) for record in shown) < MOST_KIB_OF_A_SESSION
        for record in shown:
            assert nono(sandbox, "stop", "--force", record["name"]).returncode == 0
        assert nono(sandbox, "ps", "--json").stdout == "[]\n"
    assert [record["end"]["cause"] for record in records(sandbox.user)] == ["stop"] * SESSIONS
    assert leftovers(sandbox.user) == []


def own_kib(pid: int) -> int:
    """Return the memory, in KiB, that a process shares with no other."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Clean", "Private_Dirty")))


@pytest.mark.timeout(30 + ANSWERS * 20)
def test_of_two_terminals_that_answer_at_once_one_decides(sandbox: NonoRun) -> None:
    """One says yes and the other no, at the same question, and both hear of the one answer that counts."""
    asking = "import urllib.request as u\ntry: u.urlopen('http://new.test/')\nexcept OSError as e: print(e)"
    for number in range(ANSWERS):
        with (
            sandbox.started(
                [sys.executable, "-u", "-c", asking], flags=[f"--name=web{number}", "--ask"]
            ) as run,
            ExitStack() as stack,
        ):
            wait_until(lambda: nono(sandbox, "approvals", "--json").stdout != "[]\n", "nobody is asked")
            argv = sandbox.user.command([*NONO, "approvals", "answer"])
            people = [
                stack.enter_context(terminal(argv, sandbox.user.environment({}), sandbox.project))
                for _ in range(2)
            ]
            for person in people:
                person.wait_for(b"[Enter] later: ")
                person.wait_until_heeded()
            for person, key in zip(people, (b"y\r", b"n\r"), strict=True):
                person.type(key)
            ends = [person.end() for person in people]
            run.wait(TIMEOUT_S)
        assert ends == [0, 0]
        shown = b" ".join(person.shown for person in people)
        assert (shown.count(b"Allowed ") + shown.count(b"Denied "), shown.count(b"Too late for ")) == (1, 1)
        answers = [
            each["event"]["decision"] for each in logged(sandbox, f"web{number}") if each["type"] == "network"
        ]
        assert len({"approve_granted", "approve_denied"}.intersection(answers)) == 1


def logged(sandbox: NonoRun, name: str) -> Any:
    return json.loads(nono(sandbox, "logs", name, "--json").stdout)
