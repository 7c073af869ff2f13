"""nono.cli.text.session_text: what a person reads about sessions."""

from __future__ import annotations

import pytest

from nono.approval.listing import Listed
from nono.cli.commands.sessions.chosen import Seen
from nono.cli.text.session_text import (
    LINE_MAX,
    change_line,
    command_line,
    details,
    document,
    duration,
    reason,
    rule_line,
    status,
    table,
)
from nono.sessions.record import LOST, End, Record
from unit.sessions.test_record import RECORD


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (59, "59s"), (60, "1m"), (7199, "1h"), (200_000, "2d"), (-5, "0s")]
)
def test_a_time_is_told_in_its_largest_unit(seconds: int, text: str) -> None:
    assert duration(seconds) == text


def test_colours_do_not_move_the_columns() -> None:
    records = [Seen(RECORD, ()), Seen(RECORD._replace(status="exited", exit_code=-1), ())]
    plain = list(table(records, 5000, 120, is_coloured=False))
    coloured = list(table(records, 5000, 120, is_coloured=True))
    assert "\x1b[32mrunning" in coloured[1]
    for colour in ("\x1b[32m", "\x1b[31m", "\x1b[33m", "\x1b[0m"):
        coloured = [line.replace(colour, "") for line in coloured]
    assert [line.rstrip() for line in coloured] == plain


@pytest.mark.parametrize(("excess", "is_cut"), [(0, False), (1, True)])
def test_only_a_command_that_is_too_long_is_cut(excess: int, is_cut: bool) -> None:
    command = ("true", "x" * (LINE_MAX - len("true ") + excess))
    told = command_line(command)
    assert (told != " ".join(command)) is is_cut
    record = RECORD._replace(command=command)
    assert f"Command:   {told}" in details(record)
    assert change_line(record, ()).endswith(told)
    assert document(record, ())["command"] == [*command]


QUESTION = Listed("0" * 16, "host", "connect to a.test:443", (), "a.test:443", 60_000, 360_000)


@pytest.mark.parametrize(
    ("record", "shown", "state"),
    [
        (RECORD, "needs you (1, 5m)", "needs you"),
        (RECORD._replace(status="paused"), "paused", "paused"),
        (RECORD._replace(status="exited", exit_code=3), "exited(3)", "ended"),
    ],
    ids=["running", "paused", "ended"],
)
def test_a_session_that_runs_says_for_how_long_it_needs_somebody(
    record: Record, shown: str, state: str
) -> None:
    assert status(record, (QUESTION,), 360_000) == shown
    assert document(record, (QUESTION,))["state"] == state


@pytest.mark.parametrize(
    ("exit_code", "told", "in_full"),
    [
        (0, "exited(0)", "0"),
        (3, "exited(3)", "3"),
        (LOST, "crashed", "unknown"),
        (None, "crashed", "unknown"),
    ],
)
def test_an_exit_code_that_nobody_saw_is_unknown(exit_code: int | None, told: str, in_full: str) -> None:
    record = RECORD._replace(status="exited", exit_code=exit_code, end=End("exit"))
    assert status(record) == told
    assert f"Exit code: {in_full}" in details(record)


def test_the_time_of_a_session_stands_still_once_it_has_ended() -> None:
    ended = RECORD._replace(status="exited", exit_code=0, started_unix_ms=0, ended_unix_ms=5000)
    running = RECORD._replace(started_unix_ms=0)
    _, first, second = table([Seen(ended, ()), Seen(running, ())], 90_000, 200, is_coloured=False)
    assert "5s" in first.split()
    assert "1m" in second.split()


@pytest.mark.parametrize(
    ("kind", "access", "words"),
    [("path", "read", " (read)"), ("path", "readwrite", ""), ("host", "read", "")],
)
def test_a_rule_for_reading_alone_says_so(kind: str, access: str, words: str) -> None:
    rule = {"decision": "allow", "kind": kind, "target": "x", "access": access, "by": "ada"}
    assert rule_line(rule, 0) == f"allow x{words}, by ada"
    assert rule_line({**rule, "expires_unix_ms": 60_000}, 0) == f"allow x{words}, for 1m, by ada"


