"""nono.launch.session: who hears of an event, and in which order."""

from __future__ import annotations

from pathlib import Path

import pytest

from nono.audit import event
from nono.audit.event import Event
from nono.audit.ledger import AuditLog
from nono.launch.session import Session, recorder_of


def test_an_observer_hears_of_an_event_that_cannot_be_written(tmp_path: Path) -> None:
    heard: list[Event] = []
    log = AuditLog(str(tmp_path / "state"), "closed")
    log.close()
    ended = event.session_ended(0)
    with pytest.raises(OSError, match="already closed"):
        recorder_of(log, heard.append)(ended)
    assert heard == [ended]


def test_a_failure_of_a_standalone_proxy_is_told_as_a_warning_and_of_a_run_beyond_it() -> None:
    warned, insisted = list[str](), list[str]()
    proxy = Session({}, None, lambda event: None, warned.append, lambda lines: None)
    proxy.tell_failure("no anchor")
    proxy._replace(insist=insisted.append).tell_failure("no proof")
    assert (warned, insisted) == (["no anchor"], ["no proof"])


def test_observers_hear_of_events_when_no_log_is_kept() -> None:
    heard: list[Event] = []
    ended = event.session_ended(0)
    recorder_of(None, heard.append, heard.append)(ended)
    assert heard == [ended, ended]
