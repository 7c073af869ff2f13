"""What is stored of sessions, looked at while others write it."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from nono.audit.ledger import AuditLog
from nono.audit.stored import is_closed
from support.forked import child, in_child


def test_a_log_that_somebody_has_open_is_not_closed(tmp_path: Path) -> None:
    with AuditLog(str(tmp_path / "nono"), "s1") as log:
        assert not is_closed(os.path.dirname(log.path))
    assert is_closed(os.path.dirname(log.path))


def test_whoever_opens_a_log_while_it_is_looked_at_ends_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lease is taken for the look, and whoever breaks one has its holder signalled (fcntl(2))."""
    log = AuditLog(str(tmp_path / "nono"), "s1")
    log.close()
    take = fcntl.fcntl

    def write() -> None:
        with suppress(BlockingIOError):  # the lease is there
            os.close(os.open(log.path, os.O_WRONLY | os.O_NONBLOCK))

    def taken(file: Any, command: int, argument: int) -> object:
        result = take(file, command, argument)
        if command == fcntl.F_SETLEASE:
            with child(write) as writer:
                writer.wait()
        return result

    monkeypatch.setattr(fcntl, "fcntl", taken)
    assert in_child(lambda: is_closed(os.path.dirname(log.path)))
