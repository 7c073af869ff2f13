"""Says whether a log that was read is as it was written."""

from __future__ import annotations

from nono.audit.reading import Reading
from nono.report.model import Integrity


def integrity_of(reading: Reading, *, is_ended: bool) -> Integrity:
    """Return the verdict on a log, once it was read to its end or its first damage."""
    count = reading.state.sequence
    if reading.damage is not None:
        what = f"{reading.damage}; the {count:,} records before it hold, and nothing behind them is counted"
        return Integrity(False, what, count)
    if reading.torn and is_ended:
        return Integrity(False, f"the record behind number {count - 1} is incomplete", count)
    return Integrity(True, f"{count:,} records, each chained to the one before", count)
