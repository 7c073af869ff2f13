"""`nono top` shows real sessions, answers and stops them, and lends the terminal to one."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from e2e.test_approvals import decisions, questions, waiting
from support.nono_run import NONO, TIMEOUT_S, NonoRun
from support.sessions.detached import KEYS, VARIABLES, detached, end, wait_until
from support.sessions.own_terminal import is_lent
from support.sessions.records import nono, record_of
from support.terminal import Terminal, terminal

# Presses keys once a session is shown, and prints what the screen said.
PILOT = """
import asyncio, os, sys
from nono.cli.commands.top import questions
from nono.cli.commands.top.look import Look
from nono.cli.commands.top.screen import Top

questions.SHOWN_S = 0

async def main():
    top = Top(Look(os.environ), os.environ, has_all=False)
    async with top.run_test(size=(80, 24)) as pilot:
        while not (top.selected and top.selected.questions and top.selected.live):
            await pilot.pause(0.01)
        print([cell.plain for cell in top._table.get_row_at(0)])
        for key in sys.argv[1]:
            await pilot.press(key)
        while not top._notifications and sys.argv[2] == 'told':
            await pilot.pause(0.01)
        print([each.message for each in top._notifications])

asyncio.run(main())
"""


def pressed(sandbox: NonoRun, keys: str, until: str) -> str:
    """Return what `nono top` shows of the first session, and says after these keys."""
    done = subprocess.run(
        sandbox.user.command([sys.executable, "-I", "-c", PILOT, keys, until]),
        env=sandbox.user.environment(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("key", "decision", "said"), [("y", "approve_granted", "Allowed"), ("n", "approve_denied", "Denied")]
)
def test_the_oldest_question_is_answered(key: str, decision: str, said: str, sandbox: NonoRun) -> None:
    with waiting(sandbox, "http://198.51.100.1:9/"):
        shown = pressed(sandbox, "a" + key, "told")
        assert f"{said} " in shown
        assert "connect to 198.51.100.1:9." in shown
        assert "needs you (1)" in shown
        assert questions(sandbox) == []
        assert [each["decision"] for each in decisions(sandbox)][:2] == ["approve_requested", decision]


def test_a_yes_before_the_question_is_shown_answers_nothing(sandbox: NonoRun) -> None:
    with waiting(sandbox):
        assert pressed(sandbox, "ya", "asked").endswith("[]\n")
        assert len(questions(sandbox)) == 1


@contextmanager
def top(sandbox: NonoRun) -> Iterator[Terminal]:
    """Yield `nono top` on a terminal, once it shows the session `one`."""
    argv = sandbox.user.command([*NONO, "top"])
    variables = sandbox.user.environment({**VARIABLES, "NO_COLOR": "1"})
    with terminal(argv, variables, sandbox.project, (24, 80)) as person:
        person.wait_for(b"running")
        yield person


def test_enter_lends_the_terminal_to_attach(sandbox: NonoRun) -> None:
    script = "while read line; do echo got $line; done"
    with detached(sandbox, ["sh", "-c", script]), top(sandbox) as person:
        person.type(b"\r")
        wait_until(lambda: record_of(sandbox.user, "one")["attachment"] == "attached", "nobody is attached")
        wait_until(lambda: is_lent(person), "it is not raw")
        person.type(b"it\r")
        person.wait_for(b"got it")
        person.shown = b""
        person.type(KEYS)
        person.wait_for(b"STATE")
        person.type(b"q")
        assert person.end() == 0
        assert record_of(sandbox.user, "one")["status"] == "running"


def test_a_session_is_stopped_after_a_yes(sandbox: NonoRun) -> None:
    with detached(sandbox, ["sleep", "900"]), top(sandbox) as person:
        person.type(b"s")
        person.wait_for(b"Stop one")
        person.type(b"y")
        person.wait_for(b"Stopped session")
        ended = end(sandbox)
        assert ended["end"]["cause"] == "stop"
        assert ended["end"]["by"].startswith("nono stop (pid ")


def test_a_session_goes_on_after_a_no(sandbox: NonoRun) -> None:
    with detached(sandbox, ["sleep", "900"]), top(sandbox) as person:
        person.type(b"s")
        person.wait_for(b"Stop one")
        person.type(b"n")
        person.type(b"q")
        assert person.end() == 0
        assert record_of(sandbox.user, "one")["status"] == "running"


def test_no_colour_is_shown_where_none_is_wanted(sandbox: NonoRun) -> None:
    with detached(sandbox, ["sleep", "900"]), top(sandbox) as person:
        person.type(b"q")
        assert person.end() == 0
        assert re.findall(rb"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])[;m]", person.shown) == []
        assert re.findall(rb"\x1b\[[0-9;]*\b7[;m][^\x1b]*one", person.shown) != []  # the cursor


def test_without_a_terminal_it_names_what_works_there(sandbox: NonoRun) -> None:
    refused = nono(sandbox, "top")
    assert refused.returncode == 1
    assert "nono ps --watch" in refused.stderr
