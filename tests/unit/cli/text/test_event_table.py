"""nono.cli.text.event_table: what a person reads of an audit log."""

from __future__ import annotations

import time
from typing import Any

import pytest

from nono.audit import event, model_events, outcomes
from nono.cli.text.event_table import WAITING_MAX, Table
from nono.cli.text.session_text import LINE_MAX
from nono.clock import local_time


def rows(*events: dict[str, Any], table: Table | None = None) -> list[list[str]]:
    """Return the rows of events numbered in order, each without its time and split at blanks."""
    table = table or Table()
    made = [row for number, each in enumerate(events) for row in table.feed(number, each)]
    return [str(row._replace(time="")).split() for row in (*made, *table.rest())]


def began(path: str = "/x", decision: event.NetworkDecision = "allow", **fields: Any) -> dict[str, Any]:
    return event.network(
        mode="reverse", decision=decision, target="openai", port=443, method="GET", path=f"/openai{path}",
        upstream="api.openai.com:443", **fields,
    )  # fmt: skip


def ended(*found: list[object]) -> dict[str, Any]:
    columns = outcomes.OUTCOME_COLUMNS
    return {"type": "requests_ended", "timestamp_unix_ms": 0, "columns": columns, "requests": [*found]}


BEGINS = ["request", "allow"]
WHERE = ["GET", "openai:443/x", "at", "api.openai.com:443"]


def test_no_event_of_any_length_fills_the_terminal() -> None:
    started = {"type": "session_started", "command": ["true", "x" * 60_000]}
    ((*_, where),) = rows(started)
    assert len(where) < 2 * LINE_MAX


def test_a_request_is_one_row_with_its_end() -> None:
    other = event.not_enforced("nothing")
    assert rows(began(), other, ended([0, 200, 0, 2048, 31]))[0] == [
        *BEGINS, "200", "31", *WHERE[:3], "api.openai.com:443,", "0", "B", "out,", "2.0", "KiB", "in",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [("CONNECT", "x", "tunnel deny CONNECT x"), (None, None, "connection deny a malformed request")],
)
def test_a_malformed_request_has_no_target(method: str | None, path: str | None, expected: str) -> None:
    refused = event.network(
        mode="connect", decision="deny", target="", port=0, method=method, path=path, reason="no port"
    )
    assert " ".join(rows(refused)[0]) == f"{expected} - no port"


def test_a_service_without_a_port_has_none_in_its_row() -> None:
    refused = event.network(
        mode="reverse", decision="deny", target="openai", port=0, method="GET", path="/openai/x",
        upstream="api.openai.com:443", reason="no rule",
    )  # fmt: skip
    assert rows(refused)[0] == [
        "request",
        "deny",
        "GET",
        "openai/x",
        "at",
        "api.openai.com:443",
        "-",
        "no",
        "rule",
    ]


def test_rows_keep_the_order_of_the_log() -> None:
    events = [began("/a"), began("/b"), ended([1, 200, 0, 0, 1]), ended([0, 500, 0, 0, 1])]
    assert [(row[2], row[5]) for row in rows(*events)] == [
        ("500", "openai:443/a"),
        ("200", "openai:443/b"),
    ]


def test_a_failure_is_said_with_its_kind() -> None:
    failed = ended([0, 502, 0, 0, 1, "refused", "connecting failed", True])
    assert " ".join(rows(began(), failed)[0]).endswith("in - refused: connecting failed")


@pytest.mark.parametrize(
    ("category", "decision"), [("upstream_connect_failed", "failed"), ("endpoint_policy", "deny")]
)
def test_a_host_that_is_not_reached_is_not_said_to_be_denied(
    category: event.DenialCategory, decision: str
) -> None:
    answer = began(decision="deny", denial_category=category, status=502, reason="why")
    assert rows(answer) == [["request", decision, "502", *WHERE, "-", "why"]]


def test_a_request_without_an_end_has_a_row_all_the_same() -> None:
    assert rows(began()) == [[*BEGINS, *WHERE]]


