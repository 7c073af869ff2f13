"""The page of results says what was measured, and judges it rightly."""

from __future__ import annotations

import pytest

from benchmarks.budget import Budget, Figure, Row, Verdict, at_least, at_most, figure_of, judge
from benchmarks.samples import Absent, Measured, Samples, percentile
from benchmarks.table import TIMES, budget_text, number, page, table

ABSENT = Absent("socat is not installed")


def samples(*values: float) -> Samples:
    return Samples(values)


def row(ours: Measured, theirs: Measured | None, budget: Budget | None) -> Row:
    return Row("`nono wrap -- true`", "ms", ours, "peer", theirs, budget)


@pytest.mark.parametrize(
    ("ours", "theirs", "budget", "verdict"),
    [
        pytest.param(10, 10, at_most(1.0), Verdict.KEPT, id="at the limit"),
        pytest.param(10.1, 10, at_most(1.0), Verdict.MISSED, id="over the limit"),
        pytest.param(10.9, 10, at_most(1.0, noise=0.1), Verdict.KEPT, id="within the noise"),
        pytest.param(11.1, 10, at_most(1.0, noise=0.1), Verdict.MISSED, id="over the noise"),
        pytest.param(20, 10, at_least(2.0), Verdict.KEPT, id="as fast as asked"),
        pytest.param(19, 10, at_least(2.0), Verdict.MISSED, id="slower than asked"),
        pytest.param(19, 10, at_least(2.0, noise=0.1), Verdict.KEPT, id="slower within the noise"),
        pytest.param(40, 1, at_most(40, Figure.VALUE), Verdict.KEPT, id="a value, whatever the ratio"),
        pytest.param(41, 100, at_most(40, Figure.VALUE), Verdict.MISSED, id="a value over the limit"),
        pytest.param(0.75, 0.25, at_most(0.5, Figure.ADDED), Verdict.KEPT, id="added, at the limit"),
        pytest.param(0.76, 0.25, at_most(0.5, Figure.ADDED), Verdict.MISSED, id="added, over the limit"),
        pytest.param(1, 100, None, Verdict.NO_BUDGET, id="no budget"),
    ],
)
def test_a_budget_is_judged_on_its_own_figure(
    ours: float, theirs: float, budget: Budget | None, verdict: Verdict
) -> None:
    assert judge(row(samples(ours), samples(theirs), budget)) is verdict


def test_one_slow_round_does_not_miss_a_budget() -> None:
    assert judge(row(samples(1, 1, 900), samples(2, 2, 2), at_most(0.5))) is Verdict.KEPT


def test_two_slow_rounds_of_three_miss_it() -> None:
    assert judge(row(samples(1, 900, 900), samples(2, 2, 2), at_most(0.5))) is Verdict.MISSED


@pytest.mark.parametrize(
    ("ours", "theirs", "budget"),
    [
        pytest.param(ABSENT, samples(1), at_most(1.0), id="nono did not run"),
        pytest.param(samples(1), ABSENT, at_most(1.0), id="the peer did not run"),
        pytest.param(samples(1), ABSENT, at_most(1.0, Figure.ADDED), id="nothing to add to"),
        pytest.param(samples(1), samples(0), at_most(1.0), id="nothing to divide by"),
        pytest.param(ABSENT, samples(1), None, id="not even without a budget"),
    ],
)
def test_what_was_not_measured_keeps_no_budget(
    ours: Measured, theirs: Measured, budget: Budget | None
) -> None:
    assert judge(row(ours, theirs, budget)) is Verdict.NOT_MEASURED


def test_a_value_needs_nobody_beside_it() -> None:
    assert judge(row(samples(30), ABSENT, at_most(40, Figure.VALUE))) is Verdict.KEPT


def test_the_ratio_is_that_of_the_medians() -> None:
    assert figure_of(row(samples(1, 2, 30), samples(4, 4, 100), None), Figure.RATIO) == 0.5


def test_a_row_shows_median_spread_ratio_budget_and_verdict() -> None:
    text = table([row(samples(9, 10, 12), samples(40, 30, 50), at_most(0.25))])
    assert text.splitlines()[2] == (
        "| `nono wrap -- true` | 10.0 ms [9.00 to 12.0] | peer: 40.0 ms [30.0 to 50.0] "
        f"| 0.25 {TIMES} | ≤ 0.25 {TIMES} | kept |"
    )


def test_a_row_without_the_peer_names_the_reason() -> None:
    text = table([row(samples(10), ABSENT, at_most(0.25))])
    assert text.splitlines()[2].endswith(
        f"| peer: socat is not installed |  | ≤ 0.25 {TIMES} | not measured |"
    )


def test_a_reason_cannot_add_a_column() -> None:
    first, *_, last = table([row(Absent("a | b"), samples(1), None)]).splitlines()
    assert last.replace("\\|", "").count("|") == first.count("|")


@pytest.mark.parametrize(
    ("budget", "text"),
    [
        (at_most(40, Figure.VALUE), "≤ 40 ms"),
        (at_most(0.5, Figure.ADDED), "≤ 0.5 ms added"),
        (at_least(2), f"≥ 2 {TIMES}"),
        (at_most(1, noise=0.15), f"≤ 1 {TIMES} (noise 15%)"),
    ],
)
def test_a_budget_says_what_it_bounds(budget: Budget, text: str) -> None:
    assert budget_text(budget, "ms") == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(40166.4, "40,166"), (99.94, "99.9"), (9.994, "9.99"), (0.756, "0.76"), (-0.05, "-0.05")],
)
def test_a_number_has_the_digits_that_count(value: float, text: str) -> None:
    assert number(value) == text


def test_the_table_stands_between_facts_and_notes() -> None:
    noted = Row("echo", "ms", samples(1), note="with nginx")
    text = page("Budgets", {"kernel": "Linux 6.12"}, [noted], ["How it was done."])
    parts = ["# Budgets", "- kernel: Linux 6.12", "| echo |", "- echo: with nginx", "How it was done."]
    positions = [text.index(part) for part in parts]
    assert positions == sorted(positions)


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.5, 50.0), (0.99, 99.0), (1.0, 100.0), (0.0, 1.0)],
    ids=["p50", "p99", "max", "min"],
)
def test_a_percentile_is_a_value_that_occurred(share: float, expected: float) -> None:
    assert percentile([float(value) for value in range(100, 0, -1)], share) == expected


def test_no_values_have_no_percentile() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_no_round_makes_no_samples() -> None:
    with pytest.raises(ValueError, match="without a value"):
        Samples(())
