"""What a person sees of undo fits what it does, and the terminal."""

from __future__ import annotations

import errno
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from nono.cli.commands.rollback import command, look, restore, upkeep
from nono.errors import NonoError
from nono.undo import kept, looking, taking, walking
from nono.undo.looking import Allowance
from nono.undo.model.left_out import LeftOut
from nono.undo.walking import Walk
from unit.undo.conftest import Stage

LINE = "word " * 30
TIMEOUT_S = 20.0


def show(stage: Stage, style: str) -> None:
    look.show("latest", stage.environ, style=style, full=False, as_json=False)


def test_lines_beside_each_other_fit_80_columns(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    (stage.root / "a").write_text(f"old {LINE}\n")
    stage.run(lambda: (stage.root / "a").write_text(f"new {LINE}\n"))
    show(stage, "side-by-side")
    (line,) = [each for each in capsys.readouterr().out.splitlines() if " | " in each]
    assert line.startswith("old word")
    assert "new word" in line
    assert len(line) <= 80


@pytest.mark.parametrize(
    ("flags", "shown"),
    [
        ((), []),
        (("--diff",), ["-old", "+new"]),
        (("--full",), ["-old", "+new"]),
        (("--side-by-side",), ["old  ", " | new"]),
    ],
)
def test_each_option_of_show_has_a_form_of_its_own_for_changed_lines(
    flags: tuple[str, ...],
    shown: list[str],
    stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(os, "environ", {**stage.environ, "COLUMNS": "80"})
    (stage.root / "a").write_text("old\n")
    stage.run(lambda: (stage.root / "a").write_text("new\n"))
    assert command.run(["show", "latest", *flags]) == 0
    said = capsys.readouterr().out
    assert [form for form in ("-old", "+new", "old  ", " | new") if form in said] == shown


@pytest.mark.parametrize("is_dry", [True, False])
def test_a_restore_of_times_alone_does_not_count_paths(
    stage: Stage, is_dry: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    (stage.root / "a").write_text("same")
    stage.run(lambda: os.utime(stage.root / "a", (1, 1)))
    restore.run("latest", (), stage.environ, number=0, turn=None, is_dry=is_dry, skips=False, force=False)
    said = capsys.readouterr().out
    assert "times alone" in said
    assert "path(s)" not in said


@pytest.mark.parametrize("is_dry", [True, False])
@pytest.mark.parametrize("is_end_seen", [True, False])
def test_nobody_else_is_blamed_where_the_end_of_the_run_was_not_seen(
    stage: Stage, is_end_seen: bool, is_dry: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    if is_end_seen:
        stage.run(lambda: (stage.root / "a").write_text("run"))
        (stage.root / "a").write_text("person")
    else:
        with stage.recorded():
            (stage.root / "a").write_text("run")
    restore.run("latest", (), stage.environ, number=0, turn=None, is_dry=is_dry, skips=False, force=False)
    said = capsys.readouterr().out
    assert ("somebody else" in said) is is_end_seen
    assert ("run, or" in said) is not is_end_seen
    assert ("--force would restore 1 path(s):" in said) is (is_dry and not is_end_seen)
    assert max(len(line) for line in said.splitlines() if str(stage.root) not in line) <= 80


@pytest.mark.parametrize(("skips", "force", "count"), [(False, False, 0), (True, False, 1), (False, True, 2)])
def test_a_dry_run_says_what_the_same_restore_does_beside_a_change_by_somebody_else(
    stage: Stage, skips: bool, force: bool, count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def restored(*, is_dry: bool) -> tuple[int, str]:
        code = restore.run(
            "latest", (), stage.environ, number=0, turn=None, is_dry=is_dry, skips=skips, force=force
        )
        return code, capsys.readouterr().out

    stage.run(lambda: [(stage.root / name).write_text("run") for name in ("a", "b")])
    (stage.root / "b").write_text("person")
    would, said = restored(is_dry=True)
    assert sorted(os.listdir(stage.root)) == ["a", "b"]
    did, done = restored(is_dry=False)
    assert len(os.listdir(stage.root)) == 2 - count
    assert would == did
    if count:
        assert f"Would restore {count} path(s):" in said
        assert f"Restored {count} path(s)." in done
    else:
        assert "Nothing would be restored, because somebody else changed since:" in said
        assert "--skip-changed would restore 1 path(s):" in said
        assert "Left as it is:" not in said
        assert "Nothing was restored, because somebody else changed since:" in done


@pytest.mark.parametrize("is_dry", [True, False])
@pytest.mark.parametrize(("query", "says"), [("latest", True), ("run-2", False)])
def test_a_restore_of_the_latest_says_first_which_run_that_is(
    stage: Stage, query: str, says: bool, is_dry: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.run(lambda: (stage.root / "a").write_text("older"))
    stage.run(lambda: None)
    restore.run(query, (), stage.environ, number=0, turn=None, is_dry=is_dry, skips=False, force=False)
    first, *_ = capsys.readouterr().out.splitlines()
    assert (first == "Session 0000000000000002, started 2026-01-01: sh") == says


@pytest.mark.parametrize("is_dry", [True, False])
@pytest.mark.parametrize(
    ("name", "included", "says"), [(".git", (), True), (".git", (".git",), False), ("git", (), False)]
)
def test_a_restore_in_a_repository_says_that_commits_stay(
    stage: Stage,
    name: str,
    included: tuple[str, ...],
    says: bool,
    is_dry: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (stage.root / name).mkdir()
    stage.run(lambda: (stage.root / "a").write_text("run"), LeftOut(included=included))
    restore.run("latest", (), stage.environ, number=0, turn=None, is_dry=is_dry, skips=False, force=False)
    said = ".git is left out: branch and commits stay as they are."
    assert (said in capsys.readouterr().out.splitlines()) == says


@pytest.mark.parametrize("is_dry", [True, False])
@pytest.mark.parametrize("name", [".git", "git"])
def test_a_restore_after_commits_alone_were_lost_does_not_say_only_that_nothing_changed(
    stage: Stage, name: str, is_dry: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    (stage.root / ".git").mkdir()
    (stage.root / ".git/HEAD").write_text("ref: refs/heads/main")
    stage.run(lambda: (stage.root / ".git/HEAD").unlink())
    (stage.root / ".git").rename(stage.root / name)
    restore.run("latest", (), stage.environ, number=0, turn=None, is_dry=is_dry, skips=False, force=False)
    said = capsys.readouterr().out.splitlines()
    assert ("Nothing would be restored." if is_dry else "Nothing had to be restored.") in said
    assert (".git is left out: branch and commits stay as they are." in said) == (name == ".git")


def test_a_restore_on_a_full_disk_names_it_before_anything_is_changed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.run(lambda: (stage.root / "a").write_text("run"))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fdatasync", full)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NonoError, match=r"nothing was restored, .*/rollbacks/0+1: No space left") as caught:
        stage.restore()
    assert caught.value.hint == "free space there; nono rollback cleanup drops what is kept of old runs"
    assert (stage.root / "a").read_text() == "run"
    monkeypatch.undo()
    assert stage.restore() == []
    assert not (stage.root / "a").exists()


def test_progress_is_told_while_one_file_is_read(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    (stage.root / "large").write_text("x")
    told, again, waited = list[int](), threading.Event(), list[bool]()
    actual = looking.look

    def slow(*given: Any) -> Any:
        waited.append(again.wait(TIMEOUT_S))
        return actual(*given)

    def progress(count: int) -> None:
        told.append(count)
        if len(told) == 2:
            again.set()

    monkeypatch.setattr(walking, "look", slow)
    walk = Walk(LeftOut().sieve(str(stage.root)), None, {}, 100, Allowance(100, is_strict=True), progress)
    assert set(taking.take(str(stage.root), walk).entries) == {"", "large"}
    assert waited == [True]


def test_an_interrupted_walk_does_not_read_a_large_file_to_its_end(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (stage.root / "large").open("wb") as file:
        file.truncate(512 << 20)
    read = list[int]()
    actual = os.read

    def noted(descriptor: int, size: int) -> bytes:
        content = actual(descriptor, size)
        read.append(len(content))
        return content

    def progress(count: int) -> None:
        if sum(read):
            raise NonoError("interrupted.")

    monkeypatch.setattr(os, "read", noted)
    monkeypatch.setattr(walking, "PROGRESS_EVERY_S", 0.001)
    stage.progress = progress
    with pytest.raises(NonoError, match="interrupted"), stage.recorded():
        pass
    assert 0 < sum(read) < 512 << 20


def test_a_reader_that_has_gone_is_no_fault_of_what_is_kept(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.run(lambda: (stage.root / "a").write_text("new"))
    monkeypatch.setattr(os, "environ", stage.environ)
    reader, writer = os.pipe()
    os.close(reader)
    gone = open(writer, "w", buffering=1)  # noqa: SIM115 - to close it fails as well
    monkeypatch.setattr(sys, "stdout", gone)
    try:
        with pytest.raises(BrokenPipeError):
            command.run(["list"])
    finally:
        with suppress(BrokenPipeError):
            gone.close()


def test_a_check_says_which_snapshot_is_whole_as_show_calls_it(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.run(lambda: (stage.root / "a").write_text("new"))
    assert upkeep.verify("latest", stage.environ) == 0
    assert capsys.readouterr().out.splitlines() == [
        "[000] OK  before the run",
        "[001] OK  after the run",
        "VERIFIED",
    ]


def test_a_check_of_what_is_damaged_ends_with_that_verdict(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.run(lambda: (stage.root / "a").write_text("new"))
    with stage.kept() as session:
        os.unlink(f"{session.path}/{kept.SNAPSHOTS}/001.json")
    assert upkeep.verify("latest", stage.environ) == 1
    assert capsys.readouterr().out.splitlines() == ["[000] OK  before the run", "[001] MISSING", "DAMAGED"]


@pytest.mark.parametrize(
    ("name", "verdicts"),
    [
        (f"{kept.SNAPSHOTS}/000.json", ["[000] DAMAGED", "[001] DAMAGED"]),
        (f"{kept.SNAPSHOTS}/001.json", ["[000] OK  before the run", "[001] DAMAGED"]),
        ("000.idx", ["[000] DAMAGED  before the run", "[001] DAMAGED  after the run"]),
    ],
)
def test_a_check_of_what_cannot_be_read_ends_with_that_verdict_too(
    stage: Stage, capsys: pytest.CaptureFixture[str], name: str, verdicts: list[str]
) -> None:
    (stage.root / "a").write_text("old")
    stage.run(lambda: (stage.root / "a").write_text("new"))
    with stage.kept() as session:
        place = Path(session.path) / name
    place.write_bytes(place.read_bytes()[:-9])
    assert upkeep.verify("latest", stage.environ) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("[")] == verdicts
    assert lines[-1] == "DAMAGED"


def test_a_changed_file_is_called_what_the_report_calls_it(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    (stage.root / "a").write_text("old")
    stage.run(lambda: (stage.root / "a").write_text("new one"))
    show(stage, "list")
    assert "1 modified" in capsys.readouterr().out


def test_what_is_kept_by_somebody_else_is_not_called_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As root with the HOME of another user."""

    def listed() -> int:
        return look.list_sessions(stage.environ, recent=None, path=None, every=False, as_json=False)

    assert listed() == 0
    assert capsys.readouterr().out == "Nothing can be undone: no run with --rollback is kept.\n"
    stage.run(lambda: (stage.root / "a").write_text("new\n"))
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    for asked in (listed, lambda: show(stage, "unified")):
        with pytest.raises(NonoError, match=r"cannot be used: .*: the directory belongs to uid"):
            asked()
