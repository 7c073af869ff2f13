"""Folding of repeated refusals: nothing is lost, nothing is told twice, and a flood stays small."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nono.audit.coalesce import Coalescer, Folded


def test_the_first_refusal_of_each_key_is_recorded_at_once() -> None:
    folds: Coalescer[str] = Coalescer()
    assert folds.admit("a", 0.0)
    assert folds.admit("b", 0.0)


def test_a_repeat_inside_the_window_is_counted_and_told_when_it_ends() -> None:
    folds: Coalescer[str] = Coalescer(window_s=1.0)
    folds.admit("a", 0.0)
    assert [folds.admit("a", 0.5) for _ in range(3)] == [False] * 3
    assert folds.flush(0.9) == []
    assert folds.flush(1.0) == [Folded("a", 3)]
    assert folds.flush(2.0) == []


def test_a_refusal_without_repeats_is_not_told_again() -> None:
    folds: Coalescer[str] = Coalescer(window_s=1.0)
    folds.admit("a", 0.0)
    assert folds.flush(1.0) == []


def test_the_same_key_is_recorded_again_in_the_next_window() -> None:
    folds: Coalescer[str] = Coalescer(window_s=1.0)
    folds.admit("a", 0.0)
    assert not folds.admit("a", 0.999)
    assert folds.admit("a", 1.0)


def test_a_window_that_ended_unflushed_keeps_its_counts_until_asked() -> None:
    folds: Coalescer[str] = Coalescer(window_s=1.0)
    folds.admit("a", 0.0)
    folds.admit("a", 0.0)
    folds.admit("b", 5.0)
    assert folds.flush(5.0) == [Folded("a", 1)]


def test_the_deadline_is_that_of_the_open_window() -> None:
    folds: Coalescer[str] = Coalescer(window_s=1.0)
    deadlines = [folds.deadline_s]
    folds.admit("a", 10.0)
    folds.admit("b", 10.5)
    deadlines.append(folds.deadline_s)
    folds.flush(11.0)
    assert [*deadlines, folds.deadline_s] == [None, 11.0, None]


def test_keys_beyond_the_limit_are_counted_together() -> None:
    folds: Coalescer[int] = Coalescer(window_s=1.0, max_keys=2)
    answers = [folds.admit(port, 0.0) for port in (1, 2, 3, 4, 1)]
    assert answers == [True, True, False, False, False]
    assert folds.flush(1.0) == [Folded(1, 1), Folded(None, 2)]


def test_windows_grow_during_a_scan_and_shrink_after_it() -> None:
    folds: Coalescer[int] = Coalescer(window_s=1.0, max_keys=1)
    lengths = []
    now_s = 0.0
    for _ in range(12):
        folds.admit(1, now_s)
        folds.admit(2, now_s)
        lengths.append((folds.deadline_s or 0.0) - now_s)
        now_s = folds.deadline_s or 0.0
        folds.flush(now_s)
    assert lengths[:4] == [1.0, 2.0, 4.0, 8.0]
    assert max(lengths) == 256.0
    folds.admit(1, now_s)
    now_s = folds.deadline_s or 0.0
    folds.admit(1, now_s)
    assert folds.deadline_s == now_s + 1.0


def test_a_child_that_repeats_one_call_for_a_minute_costs_two_records_a_second() -> None:
    folds: Coalescer[str] = Coalescer(window_s=1.0)
    written = 0
    for step in range(60 * 2000):
        now_s = step / 2000
        written += folds.admit("a", now_s)
        written += len(folds.flush(now_s))
    assert written <= 2 * 60


ADMITS = st.lists(st.tuples(st.integers(0, 12), st.floats(0, 3), st.booleans()), max_size=200)


@given(ADMITS, st.integers(1, 8))
def test_what_is_recorded_adds_up_to_what_happened(
    steps: list[tuple[int, float, bool]], max_keys: int
) -> None:
    folds: Coalescer[int] = Coalescer(window_s=1.0, max_keys=max_keys)
    now_s, recorded = 0.0, 0
    for key, pause_s, flushes in steps:
        now_s += pause_s
        recorded += folds.admit(key, now_s)
        if flushes:
            recorded += sum(folded.repeats for folded in folds.flush(now_s))
    recorded += sum(folded.repeats for folded in folds.drain())
    assert recorded == len(steps)
    assert folds.drain() == []


@given(ADMITS)
def test_with_room_for_all_keys_each_key_adds_up_by_itself(steps: list[tuple[int, float, bool]]) -> None:
    folds: Coalescer[int] = Coalescer(window_s=1.0)
    now_s = 0.0
    counted: dict[int | None, int] = {}
    for key, pause_s, _ in steps:
        now_s += pause_s
        if folds.admit(key, now_s):
            counted[key] = counted.get(key, 0) + 1
    for folded in folds.drain():
        counted[folded.key] = counted.get(folded.key, 0) + folded.repeats
    happened = [key for key, _, _ in steps]
    assert counted == {key: happened.count(key) for key in happened}
