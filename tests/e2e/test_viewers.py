"""Several terminals show one session: one of them writes, and all of them see."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from nono.sessions import wire
from support.elevation import QUESTION
from support.nono_run import NONO, NonoRun
from support.sessions.detached import (
    KEYS,
    VARIABLES,
    attached,
    detached,
    wait_until,
    wait_until_detached,
)
from support.sessions.own_terminal import at_terminal, is_lent
from support.sessions.records import nono, record_of
from support.terminal import Terminal, terminal

SHELL = ["bash", "--norc", "--noprofile"]


@contextmanager
def looking_on(sandbox: NonoRun, *flags: str) -> Iterator[Terminal]:
    """Yield a further terminal that shows the session."""
    argv = sandbox.user.command([*NONO, "attach", *flags, "one"])
    with terminal(argv, sandbox.user.environment(VARIABLES), sandbox.project, (40, 120)) as person:
        wait_until(lambda: is_lent(person), "it is not shown")
        yield person


@contextmanager
def asked(sandbox: NonoRun) -> Iterator[Terminal]:
    """Yield a terminal that attaches while a question waits, for which it leaves its raw mode at once."""
    argv = sandbox.user.command([*NONO, "attach", "one"])
    with terminal(argv, sandbox.user.environment(VARIABLES), sandbox.project) as person:
        yield person


def size_asked_by(person: Terminal, sandbox: NonoRun) -> str:
    """Return what stty prints twice in a row: when a viewer comes, the size changes for a moment."""
    script = (
        'until a=$(stty size); sleep 0.1; [ "$a" = "$(stty size)" ]; do :; done; echo "$a" > new; mv new size'
    )
    (sandbox.project / "ask").write_text(script)
    size = sandbox.project / "size"
    size.unlink(missing_ok=True)
    person.type(b". ./ask\r")

    def is_there() -> bool:
        person.read(0)
        return size.exists()

    wait_until(is_there, "no size is said")
    return size.read_text().strip()


def test_others_see_the_same(sandbox: NonoRun) -> None:
    with at_terminal(sandbox, SHELL) as first, looking_on(sandbox) as second:
        first.type(b"echo seen=$((1+1))\r")
        first.wait_for(b"seen=2")
        second.wait_for(b"seen=2")


def test_who_types_last_decides_the_size(sandbox: NonoRun) -> None:
    with detached(sandbox, SHELL), attached(sandbox, size=(30, 90)) as first:
        assert size_asked_by(first, sandbox) == "30 90"
        with looking_on(sandbox) as second:
            second.resize(41, 121)
            assert size_asked_by(first, sandbox) == "30 90"
            assert size_asked_by(second, sandbox) == "41 121"
            assert size_asked_by(first, sandbox) == "30 90"
            second.type(b"\r")
            first.type(KEYS)
            assert first.end() == 0
            assert size_asked_by(second, sandbox) == "41 121"


def test_a_viewer_that_may_only_read_types_nothing(sandbox: NonoRun) -> None:
    with at_terminal(sandbox, SHELL) as first, looking_on(sandbox, "--read-only") as reader:
        reader.type(b"echo typed=$((1+1))\r")
        first.type(b"echo mine=$((1+1))\r")
        reader.wait_for(b"mine=2")
        assert b"typed" not in reader.shown
        reader.type(KEYS)
        assert reader.end() == 0
        first.type(b"echo still=$((1+1))\r")
        first.wait_for(b"still=2")


def test_frames_of_a_reader_are_passed_over(sandbox: NonoRun) -> None:
    """Also where another program than nono attach sends them."""
    with at_terminal(sandbox, SHELL) as first:
        record = record_of(sandbox.user, "one")
        base = sandbox.user.home / ".local/state/nono/sessions" / record["session_id"]
        head = wire.request(
            wire.ATTACH, base.with_suffix(".key").read_text(), wire.Size(9, 9), ("read-only",)
        )
        sent = head + wire.frame(wire.DATA, b"echo typed=$((1+1))\n") + wire.frame(wire.SIZE, b"\0\5\0\5")
        script = (
            "import socket, sys; s = socket.socket(socket.AF_UNIX); s.settimeout(10); s.connect(sys.argv[1]);"
            "s.sendall(sys.stdin.buffer.read()); print(s.recv(12)); s.recv(1)"
        )
        argv = sandbox.user.command([sys.executable, "-c", script, str(base.with_suffix(".sock"))])
        done = subprocess.run(argv, input=sent, capture_output=True, timeout=30, check=True)
        assert b"HTTP/1.1 101" in done.stdout
        assert size_asked_by(first, sandbox) == "24 80"
        assert b"typed" not in first.shown


def test_all_viewers_hear_of_the_end(sandbox: NonoRun) -> None:
    with at_terminal(sandbox, SHELL) as first, looking_on(sandbox) as second:
        first.type(b"exit 7\r")
        assert first.end() == 7
        assert second.end() == 0
        assert b"has exited (exit code 7)." in second.shown


def test_detaching_from_elsewhere_takes_it_off_all_terminals(sandbox: NonoRun) -> None:
    with at_terminal(sandbox, SHELL) as first, looking_on(sandbox) as second:
        assert nono(sandbox, "detach", "one").returncode == 0
        assert first.end() == 148
        assert second.end() == 0
        assert b"Session detached." in second.shown


def test_a_viewer_that_takes_nothing_holds_nothing_up_for_others(sandbox: NonoRun) -> None:
    command = ["sh", "-c", "read line; head -c 8M /dev/zero; echo; echo last; read line"]  # 4 MiB is too far
    with at_terminal(sandbox, command) as first, looking_on(sandbox, "--read-only"):
        began = time.monotonic()
        first.type(b"go\r")
        while b"last" not in first.shown:
            first.shown = first.shown[-20:]
            assert first.read(20)
        assert time.monotonic() - began < 9  # a writer's patience is 10 s


# Questions


@contextmanager
def elevated(sandbox: NonoRun) -> Iterator[tuple[Terminal, bytes]]:
    """Yield a run that asks about a file outside the grants, and the path of that file."""
    outside = sandbox.user.home / "outside"
    outside.write_text("canary\n")
    sandbox.give(outside)
    with at_terminal(sandbox, SHELL, flags=["--capability-elevation"]) as person:
        yield person, str(outside).encode()


def test_the_one_who_types_is_asked(sandbox: NonoRun) -> None:
    with elevated(sandbox) as (first, outside), looking_on(sandbox) as second:
        second.type(b"cat " + outside + b"; echo code=$?\r")
        second.wait_for(QUESTION)
        second.wait_until_heeded()
        first.type(b"y\r")  # types, and is not asked
        time.sleep(0.6)  # in which it would be asked
        assert QUESTION not in first.shown
        assert b"canary" not in first.shown
        second.type(b"n\r")
        second.wait_for(b"Access denied.")
        second.wait_for(b"code=1")


def test_a_question_whose_viewer_goes_is_a_no(sandbox: NonoRun) -> None:
    with elevated(sandbox) as (first, outside):
        first.type(b"cat " + outside + b"; echo code=$?\r")
        first.wait_for(QUESTION)
        os.kill(first.process.pid, signal.SIGKILL)
        first.process.wait(10)
        wait_until_detached(sandbox)  # or the question would be left to who comes
        with attached(sandbox) as again:
            again.type(b"echo code=$?.\r")
            again.wait_for(b"code=")
            again.type(b"cat " + outside + b"; echo then=$?\r")
            again.answer(QUESTION, b"y\r")
            again.wait_for(b"canary")
            again.wait_for(b"then=0")


def test_the_keys_that_detach_leave_a_question_open(sandbox: NonoRun) -> None:
    with elevated(sandbox) as (first, outside):
        first.type(b"cat " + outside + b"; echo code=$?\r")
        first.wait_for(QUESTION)
        first.wait_until_heeded()
        first.type(KEYS)
        assert first.end() == 148
        assert b"Session detached." in first.shown
        with asked(sandbox) as again:
            again.answer(QUESTION, b"y\r")
            again.wait_for(b"code=0")
            assert b"canary" in again.shown


def test_a_question_that_is_left_is_asked_at_another_terminal(sandbox: NonoRun) -> None:
    with elevated(sandbox) as (first, outside), looking_on(sandbox) as second:
        first.type(b"cat " + outside + b"; echo code=$?\r")
        first.wait_for(QUESTION)
        first.wait_until_heeded()
        assert QUESTION not in second.shown
        first.type(KEYS)
        first.end()
        second.answer(QUESTION, b"n\r")
        second.wait_for(b"code=1")


@pytest.mark.parametrize(
    ("typed", "code"),
    [(KEYS[:1] + b"xy\r", b"code=1"), (b"n" + KEYS[:1] + b"\r", b"code=1"), (b"y\r", b"code=0")],
)
def test_a_question_is_answered_by_a_line_that_begins_like_the_keys(
    sandbox: NonoRun, typed: bytes, code: bytes
) -> None:
    with elevated(sandbox) as (first, outside):
        first.type(b"cat " + outside + b"; echo code=$?\r")
        first.answer(QUESTION, typed)
        first.wait_for(code)


def test_who_comes_while_a_question_waits_is_asked(sandbox: NonoRun) -> None:
    with elevated(sandbox) as (first, outside):
        first.type(b"sleep 1; cat " + outside + b"; echo code=$?\r" + KEYS)
        first.end()
        wait_until(lambda: json.loads(nono(sandbox, "approvals", "--json").stdout), "nobody is asked")
        with looking_on(sandbox, "--read-only") as reader, asked(sandbox) as again:
            again.answer(QUESTION, b"y\r")
            again.wait_for(b"code=0")
            assert b"canary" in again.shown
            assert QUESTION not in reader.shown


def test_a_session_that_nobody_shows_waits_for_an_answer_from_elsewhere(sandbox: NonoRun) -> None:
    def open_questions() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(nono(sandbox, "approvals", "--json").stdout)
        return found

    with elevated(sandbox) as (first, outside):
        first.type(b"sleep 1; cat " + outside + b"; echo code=$?\r" + KEYS)
        first.end()
        wait_until(open_questions, "nobody is asked")
        assert nono(sandbox, "approvals", "deny", open_questions()[0]["id"]).returncode == 0
        with attached(sandbox) as again:
            again.type(b"echo now=$((1+1))\r")
            again.wait_for(b"now=2")
            assert QUESTION not in again.shown
    log = [event["entry"]["decision"] for event in sandbox.events_since(set()) if "entry" in event]
    assert {"Denied": {"reason": "a person said no"}} in log
