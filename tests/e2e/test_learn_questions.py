"""What `nono learn` asks a person at a terminal: before it watches, and before it writes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from support.learning import NAME, Learner
from support.nono_run import NONO, nono_run
from support.terminal import Terminal, terminal

WATCH, WRITE = b"Watch the command doing that? [y/N] ", b"learned.json? [y/N] "
SOON_ENOUGH = 5  # tries to type before a question takes an answer
# Leaves the terminal without echo, in its other screen, writing what cannot be seen.
DISTURB = r"stty raw -echo; printf '\033[?1049h\033[8m\033(0'; touch ran"


@pytest.fixture
def learner() -> Iterator[Learner]:
    with nono_run() as runner:
        yield Learner(runner)


@pytest.fixture
def person(learner: Learner, request: pytest.FixtureRequest) -> Iterator[Terminal]:
    with watched(learner, getattr(request, "param", "touch ran")) as person:
        yield person


@contextmanager
def watched(learner: Learner, command: str) -> Iterator[Terminal]:
    """Yield a person at the terminal of a command that is to be watched."""
    argv = [*NONO, "learn", f"--output={NAME}", "--", "sh", "-c", command]
    runner = learner.runner
    argv = [sys.executable, *argv[1:]] if os.geteuid() == runner.user.uid else runner.user.command(argv)
    with terminal(argv, runner.user.environment({"TERM": "xterm"}), runner.project) as person:
        yield person


def has_run(learner: Learner) -> bool:
    return (learner.runner.project / "ran").exists()


def test_a_yes_to_both_writes_the_diff_that_was_shown(learner: Learner, person: Terminal) -> None:
    person.wait_for(WATCH)
    assert not has_run(learner)
    assert b"every public host" in person.shown
    person.answer(WATCH, b"y\n")
    person.wait_for(WRITE)
    assert has_run(learner)
    assert not learner.file.exists()
    assert b'+    "access": "write"' in person.shown
    person.answer(WRITE, b"yes\n")
    assert person.end() == 0, person.shown
    assert learner.profile["workdir"] == {"access": "write"}


@pytest.mark.parametrize("answer", [b"\n", b"n\n", b"yep\n", b"\x03", b"\x04"])
def test_nothing_is_run_unless_the_answer_is_yes(learner: Learner, person: Terminal, answer: bytes) -> None:
    person.answer(WATCH, answer)
    assert person.end() == (130 if answer == b"\x03" else 1), person.shown
    assert not has_run(learner)
    assert not learner.file.exists()


@pytest.mark.parametrize("answer", [b"\n", b"n\n", b"\x03"])
def test_nothing_is_written_unless_the_answer_is_yes(
    learner: Learner, person: Terminal, answer: bytes
) -> None:
    person.answer(WATCH, b"y\n")
    person.answer(WRITE, answer)
    assert person.end() == 1, person.shown
    assert has_run(learner)
    assert not learner.file.exists()


@pytest.mark.parametrize("person", ["touch ran; echo typ''ing; sleep 1"], indirect=True)
def test_what_was_typed_before_the_question_is_no_answer(learner: Learner, person: Terminal) -> None:
    person.answer(WATCH, b"y\n")
    person.wait_for(b"typing")
    person.type(b"y\ny\n")
    person.answer(WRITE, b"n\n")
    assert person.end() == 1, person.shown
    assert not learner.file.exists()


def test_a_key_that_nobody_can_have_meant_for_the_question_is_no_answer(learner: Learner) -> None:
    """Nobody has read the question when it has only just been shown."""
    for _ in range(SOON_ENOUGH):
        with watched(learner, "touch ran") as person:
            person.wait_for(WATCH)
            while person.read(0):
                pass
            if is_soon := not person.drops:
                person.type(b"y\n")
            person.answer(WATCH, b"n\n")
            assert person.end() == 1, person.shown
            assert not has_run(learner)
        if is_soon:
            return
    pytest.fail("this test was always too late to type")


@pytest.mark.parametrize("person", [DISTURB], indirect=True)
def test_a_disordered_terminal_cannot_hide_the_diff(learner: Learner, person: Terminal) -> None:
    person.answer(WATCH, b"y\n")
    person.wait_for(WRITE)
    after = person.shown.rpartition(b"\x1b[8m")[2]
    assert after.index(b"\x1b[?1047l") < after.index(b'"access": "write"')
    assert after.index(b"\x1b[0;97;40m") < after.index(b'"access": "write"')
    person.answer(WRITE, b"n\n")
    assert person.end() == 1, person.shown
    assert b"n\r\n" in person.shown.rpartition(WRITE)[2]  # echoed, in lines
