"""nono.outward.spool: what is noted of how much a collector has."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from nono.outward import spool
from nono.outward.spool import Cursor

ONE, OTHER = "https://one.test/v1/logs", "https://other.test/v1/logs"


@pytest.fixture
def session(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    yield descriptor
    os.close(descriptor)


def test_each_collector_has_its_own_cursor(session: int) -> None:
    cursors = [Cursor(ONE, 3, 1, True), Cursor(OTHER, 2)]
    for cursor in cursors:
        spool.write(session, cursor)
    assert [spool.read(session, each.endpoint) for each in cursors] == cursors
    assert sorted(spool.every(session)) == cursors


def test_a_cursor_under_another_one_s_name_is_none(session: int, tmp_path: Path) -> None:
    spool.write(session, Cursor(ONE))
    (tmp_path / spool.file_of(ONE)).rename(tmp_path / spool.file_of(OTHER))
    assert spool.read(session, OTHER) is None
    assert spool.every(session) == []


@pytest.mark.parametrize(
    "fields",
    [{"sent": -1}, {"gaps": -1}, {"sent": True}, {"sent": 1.0}, {"is_complete": 1}, {"endpoint": None}],
)
def test_a_cursor_that_nono_does_not_write_is_none(
    session: int, tmp_path: Path, fields: dict[str, object]
) -> None:
    (tmp_path / spool.file_of(ONE)).write_text(json.dumps(Cursor(ONE)._asdict() | fields))
    assert spool.read(session, ONE) is None
