"""nono.sessions.retention: which sessions are forgotten."""

from __future__ import annotations

import pytest

from nono.sessions.retention import Held, Retention, outdated
from unit.sessions.test_record import RECORD

NOW_DAYS = 100
DAY_MS = 86_400_000


def held(days_ago: int, mb: int = 1) -> Held:
    at_ms = (NOW_DAYS - days_ago) * DAY_MS
    record = RECORD._replace(session_id=f"d{days_ago}", started_unix_ms=at_ms, ended_unix_ms=at_ms)
    return Held(record, mb << 20)


ALL = [held(0), held(1), held(10), held(29), held(30), held(90)]


@pytest.mark.parametrize(
    ("retention", "ids"),
    [
        (Retention(), ["d30", "d90"]),
        (Retention(older_than_days=10), ["d10", "d29", "d30", "d90"]),
        (Retention(older_than_days=0), ["d0", "d1", "d10", "d29", "d30", "d90"]),
        (Retention(keep=5), ["d90"]),
        (Retention(keep=6), []),
        (Retention(max_mb=2), ["d10", "d29", "d30", "d90"]),
        (Retention(older_than_days=90, keep=4), ["d30", "d90"]),
    ],
)
def test_what_is_beyond_the_retention_is_forgotten(retention: Retention, ids: list[str]) -> None:
    assert [record.session_id for record in outdated(ALL, retention, NOW_DAYS * DAY_MS)] == ids


def test_a_session_that_never_wrote_its_end_has_the_age_of_its_start() -> None:
    lost = held(31)
    lost = lost._replace(record=lost.record._replace(ended_unix_ms=None))
    assert outdated([lost], Retention(), NOW_DAYS * DAY_MS) == [lost.record]


def test_a_long_session_has_the_age_of_its_end() -> None:
    long = held(31)
    long = long._replace(record=long.record._replace(ended_unix_ms=(NOW_DAYS - 1) * DAY_MS))
    assert outdated([long], Retention(), NOW_DAYS * DAY_MS) == []
