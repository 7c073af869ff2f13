"""What is long enough for a secret is found wherever it stands, and little besides."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.credentials.values import runs
from nono.credentials.values.runs import long_runs

OF_RUN = b"ab\0"
FLAGS = bytes(octet in OF_RUN for octet in range(256))
OF_KEYS = bytes(octet in b"\0\r\n" or octet in range(33, 127) for octet in range(256))


def _wanted(text: bytes, least: int) -> list[tuple[int, int]]:
    found = [each.span() for each in re.finditer(rb"[ab\0]+", text)]
    return [(start, end) for start, end in found if end - start - text.count(0, start, end) >= least]


@given(
    st.lists(
        st.one_of(
            st.integers(1, 40).map(lambda length: b"ab" * length),
            st.integers(1, 40).map(lambda length: b"a" * length),
            st.integers(1, 3).map(lambda length: b"a\0b\0" * 13 * length),
            st.sampled_from([b" ", b" " * 50, b"\0" * 60, b"a. " * 40, b"aaaaaaaa.bbbbbbbb", b"." * 3000]),
        ),
        min_size=1,
        max_size=30,
    ),
    st.integers(1, 70),
    st.sampled_from([0, 8, 1000]),
)
def test_each_long_run_is_in_one_part_and_no_part_cuts_one(
    pieces: list[bytes], least: int, ahead: int
) -> None:
    text = b"".join(pieces)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "_PLACES_AHEAD", ahead)
        parts = long_runs(text, least, FLAGS)
    assert parts == sorted(parts)
    for start, end in _wanted(text, least):
        assert any(begin <= start and end <= stop for begin, stop in parts)
    for start, end in parts:
        assert not start or not FLAGS[text[start - 1]] or not FLAGS[text[start]]
        assert end == len(text) or not FLAGS[text[end]] or not FLAGS[text[end - 1]]


@pytest.mark.parametrize("least", [1, 7, 8, 9, 15, 16, 25, 31, 94, 400])
def test_a_run_that_is_just_long_enough_is_found_at_any_place(least: int) -> None:
    for before in range(5000, 5000 + least // 8 + 2):
        texts = [b" " * before + b"a" * length + b" " * 5000 for length in (least, least - 1)]
        [(start, end)] = long_runs(texts[0], least, FLAGS)
        assert start <= before
        assert before + least <= end < before + 2 * least + 8
        assert long_runs(texts[1], least, FLAGS) == []


def test_octets_at_random_have_no_long_run() -> None:
    draw = random.Random(1)
    key = b"Zk3vQ9xTb7LmW2cRf8NdYs5HjA1"
    text = draw.randbytes(64 * 1024)
    assert long_runs(text, len(key), OF_KEYS) == []
    [(start, end)] = long_runs(text + b" " + key + b" " + text, len(key), OF_KEYS)
    assert start <= len(text) + 1 <= end - len(key)
    assert end - start < 40


@pytest.mark.parametrize(
    "filler", [b"\0", b" ", b"\0\0\x7f\xff", b"\0" * 300 + b"\xff", b"a word or two, no more. "]
)
def test_what_has_no_room_is_passed_over(filler: bytes) -> None:
    assert long_runs(filler * 4000, 28, OF_KEYS) == []


@pytest.mark.parametrize("text", [b"x" * 65536, b"a-long-word-of-a-text-or-a-key " * 2000])
def test_where_most_has_room_all_of_it_is_one_part(text: bytes) -> None:
    assert long_runs(text, 20, OF_KEYS) == [(0, len(text))]
    far = b" " * 20_000
    [*_, (start, end)] = long_runs(far + text, 20, OF_KEYS)
    assert start < len(far) + 20_000
    assert end == len(far + text)
