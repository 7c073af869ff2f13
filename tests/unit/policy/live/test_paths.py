"""nono.policy.live.paths: what a rule of `nono allow` or `nono deny` answers about a file."""

from __future__ import annotations

import pytest

from nono.policy.capability import Access
from nono.policy.live.paths import LivePaths
from nono.policy.live.rule import Decision, LiveRule

READ, WRITE, BOTH = Access.READ, Access.WRITE, Access.READWRITE
OUTSIDE = "/home/ada/notes"


def rule(decision: Decision, target: str, access: Access = READ) -> LiveRule:
    return LiveRule("0", decision, "path", target, access, "ada", 0, None)


def answer(rules: list[LiveRule], path: str, access: Access = READ) -> Decision | None:
    live = LivePaths()
    live.put(rules)
    found = live.judge(path, access)
    return None if found is None else found.decision


@pytest.mark.parametrize("decision", ["allow", "deny"])
@pytest.mark.parametrize(
    ("path", "is_meant"),
    [
        pytest.param(OUTSIDE, True, id="it"),
        pytest.param(f"{OUTSIDE}/today", True, id="below"),
        pytest.param(f"{OUTSIDE}.old", False, id="beside"),
        pytest.param("/home/ada", False, id="above"),
    ],
)
def test_a_rule_answers_for_its_path_and_what_is_below(path: str, is_meant: bool, decision: Decision) -> None:
    assert answer([rule(decision, OUTSIDE)], path) == (decision if is_meant else None)
    assert answer([], path) is None


@pytest.mark.parametrize(
    ("allowed", "asked", "is_allowed"),
    [(READ, READ, True), (READ, WRITE, False), (READ, BOTH, False), (BOTH, WRITE, True), (BOTH, BOTH, True)],
)
def test_a_rule_for_reading_lets_nothing_be_written(allowed: Access, asked: Access, is_allowed: bool) -> None:
    assert answer([rule("allow", OUTSIDE, allowed)], OUTSIDE, asked) == ("allow" if is_allowed else None)


@pytest.mark.parametrize("asked", [READ, WRITE, BOTH])
def test_a_denial_beats_an_earlier_rule_that_allows(asked: Access) -> None:
    allowed, denied = rule("allow", OUTSIDE, BOTH), rule("deny", f"{OUTSIDE}/secret")
    assert answer([allowed, denied], f"{OUTSIDE}/secret", asked) == "deny"
    assert answer([allowed, denied], f"{OUTSIDE}/today", asked) == "allow"


def test_a_rule_that_was_taken_back_answers_nothing() -> None:
    live = LivePaths()
    live.put([rule("allow", OUTSIDE)])
    assert live.judge(OUTSIDE, READ) is not None
    live.put([])
    assert live.judge(OUTSIDE, READ) is None
