"""nono.disk.json_text against the json package."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.disk import json_text
from nono.str_enum import StrEnum

TEXTS = st.text(st.characters(codec=None)) | st.text(st.characters(categories=["Cs", "Cc"]))
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(TEXTS, inner),
    max_leaves=12,
)


class Word(StrEnum):
    ONE = "one"


@given(VALUES)
def test_a_value_is_written_as_the_json_package_writes_it(value: object) -> None:
    separators = (",", ":")
    assert json_text.compact(value) == json.dumps(value, separators=separators, ensure_ascii=False)
    assert json_text.compact_ascii(value) == json.dumps(value, separators=separators)
    assert json_text.indented(value) == json.dumps(value, indent=2, ensure_ascii=False)
    assert json_text.indented_ascii(value) == json.dumps(value, indent=2)


@given(VALUES)
def test_what_is_written_is_read_as_the_json_package_reads_it(value: object) -> None:
    for write in (json_text.compact, json_text.compact_ascii, json_text.indented, json_text.indented_ascii):
        text = f"\r\n\t {write(value)} \n"
        assert json_text.parse(text) == json.loads(text)


@given(st.text(st.sampled_from('{}[]",:0123456789.eE+-truefalsnl\\ \n\x00\xa0')) | TEXTS)
def test_what_the_json_package_refuses_is_refused(text: str) -> None:
    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        expected = json.loads(text, parse_constant=refuse)
    except ValueError:
        with pytest.raises(ValueError, match=r"."):
            json_text.parse(text)
    else:
        assert json_text.parse(text) == expected


@pytest.mark.parametrize(
    "text", ["", " ", "{", '{"a":1} {}', "[1] 2", "NaN", "-Infinity", "\ufeff{}", "'a'", "\xa01", '"\n"']
)
def test_what_is_not_one_json_value_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        json_text.parse(text)


def test_a_text_nested_too_deeply_is_refused() -> None:
    with pytest.raises(RecursionError):
        json_text.parse("[" * 200_000)


@pytest.mark.parametrize("write", [json_text.compact, json_text.compact_ascii, json_text.indented])
@pytest.mark.parametrize("value", [math.nan, {"a": [math.inf]}, {1, 2}, {"a": object()}, b"bytes"])
def test_what_json_does_not_have_is_not_written(write: Callable[[object], str], value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        write(value)


def test_a_member_of_an_enumeration_is_written_as_its_value() -> None:
    assert json_text.compact({Word.ONE: Word.ONE}) == '{"one":"one"}'


@given(TEXTS)
def test_a_text_is_quoted_as_the_json_package_quotes_it(text: str) -> None:
    assert json_text.quoted(text) == json.dumps(text, ensure_ascii=False)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b'"{}"', b"null", b"[" * 100_000])
def test_what_is_no_object_is_read_as_an_empty_one(content: bytes) -> None:
    assert json_text.parse_object(content) == {}
    assert json_text.parse_object(b'{"a": [1]}') == {"a": [1]}
