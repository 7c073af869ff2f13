"""A log to carry outward, and those who take it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nono.audit import event
from nono.audit.ledger import AuditLog
from support.outward.collector import Collector, collector
from support.outward.timestamps import Authority, authority

SESSION = "0123456789abcdef"


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    with authority(tmp_path_factory.mktemp("tsa")) as served:
        yield served


@pytest.fixture
def sink() -> Iterator[Collector]:
    with collector() as served:
        yield served


@pytest.fixture
def log(tmp_path: Path) -> Iterator[AuditLog]:
    with AuditLog(str(tmp_path), SESSION) as made:
        made.record(event.session_started(["true"]))
        yield made
