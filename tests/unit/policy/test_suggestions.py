"""nono.policy.suggestions: the name that was probably meant."""

from __future__ import annotations

import pytest

from nono.policy.suggestions import did_you_mean

PROFILES = ("opencode", "copilot-github", "copilot-cli", "node-dev", "go-dev", "goose")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("node", "node-dev"),
        ("go", "go-dev"),
        ("copilot", "copilot-cli"),
        ("goos", "goose"),
        ("opncode", "opencode"),
    ],
)
def test_a_name_that_goes_on_with_a_hyphen_is_meant_before_a_similar_one(name: str, meant: str) -> None:
    assert did_you_mean(name, PROFILES) == f"did you mean '{meant}'?"


@pytest.mark.parametrize("name", ["", "x", "cli"])
def test_a_name_that_is_like_none_is_answered_by_none(name: str) -> None:
    assert did_you_mean(name, ("opencode", "-dev", "no-dev")) is None
