"""A missing key is asked for at a terminal, and ends the start where nobody can be asked."""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from support.nono_run import NONO, NonoRun
from support.terminal import Terminal, session_leaders, terminal

KEY = b"sk-canary-0123456789abcdefghij"
COMMAND = ("sh", "-c", "echo value=$OPENAI_API_KEY. url=$OPENAI_BASE_URL.")
NOBODY = {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}
PASSPHRASE = b"(not shown; Enter: plain text): "
FOR_KEY, YES_OR_NO = b"Key for openai (not shown; Enter: none): ", b"[y/N] "


@contextmanager
def run(sandbox: NonoRun, command: Sequence[str] = COMMAND, **environment: str) -> Iterator[Terminal]:
    argv = sandbox.user.command([*NONO, "run", "--allow-cwd", "--credential", "openai", "--", *command])
    with terminal(argv, sandbox.user.environment(NOBODY | environment), sandbox.project) as person:
        yield person


def type_unseen(person: Terminal, question: bytes, keys: bytes) -> None:
    """Answer a question that drops what was typed before it is shown."""
    person.wait_for(question)
    person.type(keys)


@pytest.mark.parametrize(("keys", "is_stored"), [(b"y\n", True), (b"n\n", False)])
def test_a_key_that_is_typed_is_used_unseen(sandbox: NonoRun, keys: bytes, is_stored: bool) -> None:
    with run(sandbox) as person:
        type_unseen(person, FOR_KEY, KEY + b"\n")
        person.answer(YES_OR_NO, keys)
        if is_stored:
            type_unseen(person, PASSPHRASE, b"\n")
        assert person.end() == 0
    assert b"value=sk-proj-" in person.shown
    assert KEY not in person.shown
    with run(sandbox) as person:
        if not is_stored:
            type_unseen(person, FOR_KEY, b"\n")
        code = person.end()
    assert (code == 0) == is_stored


def test_no_key_ends_the_start(sandbox: NonoRun) -> None:
    with run(sandbox) as person:
        type_unseen(person, FOR_KEY, b"\n")
        assert person.end() == 1
    assert b"there is no key for 'openai'" in person.shown
    assert b"value=" not in person.shown


@pytest.mark.parametrize(("keys", "is_used"), [(b"y\n", True), (b"n\n", False)])
def test_a_key_of_the_environment_is_offered(sandbox: NonoRun, keys: bytes, is_used: bool) -> None:
    with run(sandbox, OPENAI_API_KEY=KEY.decode()) as person:
        person.wait_for(b"Use the key in OPENAI_API_KEY for openai?")
        person.answer(YES_OR_NO, keys)
        if not is_used:
            type_unseen(person, FOR_KEY, b"\n")
        assert (person.end() == 0) == is_used
    assert (b"value=sk-proj-" in person.shown) == is_used
    assert KEY not in person.shown


@pytest.mark.parametrize("keys", [b"\x03", b"\x1c"], ids=["interrupt", "quit"])
@pytest.mark.parametrize("question", [FOR_KEY, YES_OR_NO], ids=["key", "offer"])
def test_a_key_that_ends_a_program_ends_a_run_that_asks(
    sandbox: NonoRun, question: bytes, keys: bytes
) -> None:
    offer = {"OPENAI_API_KEY": KEY.decode()} if question == YES_OR_NO else {}
    with run(sandbox, **offer) as person:
        person.answer(question, keys)
        assert person.end() == (130 if keys == b"\x03" else 131)
    assert b"value=" not in person.shown
    assert b"Traceback" not in person.shown


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT], ids=lambda each: each.name
)
def test_a_run_that_has_asked_still_forwards_signals(sandbox: NonoRun, number: signal.Signals) -> None:
    script = (
        f"trap 'echo heard; exit 7' {number.name.removeprefix('SIG')}; echo up; while :; do sleep 0.1; done"
    )
    with run(sandbox, ("sh", "-c", script), OPENAI_API_KEY=KEY.decode()) as person:
        person.answer(YES_OR_NO, b"y\n")
        person.wait_for(b"up\r\n")
        os.kill(session_leaders(person.process.pid)[-1], number)
        assert person.end() == 7
    assert b"heard" in person.shown


def test_a_key_stays_unseen_after_its_question_was_stopped(sandbox: NonoRun) -> None:
    """By Ctrl-Z, with the modes of a shell until `fg`."""
    nono = shlex.join([*NONO, "run", "--allow-cwd", "--credential", "openai", "--", *COMMAND])
    argv = ["/bin/sh", "-c", f"set -m; {nono}; stty -a; echo stopped; stty echo; read _; fg"]
    environment = sandbox.user.environment(NOBODY)
    with terminal(sandbox.user.command(argv), environment, sandbox.project) as person:
        person.wait_for(FOR_KEY)
        person.type(b"\x1a")
        person.wait_for(b"stopped\r\n")
        assert b" echo " in person.shown
        person.type(b"\n")
        while person.shown.count(FOR_KEY) < 2:
            person.wait_for_more()
        person.type(KEY + b"\n")
        person.answer(YES_OR_NO, b"n\n")
        assert person.end() == 0
    assert b"value=sk-proj-" in person.shown
    assert KEY not in person.shown


@pytest.mark.parametrize(("field", "starts"), [("credentials", False), ("optional_credentials", True)])
def test_a_run_starts_without_a_key_that_is_optional(sandbox: NonoRun, field: str, starts: bool) -> None:
    ended = sandbox.run(COMMAND, profile={"network": {field: ["openai"]}}, environment=NOBODY)
    assert (ended.exit_code == 0) == starts
    assert ("there is no key for 'openai'" in ended.stderr) != starts
    assert ("value=. url=." in ended.stdout) == starts  # a client may have a login of its own


def test_a_run_without_an_optional_key_says_that_the_one_outside_is_not_used(sandbox: NonoRun) -> None:
    profile = {"network": {"optional_credentials": ["openai"]}}
    for set_outside in ({}, {"OPENAI_API_KEY": KEY.decode()}):
        ended = sandbox.run(COMMAND, profile=profile, environment={**NOBODY, **set_outside})
        assert (ended.exit_code, "value=. " in ended.stdout) == (0, True)
        assert ("the command has no key for 'openai'" in ended.stderr) == bool(set_outside)
        assert ("printenv OPENAI_API_KEY | nono credential set openai" in ended.stderr) == bool(set_outside)
