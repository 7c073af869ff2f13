"""A restore brings back what was, and leaves alone what is not of the run."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from nono.errors import NonoError
from nono.undo import looking, restoring
from nono.undo.looking import RACY_NS
from nono.undo.model.entry import Entry
from nono.undo.model.left_out import LeftOut, left_out
from nono.undo.model.restore_plan import Plan
from nono.undo.recording import Limits
from unit.undo.conftest import Stage


def write(path: Path, content: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def shell(stage: Stage, line: str) -> None:
    subprocess.run(["sh", "-ec", line], cwd=stage.root, check=True)


def test_what_a_shell_did_is_undone(stage: Stage) -> None:
    write(stage.root / "a", "old")
    write(stage.root / "c/deep", "moved")
    before = stage.look()
    assert stage.run(lambda: shell(stage, "rm a; echo x > b; mv c d")) == [
        "deleted a", "created b", "deleted c", "deleted c/deep", "created d", "created d/deep",
    ]  # fmt: skip
    assert stage.look() != before
    assert stage.restore() == []
    assert stage.look() == before


def test_a_restore_can_be_undone(stage: Stage) -> None:
    write(stage.root / "a", "old")
    stage.run(lambda: shell(stage, "echo new > a; mkdir -p e/f; echo g > e/f/g; ln -s a l"))
    after = stage.look()
    stage.restore()
    with stage.kept() as session:
        safety = session.count() - 2
    assert stage.restore(safety) == []
    assert stage.look() == after


def test_what_somebody_else_changed_since_is_refused_by_name(stage: Stage) -> None:
    write(stage.root / "mine", "old")
    write(stage.root / "other", "old")
    stage.run(lambda: shell(stage, "echo run > mine; echo run > other; echo run > made"))
    write(stage.root / "mine", "edited since")
    write(stage.root / "made", "edited since")
    assert stage.restore() == ["made: changed since the run ended", "mine: changed since the run ended"]
    assert (stage.root / "mine").read_text() == "edited since"
    assert (stage.root / "made").read_text() == "edited since"
    assert (stage.root / "other").read_text() == "old"
    assert stage.restore(force=True) == []
    assert (stage.root / "mine").read_text() == "old"
    assert not (stage.root / "made").exists()


@pytest.mark.parametrize(("by_run", "since"), [("true", "made/mine"), ("mkdir made/target", "made/target/x")])
def test_what_was_created_since_the_run_or_left_out_is_kept(stage: Stage, by_run: str, since: str) -> None:
    """Of a directory of the run's own that undo leaves out it was said that the run did not make it."""
    stage.run(lambda: shell(stage, f"mkdir made; echo run > made/run; {by_run}"))
    write(stage.root / since, "since")
    assert stage.restore() == ["made: it holds what the run did not make, or undo left out"]
    assert (stage.root / since).read_text() == "since"
    assert not (stage.root / "made/run").exists()


def test_what_was_left_out_is_not_deleted(stage: Stage) -> None:
    """nono#1478: a restore with another filter than the snapshot's deleted all that that had left out."""
    for path in (".env", "logs/1.log", "node_modules/a/b.js", "dist/out", ".git/HEAD"):
        write(stage.root / path, "kept")
    excluded = left_out((".env", "*.log"))
    before = stage.look()
    assert stage.run(lambda: shell(stage, "echo x > new"), excluded) == ["created new"]
    assert stage.restore() == []
    assert stage.look() == before


