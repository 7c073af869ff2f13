"""Run elevated commands with somebody who answers: a person at a terminal, or a backend a test plays."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from support.nono_run import NONO, PROGRAM_GRANTS, AuditEvent, NonoRun
from support.terminal import Terminal, terminal

QUESTION = b"Grant access? [y/N] "


def as_user[**P](test: Callable[P, None]) -> Callable[P, None]:
    """Try once, as an ordinary user, what does not depend on who runs it."""
    return pytest.mark.any_user(pytest.mark.parametrize("sandbox", ["user"], indirect=True)(test))


@dataclass
class Asked:
    """An elevated run on a terminal. events are those of its log, once it has ended."""

    person: Terminal
    run: NonoRun
    before: set[Path]
    asked: int = field(default=0)

    def answer(self, keys: bytes) -> None:
        """Wait until the next question takes an answer, and type."""
        self.wait_for_question()
        self.person.wait_until_heeded()
        self.person.type(keys)

    def wait_for_question(self) -> None:
        self.asked += 1
        while self.person.shown.count(QUESTION) < self.asked:
            self.person.wait_for_more()

    def end(self) -> int:
        return self.person.end()

    @property
    def events(self) -> tuple[AuditEvent, ...]:
        return self.run.events_since(self.before)

    @property
    def decisions(self) -> list[Any]:
        """Return the outcome, as logged, for each file that was asked for."""
        return [entry["decision"] for entry in self.entries]

    @property
    def entries(self) -> list[AuditEvent]:
        return [event["entry"] for event in self.events if event["type"] == "capability_decision"]


def elevated(
    run: NonoRun,
    command: Sequence[str],
    *,
    flags: Sequence[str] = (),
    profile: dict[str, Any] | None = None,
    elevates: bool = True,
) -> list[str]:
    """Return the argv of an elevated run with an unrestricted network, unless profile says otherwise."""
    file = run.user.home / "elevated.json"
    file.write_text(json.dumps(profile or {}))
    nono = [*NONO, "run", f"--profile={file}", f"--allow={run.project}", *flags, *PROGRAM_GRANTS]
    if elevates:
        nono.append("--capability-elevation")
    return run.user.command([*nono, "--", *command])


@contextmanager
def asked(
    run: NonoRun,
    command: Sequence[str],
    *,
    flags: Sequence[str] = (),
    profile: dict[str, Any] | None = None,
    elevates: bool = True,
    environment: dict[str, str] | None = None,
    stage: Sequence[str] = (),
) -> Iterator[Asked]:
    """Yield an elevated run on a terminal of its own; killed at the end of the block if it still runs.

    stage: An argv prefix that runs before the user is switched.
    """
    before = set(run.logs())
    # Other locales have files that would be asked about; questions after the run belong to other tests.
    variables = run.user.environment({"LC_ALL": "C", "NONO_NO_SAVE_PROMPT": "1", **(environment or {})})
    argv = elevated(run, command, flags=flags, profile=profile, elevates=elevates)
    with terminal([*stage, *argv], variables, run.project) as person:
        yield Asked(person, run, before)


def python(text: str, *arguments: str | Path) -> list[str]:
    """Return the argv of a small program."""
    return [sys.executable, "-I", "-S", "-B", "-c", text, *map(str, arguments)]
