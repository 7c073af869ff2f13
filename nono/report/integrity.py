"""Say whether a log is unchanged."""

from __future__ import annotations

from nono.amounts import several
from nono.audit.proof.verdict import MISMATCH, UNFINISHED, Verdict
from nono.audit.reading import Reading
from nono.report.model import Integrity


def proved(verdict: Verdict, *, is_running: bool) -> Integrity:
    """Return the verdict of `nono audit verify` in a sentence."""
    count = verdict.log.intact
    records = several(count, "record")
    if verdict.state == MISMATCH:
        return Integrity(False, "; ".join(verdict.problems), count)
    if verdict.state == UNFINISHED:
        why = "it is still written" if is_running else "nothing sums it up, as its supervisor was killed"
        return Integrity(True, f"{records} up to here; {why}, so there may have been more", count)
    return Integrity(True, f"{records}, matching their summary and the ledger", count)


def integrity_of(reading: Reading, *, is_ended: bool) -> Integrity:
    """Return the verdict on a log that was read to its end or to its first damage."""
    count = reading.state.sequence
    if reading.damage is not None:
        what = f"{reading.damage}; intact before it: {several(count, 'record')}. Nothing else is counted"
        return Integrity(False, what, count)
    if reading.torn and is_ended:
        return Integrity(False, f"the record behind number {count - 1} is incomplete", count)
    return Integrity(True, f"{several(count, 'record')}, each chained to the one before", count)
