"""nono.launch.session: who hears of an event, and in which order."""

from __future__ import annotations

from pathlib import Path

import pytest

from nono.audit import event
from nono.audit.event import Event
from nono.audit.ledger import AuditLog
from nono.launch.session import recorder_of


def test_an_observer_hears_of_an_event_that_cannot_be_written(tmp_path: Path) -> None:
    heard: list[Event] = []
    log = AuditLog(str(tmp_path / "state"), "closed")
    log.close()
    ended = event.session_ended(0)
    with pytest.raises(OSError, match="already closed"):
        recorder_of(log, heard.append)(ended)
    assert heard == [ended]


def test_observers_hear_of_events_when_no_log_is_kept() -> None:
    heard: list[Event] = []
    ended = event.session_ended(0)
    recorder_of(None, heard.append, heard.append)(ended)
    assert heard == [ended, ended]