def test_a_directory_that_is_left_out_is_not_opened(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    write(stage.root / "src/a")
    write(stage.root / "node_modules/b")
    opened: list[str] = []
    actual = os.open

    def noted(path: str, *rest: int, **named: int) -> int:
        opened.append(str(path))
        return actual(path, *rest, **named)

    monkeypatch.setattr(os, "open", noted)
    stage.run(lambda: None)
    assert "src" in opened
    assert "node_modules" not in opened


def test_a_name_above_the_granted_directory_leaves_nothing_out(tmp_path: Path) -> None:
    place = tmp_path / "build/node_modules"
    place.mkdir(parents=True)
    stage = Stage(place)
    assert stage.run(lambda: shell(stage, "echo x > new")) == ["created new"]


def test_no_link_is_followed_out_of_the_tree(stage: Stage, tmp_path: Path) -> None:
    outside = write(tmp_path / "outside/file", "not the run's")
    write(stage.root / "sub/file", "old")
    stage.run(lambda: shell(stage, "echo run > sub/file"))
    # Planted after the run, by somebody who wants the restore to write elsewhere.
    (stage.root / "sub").rename(stage.root / "elsewhere")
    (stage.root / "sub").symlink_to(outside.parent)
    assert all(
        "a directory above it is a link now" in each or each.startswith("sub:") for each in stage.restore()
    )
    assert outside.read_text() == "not the run's"


def test_a_restore_by_force_says_what_lies_behind_a_link(stage: Stage, tmp_path: Path) -> None:
    kept, file = write(tmp_path / "outside/file", "not the run's"), write(stage.root / "sub/file", "old")
    other = write(stage.root / "other", "old")
    stage.run(lambda: shell(stage, "echo run > sub/file; echo run > other"))
    shell(stage, "rm -r sub; ln -s ../outside sub; echo since > other")
    assert stage.restore(force=True) == ["sub/file: a directory above it is a link now"]
    assert kept.read_text() == "not the run's"
    assert other.read_text() == "old"
    assert file.parent.is_symlink()


def test_what_the_run_removed_is_said_to_lie_behind_a_link(stage: Stage, tmp_path: Path) -> None:
    write(stage.root / "sub/file", "old")
    outside = tmp_path / "outside"
    outside.mkdir()
    stage.run(lambda: shell(stage, "rm sub/file"))
    shell(stage, f"mv sub away; ln -s {outside} sub")
    assert stage.restore() == [
        "sub: changed since the run ended",
        "sub/file: a directory above it is a link now",
    ]
    assert not any(outside.iterdir())


def test_links_are_brought_back_and_not_followed(stage: Stage, tmp_path: Path) -> None:
    outside = write(tmp_path / "outside", "not the run's")
    (stage.root / "link").symlink_to(outside)
    (stage.root / "dangling").symlink_to("nowhere")
    before = stage.look()
    stage.run(lambda: shell(stage, "rm link dangling; echo x > link; ln -s link made"))
    assert stage.restore() == []
    assert stage.look() == before
    assert outside.read_text() == "not the run's"


def test_modes_attributes_times_holes_empty_directories_are_brought_back(stage: Stage) -> None:
    file = write(stage.root / "file", "x" * 5000)
    file.chmod(0o640)
    os.setxattr(file, "user.note", b"\x00\xff")
    os.utime(file, ns=(10**18, 10**18 + 123456789))
    sparse = stage.root / "sparse"
    with sparse.open("wb") as hole:
        hole.truncate(3 << 20)
        hole.seek(2 << 20)
        hole.write(b"end")
    (stage.root / "empty").mkdir(0o750)
    write(stage.root / os.fsdecode(b"\xff\xfe not utf-8"), "bytes")
    before, blocks = stage.look(), sparse.stat().st_blocks
    stage.run(lambda: shell(stage, "rm -r -- *"))
    assert stage.look().keys() == {b"."}
    assert stage.restore() == []
    assert stage.look() == before
    assert sparse.stat().st_blocks <= blocks


def test_a_file_of_somebody_else_lends_nobody_the_rights_of_the_restorer(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs, mine = write(stage.root / "theirs"), write(stage.root / "mine")
    theirs.chmod(0o6755)
    mine.chmod(0o6755)
    number, actual = theirs.stat().st_ino, looking.entry_of

    def foreign(status: os.stat_result, *read: Any) -> Entry:
        entry = actual(status, *read)
        return entry._replace(uid=entry.uid + 1) if entry.inode == number else entry

    monkeypatch.setattr(looking, "entry_of", foreign)
    with stage.recorded() as taken:
        theirs.unlink()
        mine.unlink()
        taken.finish(0)
    monkeypatch.setattr(looking, "entry_of", actual)

    def refused(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "fchown", refused)
    assert stage.restore() == ["theirs: it still differs after the restore: owner, mode"]
    assert theirs.stat().st_mode & 0o7777 == 0o755
    assert mine.stat().st_mode & 0o7777 == 0o6755


def test_a_change_of_metadata_alone_is_undone(stage: Stage) -> None:
    file = write(stage.root / "file")
    file.chmod(0o600)
    os.setxattr(file, "user.note", b"old")
    before = stage.look()

    def act() -> None:
        file.chmod(0o755)
        os.setxattr(file, "user.note", b"new")
        os.setxattr(file, "user.more", b"new")

    assert stage.run(act) == ["permissions file"]
    assert stage.restore() == []
    assert stage.look() == before


@pytest.mark.parametrize("line", ["rm a", "rm a b c", "echo x > a", "rm a; cp b a; echo y >> a"])
def test_the_names_of_one_file_are_brought_back_as_such(stage: Stage, line: str) -> None:
    write(stage.root / "a", "old")
    os.link(stage.root / "a", stage.root / "b")
    os.link(stage.root / "a", stage.root / "c")
    write(stage.root / "other", "old")
    before = stage.look()
    stage.run(lambda: shell(stage, line))
    assert stage.restore() == []
    assert stage.look() == before
    assert len({os.stat(stage.root / name).st_ino for name in "abc"}) == 1
    assert (stage.root / "other").stat().st_nlink == 1


def test_a_file_with_names_elsewhere_is_restored_without_changing_those(stage: Stage, tmp_path: Path) -> None:
    write(stage.root / "a", "old")
    stage.run(lambda: shell(stage, "echo run > a"))
    os.link(stage.root / "a", tmp_path / "outside")
    stage.restore(force=True)
    assert (stage.root / "a").read_text() == "old"
    assert (tmp_path / "outside").read_text() == "run\n"


def test_sockets_are_left_and_said(stage: Stage) -> None:
    os.mkfifo(stage.root / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(stage.root / "socket"))
        stage.run(lambda: shell(stage, "rm fifo socket"))
    assert sorted(stage.restore()) == [
        "fifo: a socket, FIFO or device is not kept",
        "socket: a socket, FIFO or device is not kept",
    ]


def test_a_file_that_keeps_changing_is_marked_as_unrestorable(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(stage.root / "busy", "0")
    actual, count = os.read, iter(range(1000))

    def disturbed(descriptor: int, size: int) -> bytes:
        content = actual(descriptor, size)
        if os.readlink(f"/proc/self/fd/{descriptor}") == str(file):
            file.write_text(f"{next(count)}, written while it is read")
        return content

    monkeypatch.setattr(os, "read", disturbed)
    with stage.recorded() as taken:
        monkeypatch.undo()
        assert taken.baseline.trees[0].entries["busy"].content is None
        file.write_text("by the run")
        taken.finish(0)
    assert stage.restore() == ["busy: it could not be read before the run"]
    assert file.read_text() == "by the run"


def test_an_unchanged_file_is_not_read_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(stage.root / "file")
    while time.time_ns() < file.stat().st_ctime_ns + 2 * RACY_NS:
        time.sleep(0.01)
    with stage.recorded() as taken:
        taken.finish(0)
    read: list[int] = []
    actual = os.read

    def noted(descriptor: int, size: int) -> bytes:
        read.append(descriptor)
        return actual(descriptor, size)

    monkeypatch.setattr(os, "read", noted)
    with stage.recorded() as again:
        again.finish(0)
    assert read == []
    write(file, "changed since")
    stage.run(lambda: shell(stage, "echo run > file"))
    assert read != []
    stage.restore()
    assert file.read_text() == "changed since"


def test_content_outlives_the_session_it_was_first_kept_by(stage: Stage) -> None:
    write(stage.root / "small", "old")
    write(stage.root / "large", "old" * (1 << 20))
    before = stage.look()
    stage.run(lambda: None)
    stage.run(lambda: shell(stage, "rm small large"))
    with stage.kept("0000000000000001") as first:
        path = Path(first.path)
    subprocess.run(["rm", "-r", path], check=True)
    assert stage.restore() == []
    assert stage.look() == before


def test_a_run_whose_end_was_not_seen_is_restored_by_force_alone(stage: Stage) -> None:
    write(stage.root / "a", "old")
    with stage.recorded():
        shell(stage, "echo run > a")
    assert stage.restore() == ["a: the end of the run was not seen"]
    assert stage.restore(force=True) == []
    assert (stage.root / "a").read_text() == "old"


def test_a_mark_between_two_turns_can_be_gone_back_to(stage: Stage) -> None:
    write(stage.root / "a", "0")
    with stage.recorded() as taken:
        shell(stage, "echo 1 > a; mkdir d; echo 1 > d/e")
        first = taken.mark("before turn 2", [str(stage.root / "a"), str(stage.root / "d")])
        between = stage.look()
        shell(stage, "echo 2 > a; rm -r d; echo 2 > f")
        second = taken.mark("before turn 3")
        shell(stage, "echo 3 > a")
        taken.finish(0)
    assert [each.path for each in first.changes if each.type.value != "touched"] == ["a", "d", "d/e"]
    assert [each.path for each in second.changes if each.type.value != "touched"] == ["a", "d", "d/e", "f"]
    assert stage.restore(first.number) == []
    assert stage.look() == between


def test_two_runs_in_one_tree_are_said(stage: Stage) -> None:
    from nono.undo.recording import beside

    with stage.recorded() as one, stage.recorded() as other:
        assert beside(stage.environ, one.info) == [other.info.session_id]
        assert beside(stage.environ, other.info) == [one.info.session_id]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("gone", None),
        ("same", None),
        ("", None),
        ("..", None),
        ("../elsewhere", "does not cover"),
        ("node_modules/x", "left .* out"),
        ("gonee", "kept nothing at"),
    ],
)
def test_a_path_that_undo_never_kept_is_named(stage: Stage, path: str, said: str | None) -> None:
    for name in ("gone", "same", "node_modules/x"):
        write(stage.root / name)
    stage.run(lambda: shell(stage, "rm gone node_modules/x"))
    with stage.kept() as session:
        where = os.path.normpath(stage.root / path)
        if said is None:
            restoring.prepare(session, 0, [where])
            return
        with pytest.raises(NonoError, match=said):
            restoring.prepare(session, 0, [where])


def test_a_path_whose_creation_was_undone_may_be_named_again(stage: Stage) -> None:
    stage.run(lambda: shell(stage, "echo x > made; echo x > other"))
    made = str(stage.root / "made")
    with stage.kept() as session:
        assert restoring.restore(session, restoring.prepare(session, 0, [made])).left == ()
        assert not os.path.lexists(made)
        assert restoring.prepare(session, 0, [made]).plan.steps == ()
        with pytest.raises(NonoError, match="kept nothing at"):
            restoring.prepare(session, 0, [f"{made}2"])


def test_a_session_that_is_running_is_not_restored(stage: Stage) -> None:
    from nono.errors import NonoError

    with stage.recorded(), pytest.raises(NonoError, match="still running"):
        stage.restore()


@pytest.mark.parametrize(
    ("sieved", "path", "is_directory", "is_left_out"),
    [
        pytest.param(LeftOut(), "sub/build", True, False, id="a source directory may be called build"),
        pytest.param(LeftOut(), "build", True, True, id="but not at the top"),
        pytest.param(LeftOut(), "target", False, False, id="a file may be called target"),
        pytest.param(LeftOut(), "sub/target", True, True, id="a directory may not"),
        pytest.param(LeftOut(), "sub/.mypy_cache", True, True, id="the cache of a checker"),
        pytest.param(LeftOut(), "sub/.mypy_cache", False, False, id="a file may be called like one"),
        pytest.param(left_out(("a/b",)), "a/b", True, True, id="relative"),
        pytest.param(left_out(("a/b",)), "c/a/b", True, False, id="relative to the granted directory"),
        pytest.param(left_out(("/r/a",)), "a", True, True, id="absolute"),
        pytest.param(left_out(("/q/a",)), "a", True, False, id="absolute, of another granted directory"),
        pytest.param(left_out(("*.log",)), "x/y.log", False, True, id="pattern"),
        pytest.param(left_out((), included=("target",)), "target", True, False, id="included"),
        pytest.param(left_out((), everything=True), "node_modules", True, False, id="everything"),
        pytest.param(left_out((), everything=True), ".git", True, True, id="everything but version control"),
    ],
)
def test_what_is_left_out(sieved: LeftOut, path: str, is_directory: bool, is_left_out: bool) -> None:
    assert sieved.sieve("/r")(path, path.rpartition("/")[2], is_directory) == is_left_out


def test_a_granted_directory_that_is_removed_during_the_run_comes_back(stage: Stage) -> None:
    write(stage.root / "a/b", "old")
    before = stage.look()
    stage.run(lambda: stage.root.rename(stage.root.with_name("moved")))
    assert any("is not there; move it back" in each for each in stage.restore())
    stage.root.mkdir(mode=0o700)
    assert stage.restore() == []
    assert stage.look() == before


def test_metadata_is_not_given_to_a_file_that_has_a_name_elsewhere(stage: Stage, tmp_path: Path) -> None:
    outside = write(tmp_path / "outside", "the same")
    outside.chmod(0o600)
    write(stage.root / "file", "the same").chmod(0o666)

    def act() -> None:
        (stage.root / "file").unlink()
        os.link(outside, stage.root / "file")

    stage.run(act)
    assert stage.restore() == []
    assert outside.stat().st_mode & 0o777 == 0o600
    assert (stage.root / "file").stat().st_mode & 0o777 == 0o666


def test_a_clock_that_was_set_back_has_everything_read_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(stage.root / "file", "old")
    monkeypatch.setattr(time, "time_ns", lambda: 10**18)
    with stage.recorded() as taken:
        assert taken.baseline.trees[0].entries["file"].is_racy
        taken.finish(0)
    os.utime(file, ns=(10**18, 10**18))
    with stage.recorded() as again:
        write(file, "by the run")
        again.finish(0)
    assert stage.restore() == []
    assert file.read_text() == "old"


@pytest.mark.parametrize(("age_ns", "is_read_again"), [(RACY_NS // 2, True), (2 * RACY_NS, False)])
def test_a_file_that_changed_just_before_it_was_read_is_read_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, age_ns: int, is_read_again: bool
) -> None:
    file = write(stage.root / "file", "old")
    changed_ns = file.stat().st_ctime_ns
    monkeypatch.setattr(time, "time_ns", lambda: changed_ns + age_ns)
    read, actual = list[int](), os.read

    def noted(descriptor: int, size: int) -> bytes:
        read.append(descriptor)
        return actual(descriptor, size)

    with stage.recorded() as taken:
        monkeypatch.setattr(os, "read", noted)
        taken.finish(0)
    assert bool(read) is is_read_again


def prepared(stage: Stage, name: str | None, *, force: bool) -> Plan:
    """Return what a restore would do about one path, or about all."""
    with stage.kept() as session:
        only = () if name is None else (str(stage.root / name),)
        return restoring.prepare(session, 0, only, force=force).plan


@pytest.mark.parametrize("name", ["a", None])
def test_what_is_lost_after_a_restore_is_brought_back_by_force(stage: Stage, name: str | None) -> None:
    write(stage.root / "a", "keep")
    write(stage.root / "other", "old")
    stage.run(lambda: shell(stage, "rm a"))
    assert stage.restore() == []
    (stage.root / "a").unlink()
    write(stage.root / "other", "edited since")
    found = prepared(stage, name, force=True)
    assert [(each.reason, each.full_path) for each in found.conflicts] == [
        ("deleted since the run ended", str(stage.root / "a"))
    ]
    with stage.kept() as session:
        only = () if name is None else (str(stage.root / name),)
        done = restoring.restore(session, restoring.prepare(session, 0, only, force=True), force=True)
    assert done.left == ()
    assert (stage.root / "a").read_text() == "keep"
    assert (stage.root / "other").read_text() == "edited since"


def test_a_named_path_that_was_changed_since_is_no_path_with_nothing_to_do(stage: Stage) -> None:
    write(stage.root / "d/a", "old")
    write(stage.root / "d/same", "old")
    stage.run(lambda: None)
    write(stage.root / "d/a", "edited since")
    os.utime(stage.root / "d/same", (1, 1))
    found = prepared(stage, "d", force=False)
    assert [(each.reason, each.full_path) for each in found.conflicts] == [
        ("changed since the run ended", str(stage.root / "d/a"))
    ]
    assert found.steps == ()
    assert prepared(stage, None, force=False).conflicts == ()
    assert prepared(stage, None, force=True).conflicts == ()


@pytest.fixture
def other_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the state directory lie on another file system than the tree."""
    actual = os.rename

    def refused(source: str, target: str, **named: int) -> None:
        if named.get("src_dir_fd") != named.get("dst_dir_fd"):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        actual(source, target, **named)

    monkeypatch.setattr(os, "rename", refused)


@pytest.mark.usefixtures("other_disk")
@pytest.mark.parametrize("size", [1 << 20, 1 << 40])
def test_what_cannot_be_moved_to_another_disk_stays_under_its_name(stage: Stage, size: int) -> None:
    file = write(stage.root / "f", "old")
    stage.run(lambda: os.truncate(file, size), limits=Limits(10, 8 << 20))
    left = stage.restore()
    assert os.listdir(stage.root) == ["f"]
    if size == 1 << 20:
        assert (left, file.read_text()) == ([], "old")
        return
    assert (left, file.stat().st_size) == (
        ["f: it cannot be kept, so it stays; move it away, and restore with --force"],
        size,
    )
    file.unlink()
    assert stage.restore(force=True) == []
    assert file.read_text() == "old"


@pytest.mark.usefixtures("other_disk")
def test_what_a_killed_restore_left_is_named_where_it_cannot_be_moved(stage: Stage) -> None:
    file = write(stage.root / "f", "old")
    stage.run(lambda: shell(stage, "echo run > f"))
    write(stage.root / f".nono-restore-{stage.runs:016x}-ab", "what was there")
    write(stage.root / ".nono-restore-another-ab", "of another session")
    (said,) = stage.restore()
    assert said.startswith(f".nono-restore-{stage.runs:016x}-ab: an interrupted restore left it")
    assert file.read_text() == "old"


@pytest.mark.parametrize("is_seen", [True, False])
def test_a_directory_that_would_be_left_out_in_place_of_a_file_is_undone(stage: Stage, is_seen: bool) -> None:
    write(stage.root / "target", "old")
    write(stage.root / "sub/target/made", "left out")
    before = stage.look()
    line = "rm target; mkdir -p target/deep target/node_modules; echo run > target/deep/x"
    with stage.recorded() as taken:
        shell(stage, line)
        (stage.root / "target/node_modules").rmdir()
        taken.mark("before turn 2", [str(stage.root / "target")])
        shell(stage, "echo more > target/y")
        taken.mark("before turn 3", [str(stage.root / "target/y")])
        assert "target/y" in taken.last.trees[0].entries
        assert "sub/target" not in taken.last.trees[0].entries
        if is_seen:
            taken.finish(0)
    assert stage.restore(force=not is_seen) == []
    assert stage.look() == before


def test_only_the_named_paths_are_brought_back(stage: Stage) -> None:
    for name in ("removed", "changed", "kept/removed", "other/removed"):
        write(stage.root / name, "old")
    stage.run(
        lambda: shell(stage, "rm -r removed kept other; for x in changed made more; do echo run > $x; done")
    )
    only = [str(stage.root / name) for name in ("removed", "changed", "kept", "made")]
    with stage.kept() as session:
        assert restoring.restore(session, restoring.prepare(session, 0, only)).left == ()
    found = {each: (stage.root / each).read_text() for each in ("removed", "changed", "kept/removed", "more")}
    assert found == {"removed": "old", "changed": "old", "kept/removed": "old", "more": "run\n"}
    assert not (stage.root / "made").exists()
    assert not (stage.root / "other").exists()


@pytest.mark.parametrize("is_linked", [False, True])
def test_a_directory_that_was_moved_is_told_and_restored_once_it_is_back(
    stage: Stage, is_linked: bool
) -> None:
    """It was called changed by somebody else, with the words of openat2(2)."""
    write(stage.root / "a", "old")
    stage.run(lambda: shell(stage, "echo new > a"))
    moved = stage.root.rename(stage.root.with_name("moved"))
    said = f"{stage.root} is not there; move it back, or make it, and try again"
    if is_linked:
        stage.root.symlink_to(moved)
        said = f"{stage.root}, or a directory above it, is a link now"
    assert said in {each.reason for each in prepared(stage, None, force=False).conflicts}
    if is_linked:
        stage.root.unlink()
    moved.rename(stage.root)
    assert stage.restore() == []
    assert (stage.root / "a").read_text() == "old"


def test_the_place_that_cannot_keep_snapshots_is_the_one_that_was_named(stage: Stage) -> None:
    """The link to it in nono's state was named, which nobody had typed."""
    file = write(stage.root.with_name("file"))
    named = str(file / "kept")
    with (
        pytest.raises(NonoError, match=f"for undo: {named}: Not a directory"),
        stage.recorded(elsewhere=named),
    ):
        pass
