"""A person at a terminal is shown what instructs an agent, before it starts."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from nono.trust.policy import FILE, PREDICATE
from support.elevation import UNREAD_S
from support.nono_run import NONO, NonoRun, nono_run
from support.terminal import Terminal, terminal

QUESTION = b"Approve it? [y/N] "


@pytest.fixture(scope="module")
def sandbox() -> Iterator[NonoRun]:
    with nono_run() as runner:
        policy = {"predicate": PREDICATE, "includes": ["CLAUDE.md"]}
        for name, text in (("CLAUDE.md", "be good\n"), (FILE, json.dumps(policy))):
            (runner.project / name).write_text(text)
            runner.give(runner.project / name)
        yield runner


@contextmanager
def typed(sandbox: NonoRun, command: Sequence[str]) -> Iterator[Terminal]:
    argv = [*NONO, "run", "--block-net", f"--allow={sandbox.project}", "--", *command]
    with terminal(sandbox.user.command(argv), sandbox.user.environment(), sandbox.project) as person:
        yield person


def answered(person: Terminal, keys: bytes) -> tuple[int, str]:
    person.wait_for(QUESTION)
    time.sleep(UNREAD_S)
    person.type(keys)
    return person.end(), person.shown.decode()


def test_a_yes_before_the_run_approves_what_was_shown(sandbox: NonoRun) -> None:
    with typed(sandbox, ["cat", "CLAUDE.md"]) as person:
        code, shown = answered(person, b"n\n")
    assert code == 1
    assert "instruction files failed trust verification: 1 of 1." in shown
    with typed(sandbox, ["cat", "CLAUDE.md"]) as person:
        code, shown = answered(person, b"y\n")
    assert (code, shown.count("be good")) == (0, 2)  # in the difference, and by the command
    with typed(sandbox, ["cat", "CLAUDE.md"]) as person:
        assert person.end() == 0
        assert QUESTION not in person.shown
