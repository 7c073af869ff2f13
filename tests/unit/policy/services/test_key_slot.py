"""nono.policy.services.key_slot: the one place of a target in which a key stands, and the target without
it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.policy.services.key_slot import (
    AmbiguousQueryError,
    all_in_path,
    cut_from_path,
    fill_path,
    find_in_path,
    query_values,
    with_query,
    without_query,
)


@pytest.mark.parametrize(
    ("pattern", "target", "key"),
    [
        pytest.param("/bot{}/", b"/botK/send", b"K", id="between two texts"),
        pytest.param("/bot{}/", b"/v1/botK/send", b"K", id="not at the beginning"),
        pytest.param("/bot{}", b"/botK", b"K", id="to the end"),
        pytest.param("/bot{}", b"/botK/send", b"K", id="to the next slash"),
        pytest.param("/bot{}", b"/botK?x=/", b"K", id="to the query"),
        pytest.param("/{}/", b"/K/api", b"K", id="a whole segment"),
        pytest.param("/{}:send", b"/K:send", b"K", id="a part of a segment"),
        pytest.param("/bot{}/", b"/botK/botL/", b"K", id="the first of two"),
        pytest.param("/bot{}/", b"/botK", None, id="the text behind is missing"),
        pytest.param("/bot{}/", b"/bot/send", None, id="an empty key"),
        pytest.param("/bot{}/", b"/send", None, id="the text before is missing"),
        pytest.param("/bot{}/", b"/x?/botK/", None, id="in the query only"),
        pytest.param("/bot{}/", b"/Botk/", None, id="another case"),
    ],
)
def test_a_pattern_finds_its_key_in_the_path(pattern: str, target: bytes, key: bytes | None) -> None:
    slot = find_in_path(pattern, target)
    assert (None if slot is None else target[slot.start : slot.end]) == key


def test_a_search_may_begin_below_the_base_path() -> None:
    slot = find_in_path("/{}/", b"/v1/K/api", 3)
    assert slot is not None
    assert (slot.start, slot.end, slot.outer_start, slot.outer_end) == (4, 5, 3, 6)
    assert find_in_path("/{}/", b"/v1/K", 3) is None


@pytest.mark.parametrize(
    ("pattern", "target", "keys"),
    [
        ("/bot{}/", b"/botA/botB/x/botC/", [b"A", b"B", b"C"]),
        ("/{}/", b"/a/b/c", [b"a", b"b"]),
        ("/{}", b"/a/b", [b"a", b"b"]),
        ("/bot{}/", b"/bot/botA/", [b"A"]),
        ("{}/x", b"/a/x", [b"/a"]),
        ("/bot{}/", b"/x?/botA/", []),
    ],
)
def test_every_place_is_found(pattern: str, target: bytes, keys: list[bytes]) -> None:
    assert [target[slot.start : slot.end] for slot in all_in_path(pattern, target)] == keys


@pytest.mark.parametrize(
    ("pattern", "target", "cut"),
    [
        pytest.param("/bot{}/", b"/botK/send?x", b"/send?x", id="at the beginning"),
        pytest.param("/{}/", b"/K/api/v1/pods", b"/api/v1/pods", id="a whole segment"),
        pytest.param("/bot{}/", b"/v1/botK/send", b"/v1/send", id="in the middle"),
        pytest.param("/bot{}", b"/v1/botK", b"/v1/", id="at the end"),
        pytest.param("/bot{}", b"/v1/botK?x", b"/v1?x", id="before a query"),
        pytest.param("/bot{}", b"/botK", b"/", id="all of it"),
        pytest.param("/bot{}", b"/botK?x", b"/?x", id="all of the path"),
    ],
)
def test_what_stood_around_a_cut_is_joined_by_one_slash(pattern: str, target: bytes, cut: bytes) -> None:
    slot = find_in_path(pattern, target)
    assert slot is not None
    assert cut_from_path(target, slot) == cut


@pytest.mark.parametrize(
    ("replacement", "filled"),
    [(None, b"/v1/botREAL/x?y"), ("/bot{}/", b"/v1/botREAL/x?y"), ("/api/{}:", b"/v1/api/REAL:x?y")],
)
def test_a_key_is_filled_in_alone_or_with_the_text_of_another_pattern(
    replacement: str | None, filled: bytes
) -> None:
    target = b"/v1/botK/x?y"
    slot = find_in_path("/bot{}/", target)
    assert slot is not None
    assert fill_path(target, slot, b"REAL", replacement) == filled


@pytest.mark.parametrize(
    ("target", "values", "bare"),
    [
        pytest.param(b"/x?key=a", ["a"], b"/x", id="alone"),
        pytest.param(b"/x?a=1&key=a&b=2", ["a"], b"/x?a=1&b=2", id="between others"),
        pytest.param(b"/x?key=a&key=b", ["a", "b"], b"/x", id="twice"),
        pytest.param(b"/x?k%65y=a", ["a"], b"/x", id="an escaped name"),
        pytest.param(b"/x?%6B%65%79=a&key=b", ["a", "b"], b"/x", id="all of it escaped"),
        pytest.param(b"/x?key=%61%3D+", ["a= "], b"/x", id="an escaped value"),
        pytest.param(b"/x?key", [""], b"/x", id="no value"),
        pytest.param(b"/x?key=", [""], b"/x", id="an empty value"),
        pytest.param(b"/x?Key=a&keys=b&akey=c", [], b"/x?Key=a&keys=b&akey=c", id="other names"),
        pytest.param(b"/x?a=key", [], b"/x?a=key", id="as a value"),
        pytest.param(b"/x", [], b"/x", id="no query"),
        pytest.param(b"/x?", [], b"/x", id="an empty query"),
        pytest.param(b"/x?a=1;b=2", [], b"/x?a=1;b=2", id="a semicolon before another name"),
        pytest.param(b"/x?a=b?key=c", [], b"/x?a=b?key=c", id="a second question mark"),
    ],
)
def test_a_parameter_is_removed_however_its_name_is_written(
    target: bytes, values: list[str], bare: bytes
) -> None:
    assert query_values("key", target) == values
    assert without_query("key", target) == bare
    joint = b"&" if b"?" in bare else b"?"
    assert with_query("key", target, b"REAL") == bare + joint + b"key=REAL"


@pytest.mark.parametrize(
    "target",
    [b"/x?a=1;key=2", b"/x?a=1;k%65y=2", b"/x?a;key", b"/x?key=1;key=2", b"/x?" + b"a&" * 201],
)
def test_a_query_that_two_parsers_read_differently_is_ambiguous(target: bytes) -> None:
    for read in (lambda: query_values("key", target), lambda: without_query("key", target)):
        with pytest.raises(AmbiguousQueryError):
            read()
    with pytest.raises(AmbiguousQueryError):
        with_query("key", target, b"x")


PIECES = st.lists(st.sampled_from([b"key", b"k%65y", b"=", b"&", b";", b"a", b"%3B", b"%26", b"?"])).map(
    b"".join
)


@given(PIECES)
def test_a_set_parameter_stands_once_at_the_end(query: bytes) -> None:
    try:
        target = with_query("key", b"/x?" + query, b"REAL")
    except AmbiguousQueryError:
        return
    assert query_values("key", target) == ["REAL"]
    assert target.endswith(b"key=REAL")


@given(st.sampled_from(["/bot{}/", "/{}", "/{}/", "/a{}b"]), st.text("abot/?", max_size=12))
def test_a_filled_slot_is_the_one_that_is_found_again(pattern: str, path: str) -> None:
    target = b"/" + path.encode()
    slot = find_in_path(pattern, target)
    if slot is not None:
        filled = fill_path(target, slot, b"KEY")
        again = find_in_path(pattern, filled)
        assert again is not None
        assert filled[again.start : again.end] == b"KEY"
