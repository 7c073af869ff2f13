"""nono.policy.document.jsonc: values with their places, and every flaw that can be read over."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.policy.document.jsonc import Flaw, line_and_column, parse

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**15), 10**15)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(max_size=5), below, max_size=4),
    max_leaves=20,
)


@given(VALUES, st.sampled_from([None, 2]), st.booleans())
def test_json_is_read_as_by_the_json_module(value: object, indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    try:
        expected = json.loads(text)
    except ValueError:
        return
    root, flaws = parse(text)
    if flaws:  # half of a surrogate pair is JSON, and no text
        assert "surrogate" in flaws[0].what
    else:
        assert root is not None
        assert root.plain() == expected


@given(st.text(st.sampled_from('{}[]:,"/*\n \\abtrue10.-e+'), max_size=40))
def test_no_text_is_too_odd_to_be_told_about(text: str) -> None:
    root, flaws = parse(text)
    assert root is not None or flaws
    assert all(0 <= flaw.at <= len(text) for flaw in flaws)
    try:
        expected = json.loads(text)
    except ValueError:
        return
    assert root is not None
    assert root.plain() == expected or flaws


@given(st.text(max_size=200))
def test_any_text_is_read_or_told_about(text: str) -> None:
    root, flaws = parse(text)
    assert root is not None or flaws


def test_comments_and_trailing_commas_are_blank() -> None:
    root, flaws = parse('// first\n{"a": [1, /* two */ 2,],\n "b": "// no comment", } // last')
    assert flaws == []
    assert root is not None
    assert root.plain() == {"a": [1, 2], "b": "// no comment"}


def test_a_value_knows_where_it_and_its_key_stand() -> None:
    text = '{\n  "a": {"b": [true, 7]}\n}'
    root, _ = parse(text)
    assert root is not None
    seven = root.nearest(("a", "b", 1))
    assert seven.path == ("a", "b", 1)
    assert line_and_column(text, seven.start) == (2, 21)
    assert line_and_column(text, root.nearest(("a", "b")).key) == (2, 9)
    assert root.nearest(("a", "nothing")) is root.nearest(("a",))


@pytest.mark.parametrize(
    ("text", "flaw"),
    [
        ('{"a": 1, "a": 2}', Flaw(9, ("a",), "duplicate field 'a', first given in line 1")),
        ("{'a': 1}", Flaw(1, ("a",), "expected the key in double quotes")),
        ("[True]", Flaw(1, (0,), "unexpected True (did you mean true?)")),
        ("[01]", Flaw(1, (0,), "unexpected 01: text needs double quotes")),
        ("[1 2]", Flaw(2, (), "expected ',' between two items")),
        ("[1e999]", Flaw(1, (0,), "the number is out of range")),
        ("[" + "9" * 5000 + "]", Flaw(1, (0,), "the number is out of range")),
        (r'["\ud800"]', Flaw(1, (0,), "half of a surrogate pair is not a character")),
        (r'["\x"]', Flaw(1, (0,), r"a string holds a control character, or a '\' that escapes nothing")),
    ],
)
def test_reading_goes_on_behind_each_flaw(text: str, flaw: Flaw) -> None:
    _, flaws = parse(text[:-1] + (', "z": nul}' if text[0] == "{" else ", nul]"))
    assert flaws[0] == flaw
    assert flaws[1].what.startswith("unexpected nul")
    root, alone = parse(text)
    assert alone == [flaw]
    assert root is not None


@pytest.mark.parametrize("text", ["[" * 500_000, '"' + "\\" * 500_001, "/*" * 300_000, "1" * 500_000])
def test_a_file_made_to_be_slow_is_not(text: str) -> None:
    parse(text)
