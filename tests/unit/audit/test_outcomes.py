"""nono.audit.outcomes: rows of a log that somebody may have damaged."""

from __future__ import annotations

import pytest

from nono.audit.outcomes import outcome_rows

WHOLE = {"columns": ["request", "status"], "requests": [[1, 200], [2, 403]]}


def test_outcomes_are_read_by_their_columns() -> None:
    assert outcome_rows(WHOLE) == [{"request": 1, "status": 200}, {"request": 2, "status": 403}]


@pytest.mark.parametrize(
    ("damage", "left"),
    [
        ({"columns": None}, 0),
        ({"columns": 5}, 0),
        ({"requests": None}, 0),
        ({"requests": {"a": 1}}, 0),
        ({"requests": [[1, 200], 5]}, 1),
    ],
)
def test_damaged_outcomes_are_left_out(damage: dict[str, object], left: int) -> None:
    assert len(outcome_rows({**WHOLE, **damage})) == left
