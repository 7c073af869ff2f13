"""What a person reads after `nono allow` and `nono deny`."""

from __future__ import annotations

import pytest

from nono.cli.text.rules_text import outcome
from unit.sessions.test_record import RECORD

NAMED = RECORD._replace(name="web")


def told(
    target: str = "a.test",
    *,
    kind: str = "host",
    decision: str = "allow",
    writes: bool = False,
    for_s: int | None = None,
    cut: int = 0,
    leaves_standing: bool = False,
    undone: bool = False,
) -> list[str]:
    wanted = {"decision": decision, "kind": kind, "target": target, "writes": writes, "for_s": for_s}
    answer = {"cut": cut, "leaves_standing": leaves_standing}
    return [*outcome(NAMED, wanted, answer, is_done=True, undone=undone)]


def test_a_rule_is_told_with_its_end() -> None:
    assert told() == ["Allowed a.test in session web, until it ends."]
    assert told(for_s=1800) == ["Allowed a.test in session web, for 30m."]
    assert told(decision="deny") == ["Denied a.test in session web, until it ends."]


@pytest.mark.parametrize(
    ("cut", "words"), [(0, ""), (1, "; 1 open connection cut"), (2, "; 2 open connections cut")]
)
def test_connections_that_were_cut_are_counted(cut: int, words: str) -> None:
    assert told(decision="deny", cut=cut) == [f"Denied a.test in session web, until it ends{words}."]


@pytest.mark.parametrize(
    ("decision", "undone", "is_said"),
    [("allow", False, False), ("allow", True, True), ("deny", False, True), ("deny", True, False)],
)
def test_what_stays_connected_is_said_only_where_something_is_taken_away(
    decision: str, undone: bool, is_said: bool
) -> None:
    (line,) = told(decision=decision, undone=undone, leaves_standing=True)
    assert line.endswith("; what is connected past the proxy by now stays so.") == is_said
    assert line.startswith(f"Took back `nono {decision} a.test` in session web") == undone


@pytest.mark.parametrize(
    ("kind", "writes", "words"),
    [("path", True, " for reading and writing"), ("path", False, ""), ("socket", True, "")],
)
def test_writing_is_said_of_a_path(kind: str, writes: bool, words: str) -> None:
    assert told("/x", kind=kind, writes=writes) == [f"Allowed /x{words} in session web, until it ends."]


def test_a_port_to_listen_on_is_named_as_its_option_is() -> None:
    first, hint = told("listen:3000", kind="port")
    assert first == "Allowed --listen-port 3000 in session web, until it ends."
    assert hint.startswith("hint: start a server that listens already again")
    (denied,) = told("listen:3000", kind="port", decision="deny", leaves_standing=True)
    assert denied.endswith("until it ends; what listens by now goes on.")


@pytest.mark.parametrize("host", ["localhost:5432", "127.0.0.1:5432", "[::1]:5432"])
def test_a_port_of_this_machine_as_a_host_is_answered_with_the_port(host: str) -> None:
    assert told(host)[1:] == ["hint: nono allow 5432 is for programs that leave the proxy out there"]
    assert told(host, kind="port")[1:] == []
    assert told("a.test:5432")[1:] == []


def test_a_rule_that_was_not_made_is_told_with_its_hint() -> None:
    wanted = {"decision": "allow", "kind": "host", "target": "a.test", "writes": False, "for_s": None}
    answer = {"error": "it\nis so", "hint": "next time"}
    assert [*outcome(NAMED, wanted, answer, is_done=False, undone=False)] == [
        "Session web: it\\nis so.",
        "hint: next time",
    ]
    assert len([*outcome(NAMED, wanted, {"error": "no"}, is_done=False, undone=False)]) == 1
