"""nono.approval.ask on a real terminal, by way of each of its callers: only a whole yes is one."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nono.approval.ask import LINE_BYTES_MAX, answer_of, is_yes
from support.terminal import Terminal, terminal

# Asks again and again, and says when it begins to listen and what came of it. What is typed and not read
# would be the next program's.
PROGRAM = """
import fcntl, os, struct, sys, termios, types
import anyio
from nono.approval import ask, request, terminal, tty, viewer_terminal
from nono.cli import resolution
from nono.cli.commands.terminal import questions
from nono.policy.capability import Access

CALLER, SHOWN_S = sys.argv[1], float(sys.argv[2])
ask.SHOWN_S = terminal.SHOWN_S = questions.SHOWN_S = SHOWN_S

def tcflush(descriptor, queue):
    termios.tcflush(descriptor, queue)
    os.write(descriptor, b"<listening>")

take, others = tty.Turn.take, [False]

def take_later(turn):
    others[0] = not others[0]  # another run asks first
    if others[0]:
        os.write(0, b"<waiting>")
    return not others[0] and take(turn)

tty.Turn.take = take_later
ask.termios = types.SimpleNamespace(tcflush=tcflush, TCIFLUSH=termios.TCIFLUSH, error=termios.error)

def save_prompt():
    with ask.open_terminal() as prompt:
        return ask.is_yes(prompt.ask("Save? "))

def approval():
    opened = request.FileOpen("/file", Access.READ, "file", False, 1)
    question = request.Question("id", opened, "", "terminal")
    answer = anyio.run(terminal.Terminal(terminal.nothing_to_hold).ask, question, 60.0)
    print(answer.reason)
    return answer.is_granted

def viewer():
    document = {"kind": "approve", "lines": ["a line"], "short": "it"}
    word = questions.Questions((), lambda: None, lambda: None).answer(document, None)
    print(viewer_terminal.ANSWERS[word].reason)
    return word == "yes"

ways = {
    "viewer": viewer,
    "workdir": lambda: resolution.share_workdir("/work", Access.READ),
    "learn": lambda: ask.confirm(["a line"], "Write? [y/N] "),
    "save": save_prompt,
    "approval": approval,
}
while True:
    print("<ready>", flush=True)
    if SHOWN_S > 1:
        os.read(0, 1024)  # a line
    before = termios.tcgetattr(0)
    try:
        outcome = "granted" if ways[CALLER]() else "refused"
    except KeyboardInterrupt:
        outcome = "interrupted"
    assert termios.tcgetattr(0) == before
    left = struct.unpack("i", fcntl.ioctl(0, termios.FIONREAD, b"0000"))[0]
    print(f"<{outcome}, {left} bytes left>", flush=True)
"""
CALLERS = ("workdir", "learn", "save", "approval", "viewer")
QUICK_S, SLOW_S = 0.02, 1.5  # until a key counts


def asked(caller: str, shown_s: float, directory: Path, **more: str) -> Iterator[Terminal]:
    argv = [sys.executable, "-c", PROGRAM, caller, str(shown_s)]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **more}
    with terminal(argv, environment, directory) as person:
        yield person


@pytest.fixture(scope="module", params=CALLERS)
def person(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """Yield the person in front of one caller, which asks all the questions of this module."""
    yield from asked(request.param, QUICK_S, tmp_path_factory.mktemp("ask"))


@pytest.fixture(params=CALLERS)
def hasty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Terminal]:
    """Yield a person before a caller that reads a line before it asks, and waits until that can be read."""
    yield from asked(request.param, SLOW_S, tmp_path)


def answered(person: Terminal, keys: bytes) -> bytes:
    """Type keys as the answer to the next question, and return what comes of it."""
    person.wait_for(b"<listening>")
    person.shown = b""
    person.type(keys)
    person.wait_for(b" bytes left>")
    outcome, _, person.shown = person.shown.partition(b" bytes left>")
    return outcome.rpartition(b"<")[2]


@pytest.mark.parametrize("keys", [b"y\n", b"Y\n", b"yes\n", b" YES \n", b"n\x7fy\n", b"y\r"], ids=repr)
def test_a_whole_line_that_says_yes_is_a_yes(person: Terminal, keys: bytes) -> None:
    assert answered(person, keys) == b"granted, 0"


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param(b"\n", id="nothing"),
        pytest.param(b"n\n", id="no"),
        pytest.param(b"yy\n", id="a word that begins like it"),
        pytest.param(b"yes please\n", id="more than a word"),
        pytest.param(b"\x04", id="the end of input"),
        pytest.param(b"y\x04\x04", id="a yes that the end of input ends"),
        pytest.param(b"y" + b" " * LINE_BYTES_MAX + b"\n", id="a line too long"),
        pytest.param(b"n\ny\n", id="a second line"),
        pytest.param(b"\ny\ny\ny\n", id="several lines"),
    ],
)
def test_anything_else_is_a_no_that_leaves_nothing_unread(person: Terminal, keys: bytes) -> None:
    assert answered(person, keys) == b"refused, 0"


def test_a_question_is_shown_after_those_of_other_runs_at_the_terminal(person: Terminal) -> None:
    person.wait_for(b"<listening>")
    before = person.shown.rpartition(b"<ready>")[2].partition(b"<waiting>")
    assert b"?" not in before[0]
    assert b"?" in before[2]
    assert answered(person, b"y\n") == b"granted, 0"


@pytest.mark.parametrize("caller", ["learn", "approval", "viewer"])
def test_a_mode_that_keeps_nono_from_asking_is_told(caller: str, tmp_path: Path) -> None:
    """Nothing was said, or that the terminal is gone."""
    asking = tmp_path / "nono/asking"
    asking.mkdir(parents=True)
    asking.chmod(0o777)
    for person in asked(caller, QUICK_S, tmp_path, XDG_STATE_HOME=str(tmp_path)):
        person.wait_for(b"<refused, 0 bytes left>")
        assert b"nothing is asked at terminals while " in person.shown
        assert b"? [y/N]" not in person.shown


def test_an_interrupted_yes_is_none(person: Terminal) -> None:
    assert answered(person, b"y\x03") in (b"refused, 0", b"interrupted, 0")


def test_what_was_typed_before_the_question_is_no_answer(hasty: Terminal) -> None:
    hasty.wait_for(b"<ready>")
    hasty.type(b"go\ny\nyes\n")
    assert answered(hasty, b"n\n") == b"refused, 0"


def test_a_key_that_nobody_can_have_meant_for_the_question_is_no_answer(hasty: Terminal) -> None:
    hasty.wait_for(b"<ready>")
    hasty.type(b"go\n")
    hasty.wait_for(b"?")
    hasty.type(b"y\n")
    assert answered(hasty, b"n\n") == b"refused, 0"


@pytest.mark.parametrize("typed", [b"y\n", b"YES\n", b" yes\t\r\n"], ids=repr)
def test_a_yes_in_bytes(typed: bytes) -> None:
    assert is_yes(answer_of(typed))


@pytest.mark.parametrize(
    "typed",
    [
        *(b"", b"y", b"\n", b"n\n", b"no\n", b"yy\n", b"ye\n", b"y\x03", b"y\x03\n", b"yes please\n"),
        *(b"j\n", b"1\n", b"true\n", b"\x1b[y\n", b"\xffy\n"),
    ],
    ids=repr,
)
def test_no_yes_in_bytes(typed: bytes) -> None:
    assert not is_yes(answer_of(typed))
