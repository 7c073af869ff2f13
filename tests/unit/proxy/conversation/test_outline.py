"""The outline of a request to a model is the same however its body is cut, and bounded however long it is."""

from __future__ import annotations

import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.proxy.conversation.asked import WANTED
from nono.proxy.conversation.outline import (
    MAX_HELD_BYTES,
    MAX_KEPT_BYTES,
    MAX_TEXT_BYTES,
    Listed,
    Outline,
    OutlineReader,
)

SAID = {"role": "user", "content": [{"type": "tool_result", "content": [{"text": '"}],{"role":"model"'}]}]}
BODY = {
    "model": "m-1",
    "system": [{"type": "text", "text": 'a \\" quote and "messages": [{}]'}],
    "messages": [
        {"role": "user", "content": "a\nb" + "c" * 500},
        {"role": "assistant", "content": [{"type": "tool_use", "input": {"x": [1, {"y": None}]}}]},
        SAID,
        {"role": "system", "content": "an instruction that nobody says"},
    ],
    "tools": [{"name": "a", "schema": {"properties": {"b": [{}]}}}, {"name": "b"}],
    "text": {"format": {"type": "json_schema"}},
    "stream": True,
}


def outline(raw: bytes, size: int = 4096) -> Outline | None:
    reader = OutlineReader(WANTED)
    for start in range(0, len(raw), size):
        reader.feed(raw[start : start + size])
    return reader.outline


def test_an_outline_has_the_wanted_members_alone() -> None:
    assert outline(json.dumps(BODY).encode()) == {
        "model": "m-1",
        "messages": Listed(
            4, {"role": "user", "content": [{"type": "tool_result", "content": [{"text": ""}]}]}, 1
        ),
        "tools": Listed(2),
        "text": {"format": {"type": "json_schema"}},
    }


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_an_outline_does_not_depend_on_cuts(size: int, indent: int | None) -> None:
    raw = json.dumps(BODY, indent=indent).encode()
    assert outline(raw, size) == outline(json.dumps(BODY).encode())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(
    st.dictionaries(st.sampled_from(["model", "tools", "messages", "text", "other"]), JSON), st.integers(1, 9)
)
def test_the_outline_of_any_object_ends(document: dict[str, object], size: int) -> None:
    found = outline(json.dumps(document).encode(), size)
    assert found is not None
    assert found.keys() <= document.keys()


@given(st.binary(max_size=60), st.integers(1, 9))
def test_no_octets_raise(raw: bytes, size: int) -> None:
    outline(b'{"messages":[' + raw, size)
    outline(raw, size)


def test_a_body_that_is_cut_off_has_no_outline() -> None:
    raw = json.dumps(BODY).encode()
    assert all(outline(raw[:end]) is None for end in range(0, len(raw) - 1, 17))


def test_a_long_text_is_kept_from_its_beginning() -> None:
    found = outline(
        json.dumps({"messages": [{"role": "user", "content": "é" + "x" * 500}]}, ensure_ascii=False).encode()
    )
    assert found is not None
    assert found["messages"].last["content"] == "é" + "x" * (MAX_TEXT_BYTES - 2)


def test_what_is_said_in_too_many_parts_is_not_kept() -> None:
    parts = [{"type": "text", "text": "x"}] * (MAX_KEPT_BYTES // 8)
    found = outline(json.dumps({"messages": [{"role": "user", "content": parts}]}).encode())
    assert found is not None
    assert found["messages"] == Listed(1, None)


def test_memory_does_not_grow_with_a_body() -> None:
    piece = json.dumps({"role": "user", "content": "x" * 10_000}).encode() + b","
    reader = OutlineReader(WANTED)
    reader.feed(b'{"messages":[')
    tracemalloc.start()
    try:
        for _ in range(300):
            reader.feed(piece)
        assert tracemalloc.get_traced_memory()[1] < 3 * MAX_KEPT_BYTES
    finally:
        tracemalloc.stop()


def test_what_is_kept_of_a_body_that_does_not_end_takes_little_memory() -> None:
    """As objects, these take 1.4 MB. Brackets take 7, but reading them takes longer."""
    numbers = b"[" + b"1," * (MAX_KEPT_BYTES // 2 - 2) + b"1]"
    reader = OutlineReader(WANTED)
    tracemalloc.start()
    try:
        reader.feed(b"{")
        for name in sorted(WANTED.kept):
            reader.feed(b'"%b":%b,' % (name.encode(), numbers))
        assert tracemalloc.get_traced_memory()[0] < 2 * MAX_HELD_BYTES
    finally:
        tracemalloc.stop()


def test_of_many_long_members_the_first_are_kept() -> None:
    long = "[" + "1," * (MAX_KEPT_BYTES // 2 - 2) + "1]"
    found = outline(f'{{"model":"m-1","text":{long},"output_config":{long},"messages":[{{}}]}}'.encode())
    assert found is not None
    assert found["model"] == "m-1"
    assert len(found["text"]) == MAX_KEPT_BYTES // 2 - 1
    assert found["output_config"] is None
    assert found["messages"] == Listed(1, {}, 0)
