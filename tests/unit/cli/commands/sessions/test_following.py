"""nono.cli.commands.sessions.following: the log of a session as it is written."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nono.audit.event import session_ended, session_started
from nono.audit.ledger import AuditLog
from nono.cli.commands.sessions.chosen import Chosen
from nono.cli.commands.sessions.following import Follower, following
from nono.sessions import ends
from nono.sessions.record import End
from nono.sessions.registry import Entry, Registry, new_record

SESSION = "0123456789abcdef"
TIMEOUT_S = 20


@pytest.fixture
def entry(tmp_path: Path) -> Iterator[Entry]:
    """A session that this process supervises."""
    record = new_record(
        SESSION, name="web", child_pid=1, command=["true"], profile=None, network="", has_audit=True
    )
    with Registry({"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)}, create=True) as registry:
        registry.write(record)
        (tmp_path / "nono/audit").mkdir(mode=0o700)
        yield Entry(registry, record)


class Reader(threading.Thread):
    """Follows a log to its end."""

    def __init__(self, follower: Follower) -> None:
        super().__init__(daemon=True)
        self._follower = follower
        self.has_begun = threading.Event()
        self.lines: list[bytes] = []

    def run(self) -> None:
        with self._follower.opened() as file:
            for batch in self._follower.batches(file):
                self.lines += batch
                if self.lines:
                    self.has_begun.set()


def test_a_log_that_is_about_to_begin_is_waited_for_to_its_end(entry: Entry, tmp_path: Path) -> None:
    directory = str(tmp_path / "nono/audit" / SESSION)
    with following(Chosen(entry.registry, entry.record), directory) as follower:
        reader = Reader(follower)
        reader.start()
        with AuditLog(str(tmp_path / "nono"), SESSION) as log:
            log.record(session_started(["true"]))
            assert reader.has_begun.wait(TIMEOUT_S)
            log.record(session_ended(0))
        entry.ended(0, End(ends.EXIT))
        reader.join(TIMEOUT_S)
        assert not reader.is_alive()
    assert len(reader.lines) == 2
