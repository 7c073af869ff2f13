"""Decide which ended sessions are removed."""

from __future__ import annotations

from collections.abc import Sequence

from nono.named_tuple import NamedTuple
from nono.sessions.record import Record

DAYS = 30
DAY_MS = 24 * 60 * 60 * 1000


class Held(NamedTuple):
    """An ended session, with the size of its audit log and screen recording."""

    record: Record
    log_bytes: int


class Retention(NamedTuple):
    """The limits of what is kept. Without limits, sessions of the last DAYS days."""

    older_than_days: int | None = None
    keep: int | None = None  # the newest sessions, this many
    max_mb: int | None = None  # MiB of logs


def outdated(held: Sequence[Held], retention: Retention, now_ms: int) -> list[Record]:
    """Return the sessions to remove. `held` begins with the newest, and none of them runs."""
    days = DAYS if retention == Retention() else retention.older_than_days
    found, total = [], 0
    for index, (record, size) in enumerate(held):
        total += size
        ended_ms = record.started_unix_ms if record.ended_unix_ms is None else record.ended_unix_ms
        is_old = days is not None and now_ms - ended_ms >= days * DAY_MS
        is_beyond = retention.keep is not None and index >= retention.keep
        is_large = retention.max_mb is not None and total > retention.max_mb << 20
        if is_old or is_beyond or is_large:
            found.append(record)
    return found
