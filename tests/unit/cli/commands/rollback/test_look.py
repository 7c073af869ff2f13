"""What --json prints of runs that undo keeps."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from nono.cli.commands.rollback.look import list_sessions, show
from nono.undo.model.snapshot import merkle_root
from unit.undo.conftest import Stage


def listed(stage: Stage, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    list_sessions(stage.environ, path=None, recent=None, every=True, as_json=True)
    (found,) = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


def test_a_snapshot_is_told_with_its_files_before_and_after(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = Stage(tmp_path)
    (stage.root / "gone").write_text("gone")
    (stage.root / "sub").mkdir()

    def act() -> None:
        (stage.root / "new").write_text("new")
        (stage.root / "gone").unlink()

    stage.run(act)
    show("latest", stage.environ, style="", full=False, as_json=True)
    document = json.loads(capsys.readouterr().out)
    first, second = document["snapshots"]
    assert (first["number"], first["parent"], first["file_count"], first["changes"]) == (0, None, 1, [])
    assert (second["number"], second["parent"], second["file_count"]) == (1, 0, 1)
    hashes = [sha256(text).hexdigest() for text in (b"gone", b"new")]
    assert second["changes"] == [
        {
            "path": f"{stage.root}/gone",
            "type": "deleted",
            "size_delta": -4,
            "old_hash": hashes[0],
            "new_hash": None,
        },
        {
            "path": f"{stage.root}/new",
            "type": "created",
            "size_delta": 3,
            "old_hash": None,
            "new_hash": hashes[1],
        },
    ]
    with stage.kept() as kept:
        assert second["merkle_root"] == merkle_root(kept.snapshots()[1])


def test_a_run_that_ended_is_told_from_one_whose_supervisor_was_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = Stage(tmp_path)
    with stage.recorded() as taken:
        running = listed(stage, capsys)
        (stage.root / "new").write_text("new")
        taken.finish(3)
    assert (running["is_alive"], running["is_stale"], running["changed"]) == (True, False, None)
    ended = listed(stage, capsys)
    assert (ended["is_alive"], ended["is_stale"]) == (False, False)
    assert (ended["changed"], ended["snapshot_count"], ended["exit_code"]) == (1, 2, 3)


def test_a_run_whose_supervisor_was_killed_is_stale(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = Stage(tmp_path)
    with stage.recorded():
        pass
    found = listed(stage, capsys)
    assert (found["is_alive"], found["is_stale"], found["ended"]) == (False, True, None)
