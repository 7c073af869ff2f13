"""What a run has changed is read from what undo keeps: by turn, with its lines, and never without bound."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nono.cli.commands.report import changed as module
from nono.cli.commands.report.changed import changed
from nono.report.model import FileChange
from nono.sessions.record import Record
from unit.undo.conftest import Stage

RECORD = Record(
    f"{1:016x}", "run-1", 1, 1, "2026-01-01", 0, "exited", "detached", 0, ("sh",), None, "/", "allowed", None
)  # fmt: skip


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def found(stage: Stage) -> list[tuple[int | None, str, str, tuple[str, ...]]]:
    changes = changed(RECORD, stage.environ)
    assert changes is not None
    return [_row(stage, each) for each in changes]


def _row(stage: Stage, change: FileChange) -> tuple[int | None, str, str, tuple[str, ...]]:
    return change.turn, change.change, os.path.relpath(change.path, stage.root), change.diff


def test_changes_are_listed_by_turn_with_their_lines(stage: Stage) -> None:
    file = stage.root / "deep/file"
    with stage.recorded() as run:
        file.parent.mkdir()
        file.write_text("one\n")
        run.mark("before turn 2")
        file.write_text("one\ntwo\n")
        run.finish(0)
    assert found(stage) == [
        (None, "created", "deep/file", ("@@ -0,0 +1 @@", "+one")),
        (2, "modified", "deep/file", ("@@ -1 +1,2 @@", " one", "+two")),
    ]


@pytest.mark.parametrize(
    "content",
    [b"\0\xff", b"x\n" * (module.DIFF_LINES_MAX + 1), b"x" * (module.DIFF_BYTES_MAX + 1)],
    ids=["no text", "too many lines", "too large"],
)
def test_what_cannot_be_compared_is_listed_without_lines(content: bytes, stage: Stage) -> None:
    with stage.recorded() as run:
        (stage.root / "file").write_bytes(content)
        run.finish(0)
    assert found(stage) == [(None, "created", "file", ())]


def test_no_number_of_files_hides_one_and_only_the_first_are_compared(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FILES_MAX", 2)
    with stage.recorded() as run:
        for name in ("a", "b", "package.json"):
            (stage.root / name).write_text("x\n")
        run.finish(0)
    lines = ("@@ -0,0 +1 @@", "+x")
    expected = [("a", lines), ("b", lines), ("package.json", ())]
    assert [(name, diff) for _, _, name, diff in found(stage)] == expected


def test_a_name_that_is_not_utf_8_is_spelled_out(stage: Stage) -> None:
    with stage.recorded() as run:
        (stage.root / os.fsdecode(b"a\xff")).write_text("x")
        run.finish(0)
    assert [name for _, _, name, _ in found(stage)] == ["a\\xff"]


def test_nothing_is_claimed_of_a_run_without_an_end(stage: Stage) -> None:
    with stage.recorded() as run:
        (stage.root / "file").write_text("x")
        run.mark("before turn 1")
    assert changed(RECORD, stage.environ) is None


def test_nothing_is_claimed_of_a_run_that_kept_nothing(stage: Stage) -> None:
    assert changed(RECORD, stage.environ) is None