def test_an_end_that_comes_late_names_its_request() -> None:
    table = Table()
    assert rows(began(), table=table) == [[*BEGINS, *WHERE]]
    (late,) = [*table.feed(1, ended([0, 200, 0, 0, 9])), *table.rest()]
    assert (late.what, late.status, late.where) == (
        "request ended",
        "200",
        f"{' '.join(WHERE)}, 0 B out, 0 B in",
    )


def test_an_endless_request_does_not_hold_back_the_rest() -> None:
    table = Table()
    events = [began(), *[event.not_enforced("nothing")] * (WAITING_MAX + 10)]
    made = [row for number, each in enumerate(events) for row in table.feed(number, each)]
    assert len(made) == len(events)


def test_the_end_of_a_session_says_why() -> None:
    end = {"cause": "stop", "signal": "SIGTERM", "by": "nono stop (pid 7, uid 1000)", "detail": None}
    (row,) = Table().feed(0, event.session_ended(143, end))
    assert row.where == "exit code 143: stopped by nono stop (pid 7, uid 1000)"


def test_what_enforces_a_run_is_named_without_our_word_for_it() -> None:
    [row] = rows(event.enforced_by("notify"))
    assert " ".join(row) == "enforced by notify"


def test_a_rule_that_was_added_is_told_from_a_denial() -> None:
    who, until_ms = "pid 7, uid 1000", 1_800_000_000_000
    [allowed] = rows(event.policy_changed("added", "allow", "host", "a.test", who, until_ms))
    assert " ".join(allowed) == (
        f"policy changed allow host a.test added by {who}, until {local_time(until_ms)[11:19]}"
    )
    [written] = rows(event.policy_changed("added", "allow", "path", "/x", who, None, writes=True))
    assert " ".join(written) == f"policy changed allow path /x with writing added by {who}"
    [denied] = rows(event.policy_changed("taken_back", "deny", "port", "5432", who, None))
    assert " ".join(denied) == f"policy changed deny port 5432 taken back by {who}"


def test_all_times_are_those_of_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some events hold theirs with the offset of the place where the run was."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        texts: list[dict[str, Any]] = [
            {"type": "x", "at": f"2026-01-02T{clock}"} for clock in ("03:04:05+00:00", "04:04:05+01:00")
        ]
        same: dict[str, Any] = {"type": "network", "event": {"timestamp_unix_ms": 1767323045000}}
        events = (*texts, same)
        made = [row.time for each in events for row in Table().feed(None, each)]
        assert made == ["12:04:05"] * 3
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_turn_is_a_row_with_its_model() -> None:
    [row] = rows(model_events.turn_began(12, "anthropic", "claude-opus", 7))
    assert " ".join(row) == "turn began turn 12 of anthropic with claude-opus"
    [row] = rows(model_events.turn_marked(12, 13, 3, 31))
    assert " ".join(row) == "turn marked 31 before turn 12: 3 changed"
    [row] = rows(model_events.turn_unclear("openai", "its body is not JSON", 8))
    assert " ".join(row) == "turn unclear a request to openai may begin one: its body is not JSON"


def test_an_event_is_one_line_whatever_its_text() -> None:
    (row,) = Table().feed(0, began("/a\nb\x1b[2J", "deny"))
    assert str(row).isprintable()
    assert r"openai:443/a\nb\x1b[2J" in row.where


@pytest.mark.parametrize(
    "damaged",
    [
        {"type": "requests_ended", "columns": 1, "requests": 2},
        {"type": "requests_ended", "columns": ["request"], "requests": [[[]], 3]},
        {"type": "network", "event": {"timestamp_unix_ms": 10**30, "decision": {}}},
        {"type": "capability_decision", "entry": {"timestamp": 1, "decision": {}, "request": 2}},
        {"type": ["x"]},
        {"type": "session_ended", "end": {"by": [1]}},
        {},
    ],
    ids=str,
)
def test_a_damaged_event_ends_nothing(damaged: dict[str, Any]) -> None:
    assert len(rows(damaged, event.not_enforced("nothing"))) >= 1
