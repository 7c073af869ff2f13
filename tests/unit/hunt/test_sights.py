"""What is compared, before and after a run."""

from __future__ import annotations

from hunt.outside.sights import MOST_SHOWN, differences, kind


def test_nothing_is_seen_where_nothing_changed() -> None:
    look = {"files": {"a": {"size": 1}}, "events": ["x"], "empty": {}}
    assert differences(look, look) == []


def test_each_leaf_is_a_sight_of_its_own() -> None:
    before = {"files": {"a": {"size": 1, "mode": 2}}}
    after = {"files": {"a": {"size": 3, "mode": 2}, "b": {"size": 4}}}
    assert differences(before, after) == ["files/a/size: 1 -> 3", "files/b/size: nothing -> 4"]


def test_what_is_gone_is_seen() -> None:
    assert differences({"names": ["a", "b"]}, {"names": ["a"]}) == ["names/b: b -> nothing"]


def test_long_texts_are_cut() -> None:
    (sight,) = differences({"a": "x" * 1000}, {"a": "y"})
    assert len(sight) < MOST_SHOWN + 20


def test_two_runs_are_compared_without_their_numbers() -> None:
    assert kind("left/processes/123: nothing -> sh") == kind("left/processes/456: nothing -> cat")
    assert kind("left/processes/123: a") != kind("left/mounts/123: a")
