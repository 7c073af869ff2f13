"""Lines of eighty columns: lists of names, and a profile as text."""

from __future__ import annotations

import pytest

from nono.cli.text.wrap_text import described, outline


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("a" * 22, [f"  {'a' * 22}  what it is"]),
        ("a" * 23, [f"  {'a' * 23}", f"{' ' * 26}what it is"]),
    ],
    ids=["fits", "is longer than its column"],
)
def test_a_description_stays_in_its_column(name: str, lines: list[str]) -> None:
    assert described([(name, "what it is")]) == lines


def test_a_name_without_a_description_has_a_dash() -> None:
    assert described([("a", "")]) == [f"  a{' ' * 23}-"]


@pytest.mark.parametrize("value", [None, "", [], {}, {"inner": []}], ids=str)
def test_what_is_empty_is_left_out(value: object) -> None:
    assert outline({"a": value, "b": 1}) == ["b: 1"]


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        (False, ["a: false"]),
        (True, ["a: true"]),
        (0, ["a: 0"]),
        (["x", "y"], ["a: x, y"]),
        (["x", "y z"], ["a:", "  - x", "  - y z"]),
        (["x", "y,z"], ["a:", "  - x", "  - y,z"]),
        ({"b": {"c": "d"}}, ["a:", "  b:", "    c: d"]),
        ([{"b": 1, "c": 2}, {}], ["a:", "  - b: 1", "    c: 2", "  - {}"]),
    ],
    ids=str,
)
def test_a_value_reads_as_what_it_is(value: object, lines: list[str]) -> None:
    assert outline({"a": value}) == lines