def test_no_line_is_wider_than_the_terminal() -> None:
    records = [Seen(RECORD._replace(command=("x" * 500,), name="n" * 64, profile="p" * 100), ())]
    assert max(map(len, table(records, 5000, 110, is_coloured=False))) == 110


def test_a_narrow_terminal_shows_commands_rather_than_what_inspect_tells() -> None:
    record = RECORD._replace(
        command=("make", "everything"), child_pid=2357690, name="deep-cove", profile="agent"
    )
    header, row = table([Seen(record, ())], 5000, 80, is_coloured=False)
    assert max(len(header), len(row)) <= 80
    assert header.split() == ["SESSION", "NAME", "STATUS", "ATTACH", "UPTIME", "PROFILE", "COMMAND"]
    assert row.endswith("make everything")
    shortest, _ = table([Seen(record._replace(name="n" * 24), ())], 5000, 80, is_coloured=False)
    assert shortest.split() == ["SESSION", "NAME", "STATUS", "UPTIME", "COMMAND"]
    needs = [Seen(record._replace(name="n" * 64), (QUESTION,))]
    assert max(map(len, table(needs, 500_000, 80, is_coloured=False))) <= 80
    assert "PID" in next(table([Seen(record, ())], 5000, 100, is_coloured=False))


@pytest.mark.parametrize(
    ("end", "text"),
    [
        (End("exit"), "the command exited"),
        (End("signal", "SIGTERM", "sh (pid 1, uid 0)"), "SIGTERM, sent by sh (pid 1, uid 0)"),
        (End("signal", "SIGKILL"), "SIGKILL, sent by somebody whom the kernel does not name"),
        (End("signal", "SIGINT"), "SIGINT, by Ctrl-C or somebody whom the kernel does not name"),
        (End("signal", "SIGINT", "sh (pid 1, uid 0)"), "SIGINT, sent by sh (pid 1, uid 0)"),
        (End("signal", "SIGSEGV", "the command itself"), "SIGSEGV, for what the command did"),
        (End("not_started", detail="no such file"), "the command was not started: no such file"),
        (
            End("limit", "SIGKILL", "the kernel", "memory"),
            "the command reached its memory limit, and the kernel killed it",
        ),
        (
            End("limit", "SIGXCPU", "the kernel", "CPU time"),
            "SIGXCPU: the command reached its limit of CPU time",
        ),
        (End("signal", "SIGPIPE", "the kernel", "nobody reads"), "SIGPIPE: nobody reads"),
        (
            End("exit", None, "the command itself", "processes"),
            "the command exited, at its limit of processes",
        ),
        (End("supervisor_killed", detail="its supervisor was killed"), "its supervisor was killed"),
        (End("supervisor_killed", detail="short of memory"), "its supervisor was killed: short of memory"),
        (End("signal", "SIGTERM", "\x1b[2Jsh"), "SIGTERM, sent by \\x1b[2Jsh"),
        (End("of a later version", detail="why"), "nono failed: why"),
    ],
)
def test_a_reason_is_a_sentence(end: End, text: str) -> None:
    assert reason(end) == text


@pytest.mark.parametrize(
    ("profile", "shown"),
    [
        ("claude-code", "claude-code"),
        ("claude-code,python-dev", "claude-code,p..."),
        ("/home/ada/agents/mine.json", "...nts/mine.json"),
    ],
)
def test_a_profile_that_is_cut_says_so(profile: str, shown: str) -> None:
    _, line = table([Seen(RECORD._replace(profile=profile), ())], 5000, 200, is_coloured=False)
    assert f"  {shown}  " in line
