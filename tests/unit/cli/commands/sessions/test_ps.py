"""nono.cli.commands.sessions.ps: when it offers to forget sessions."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nono.audit.ledger import EVENT_FILE
from nono.cli.commands.sessions.ps import LARGE_BYTES, MANY, offer
from unit.sessions.test_record import RECORD


@pytest.mark.parametrize(
    ("count", "log_bytes", "is_offered"),
    [
        (1, 0, False),
        (MANY, 0, False),
        (MANY + 1, 0, True),
        (1, LARGE_BYTES, False),
        (1, LARGE_BYTES + 1, True),
    ],
)
def test_prune_is_offered_when_there_is_much_to_forget(
    count: int, log_bytes: int, is_offered: bool, tmp_path: Path
) -> None:
    log = tmp_path / "nono/audit" / str(RECORD.rollback_session) / EVENT_FILE
    log.parent.mkdir(parents=True)
    log.touch()
    os.truncate(log, log_bytes)  # a hole, which takes no space
    others = [RECORD._replace(rollback_session=None)] * (count - 1)
    found = offer([RECORD, *others], {"HOME": "/nowhere", "XDG_STATE_HOME": str(tmp_path)})
    assert (found is not None) == is_offered
