"""What --record-flows says when it cannot record."""

from __future__ import annotations

from pathlib import Path

import pytest

from nono.audit.event import Event
from nono.errors import NonoError
from nono.launch.proxy.flows import recording


def test_a_file_that_is_there_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "flows"
    path.write_text("mine")
    events = list[Event]()
    with (
        pytest.raises(NonoError, match="cannot be made: File exists"),
        recording(str(path), lambda text: text, frozenset(), events.append, print),
    ):
        pass
    assert path.read_text() == "mine"
    assert events == []


def test_a_recording_is_named_in_the_log_by_its_whole_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    events = list[Event]()
    with recording("flows", lambda text: text, frozenset(), events.append, print):
        pass
    assert [(each["type"], each["path"]) for each in events] == [("flows_recorded", str(tmp_path / "flows"))]
