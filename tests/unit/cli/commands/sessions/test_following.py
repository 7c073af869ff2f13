"""nono.cli.commands.sessions.following: the log of a session as it is written."""

from __future__ import annotations

import errno
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nono.audit.event import session_ended, session_hook, session_started
from nono.audit.ledger import AuditLog
from nono.cli.commands.sessions import following as module
from nono.cli.commands.sessions.chosen import Chosen
from nono.cli.commands.sessions.following import Follower, following
from nono.kernel import inotify
from nono.sessions import ends
from nono.sessions.processes import process_stat
from nono.sessions.record import End
from nono.sessions.registry import Entry, Registry, new_record

SESSION = "0123456789abcdef"
TIMEOUT_S = 20


@pytest.fixture
def supervisor() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "987"]) as process:
        yield process
        process.kill()


@pytest.fixture
def entry(supervisor: subprocess.Popen[bytes], tmp_path: Path) -> Iterator[Entry]:
    """Yield a session whose supervisor is another process, as far as its record says."""
    record = new_record(
        SESSION, name="web", child_pid=1, command=["true"], profile=None, network="", has_audit=True
    )
    found = process_stat(supervisor.pid)
    assert found is not None
    record = record._replace(supervisor_pid=supervisor.pid, started_epoch=found.started_ticks)
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
                if batch:
                    self.has_begun.set()


@contextmanager
def reading(entry: Entry, tmp_path: Path) -> Iterator[Reader]:
    directory = str(tmp_path / "nono/audit" / SESSION)
    with following(Chosen(entry.registry, entry.record), directory) as follower:
        reader = Reader(follower)
        reader.start()
        yield reader
        reader.join(TIMEOUT_S)
        assert not reader.is_alive()


def test_a_log_that_is_about_to_begin_is_waited_for(
    entry: Entry, supervisor: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    with reading(entry, tmp_path) as reader:
        with AuditLog(str(tmp_path / "nono"), SESSION) as log:
            log.record(session_started(["true"]))
        assert reader.has_begun.wait(TIMEOUT_S)
        supervisor.kill()
    assert len(reader.lines) == 1


def test_what_is_written_after_the_end_of_the_command_is_read(
    entry: Entry, supervisor: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    with reading(entry, tmp_path) as reader, AuditLog(str(tmp_path / "nono"), SESSION) as log:
        log.record(session_ended(0))
        assert reader.has_begun.wait(TIMEOUT_S)
        entry.ended(0, End(ends.EXIT))
        log.record(session_hook("after", "/bin/x", 0, 1, None, [], None))
        supervisor.kill()
    assert len(reader.lines) == 2


@pytest.mark.parametrize("watch", ["watch_names", "watch_file"])
def test_a_log_that_cannot_be_watched_is_read_all_the_same(
    watch: str,
    entry: Entry,
    supervisor: subprocess.Popen[bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(queue: int, watched: object) -> None:
        raise OSError(errno.ENOSPC, "fs.inotify.max_user_watches")

    monkeypatch.setattr(inotify, watch, refuse)
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.05)
    with reading(entry, tmp_path) as reader, AuditLog(str(tmp_path / "nono"), SESSION) as log:
        log.record(session_started(["true"]))
        assert reader.has_begun.wait(TIMEOUT_S)
        reader.has_begun.clear()
        log.record(session_ended(0))
        assert reader.has_begun.wait(TIMEOUT_S)
        supervisor.kill()
    assert len(reader.lines) == 2
