"""What a report says of a log: the verdict of its verification, in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from nono.audit import event
from nono.audit.ledger import AuditLog
from nono.audit.proof.check import check
from nono.audit.proof.conclusion import conclude, summary_of
from nono.audit.stored import read_log
from nono.report.integrity import integrity_of, proved


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a state directory with the log of a session that nobody has summed up."""
    with AuditLog(str(tmp_path / "nono"), "one") as log:
        log.record(event.session_started(["true"]))
        log.record(event.masked("/x", "a group"))
    return tmp_path / "nono"


@pytest.mark.parametrize(("is_running", "why"), [(True, "it is still written"), (False, "was killed")])
def test_a_log_that_nobody_summed_up_may_lack_its_end(is_running: bool, why: str, root: Path) -> None:
    found = proved(check(str(root), "one", is_running=is_running), is_running=is_running)
    assert (found.is_intact, found.records) == (True, 2)
    assert why in found.what
    assert "there may have been more" in found.what


def test_half_a_record_at_the_end_is_no_record(root: Path) -> None:
    file = root / "audit/one/audit-events.ndjson"
    file.write_bytes(file.read_bytes()[:-9])
    with read_log(str(file.parent)) as reading:
        assert len([*reading]) == 1
        assert not integrity_of(reading, is_ended=True).is_intact
        assert integrity_of(reading, is_ended=False).is_intact


def test_a_log_that_disagrees_with_its_summary_is_not_intact(root: Path) -> None:
    with AuditLog(str(root), "two") as log:
        log.record(event.session_started(["true"]))
        log.record(event.session_ended(0))
    conclude(str(root), summary_of(log))
    whole = proved(check(str(root), "two"), is_running=False)
    assert (whole.is_intact, "matching their summary" in whole.what) == (True, True)
    file = root / "audit/two/audit-events.ndjson"
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:-1]))
    cut = proved(check(str(root), "two"), is_running=False)
    assert not cut.is_intact
    assert cut.what


def test_a_log_that_was_changed_is_intact_up_to_the_change(root: Path) -> None:
    file = root / "audit/one/audit-events.ndjson"
    file.write_bytes(file.read_bytes().replace(b"a group", b"another"))
    with read_log(str(file.parent)) as reading:
        assert len([*reading]) == 1
        found = integrity_of(reading, is_ended=False)
    assert (found.is_intact, found.records) == (False, 1)
