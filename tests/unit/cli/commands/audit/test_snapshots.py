"""Beside each snapshot that a log names stands what undo keeps of it, and nothing of another one."""

from __future__ import annotations

from pathlib import Path

import pytest

from nono.cli.commands.audit.snapshots import with_what_is_kept
from nono.undo.model.snapshot import merkle_root
from unit.undo.conftest import Stage

SESSION = f"{1:016x}"
NOT_KEPT = {"timestamp": None, "file_count": None, "changes": None}


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    stage = Stage(tmp_path)
    (stage.root / "old").write_text("old")
    stage.run(lambda: (stage.root / "new").write_text("new"))
    return stage


def logged(stage: Stage, number: int) -> dict[str, object]:
    with stage.kept(SESSION) as kept:
        snapshot = kept.snapshots()[number]
        return {"number": number, "kind": snapshot.kind, "merkle_root": merkle_root(snapshot), "turn": None}


def test_what_undo_keeps_stands_beside_it(stage: Stage) -> None:
    before, after = with_what_is_kept(SESSION, [logged(stage, 0), logged(stage, 1)], stage.environ)
    assert (before["file_count"], before["changes"], after["file_count"]) == (1, [], 2)
    (change,) = after["changes"] if isinstance(after["changes"], list) else []
    assert (change["path"], change["type"], change["size_delta"]) == (f"{stage.root}/new", "created", 3)
    assert str(before["timestamp"]).isdigit()


def test_a_mark_whose_digest_the_log_does_not_have_is_known_by_its_number(stage: Stage) -> None:
    (mark,) = with_what_is_kept(SESSION, [logged(stage, 1) | {"merkle_root": None}], stage.environ)
    assert mark["file_count"] == 2


@pytest.mark.parametrize("other", [{"merkle_root": "0" * 64}, {"number": 2}, {"number": "1"}], ids=str)
def test_a_snapshot_that_the_log_does_not_name_is_not_shown(stage: Stage, other: dict[str, object]) -> None:
    named = logged(stage, 1) | other
    assert with_what_is_kept(SESSION, [named], stage.environ) == [{**named, **NOT_KEPT}]


def test_of_a_run_that_undo_keeps_no_longer_the_log_alone_is_shown(stage: Stage) -> None:
    named = logged(stage, 1)
    assert with_what_is_kept(f"{2:016x}", [named], stage.environ) == [{**named, **NOT_KEPT}]


def test_of_a_damaged_snapshot_the_log_alone_is_shown(stage: Stage) -> None:
    named = logged(stage, 1)
    place = Path(stage.environ["XDG_STATE_HOME"]) / "nono/rollbacks" / SESSION / "snapshots/001.json"
    place.write_bytes(place.read_bytes().replace(b"new", b"old"))
    assert with_what_is_kept(SESSION, [named], stage.environ) == [{**named, **NOT_KEPT}]
