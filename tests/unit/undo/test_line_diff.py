"""Two texts are compared as difflib does, and in bounded time whatever a command has written."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from difflib import Match, SequenceMatcher, unified_diff

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.undo.model import line_diff
from nono.undo.model.line_diff import LineMatcher, unified

LINES = st.lists(st.sampled_from(["", "a", "b", "c", "d"]), max_size=40)
WORST_S = 20


@given(LINES, LINES, st.integers(0, 4))
def test_a_diff_is_that_of_difflib(before: list[str], after: list[str], context: int) -> None:
    assert [*unified(before, after, ("old", "new"), context)] == [
        *unified_diff(before, after, "old", "new", lineterm="", n=context)
    ]


@given(LINES, LINES, st.integers(0, 60))
def test_what_is_not_compared_counts_as_replaced(before: list[str], after: list[str], steps: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(line_diff, "STEPS_MAX", steps)
        changes = LineMatcher(before, after).get_opcodes()
    assert [line for _, begin, end, *_ in changes for line in before[begin:end]] == before
    assert [line for *_, begin, end in changes for line in after[begin:end]] == after
    assert all(before[a:b] == after[c:d] for tag, a, b, c, d in changes if tag == "equal")


def test_one_changed_line_is_found_in_a_text_too_long_to_compare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_diff, "STEPS_MAX", 10)
    before = [str(number) for number in range(1000)]
    after = [*before[:500], "changed", *before[501:]]
    assert [*unified(before, after, None, 1)] == ["@@ -500,3 +500,3 @@", " 499", "-500", "+changed", " 501"]


def test_all_searches_share_one_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    before = [str(number) for number in range(100)]
    after = [line if number % 2 else "changed" for number, line in enumerate(before)]
    searched: list[int] = []  # lines of each search
    search = SequenceMatcher.find_longest_match

    def counted(matcher: SequenceMatcher[str], alo: int, ahi: int, blo: int, bhi: int) -> Match:
        searched.append(ahi - alo)
        return search(matcher, alo, ahi, blo, bhi)

    monkeypatch.setattr(SequenceMatcher, "find_longest_match", counted)
    LineMatcher(before, after, autojunk=False).get_opcodes()
    assert sum(searched) > 300
    searched.clear()
    monkeypatch.setattr(line_diff, "STEPS_MAX", 300)
    LineMatcher(before, after, autojunk=False).get_opcodes()
    assert 100 <= sum(searched) <= 300


def _symbols(count: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    return [f"{draw.randrange(110)}" for _ in range(count)]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (lambda: _symbols(300_000, 1), lambda: _symbols(300_000, 2)),
        (lambda: ["a"] * 400_000, lambda: ["a", "b"] * 200_000),
        (lambda: _symbols(3_000, 1), lambda: _symbols(300_000, 2)),
    ],
    ids=["few lines, often", "one line", "one short"],
)
@pytest.mark.parametrize("autojunk", [True, False])
def test_no_text_takes_long_to_compare(
    before: Callable[[], Sequence[str]], after: Callable[[], Sequence[str]], autojunk: bool
) -> None:
    texts = before(), after()  # not while each worker collects its tests
    began_s = time.process_time()
    changes = LineMatcher(*texts, autojunk=autojunk).get_opcodes()
    assert time.process_time() - began_s < WORST_S
    assert changes


def test_autojunk_is_left_to_the_caller() -> None:
    before, after = ["x"] * 300, [*["x"] * 150, "y", *["x"] * 150]
    for autojunk in (True, False):
        expected = SequenceMatcher(None, before, after, autojunk).get_opcodes()
        assert LineMatcher(before, after, autojunk=autojunk).get_opcodes() == expected
