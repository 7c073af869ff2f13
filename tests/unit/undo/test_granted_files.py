"""A file that is granted by itself is kept for undo, and nothing beside it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from nono.errors import NonoError
from nono.launch.around.turn_marks import watched
from nono.launch.around.undo import Covered, tracked
from nono.policy.capability import Access, Grant
from nono.undo import making, restoring
from nono.undo.model.left_out import LeftOut, left_out
from nono.undo.recording import Limits
from support.forked import in_child
from support.ordinary_user import UNPRIVILEGED_ID
from unit.undo.conftest import USUAL, Stage


@pytest.fixture
def granted(stage: Stage) -> Path:
    path = stage.root / "granted"
    path.write_text("old")
    path.chmod(0o640)
    (stage.root / "beside").write_text("old")
    return path


def test_a_granted_file_is_brought_back(stage: Stage, granted: Path) -> None:
    before = stage.look()
    with stage.recorded(files=[granted]) as taken:
        granted.write_text("by the run")
        granted.chmod(0o600)
        assert [(each.full_path, each.type.value) for each in taken.finish(0)] == [(str(granted), "modified")]
        assert taken.info.tracked_paths == (str(granted),)
    assert stage.restore() == []
    assert stage.look() == before


def test_a_granted_file_that_somebody_else_changed_since_is_refused(stage: Stage, granted: Path) -> None:
    with stage.recorded(files=[granted]) as taken:
        granted.write_text("by the run")
        taken.finish(0)
    granted.write_text("edited since")
    assert stage.restore() == ["granted: changed since the run ended"]
    assert granted.read_text() == "edited since"
    assert stage.restore(force=True) == []
    assert granted.read_text() == "old"


def test_what_lies_beside_a_granted_file_is_not_looked_at(stage: Stage, granted: Path) -> None:
    (stage.root / "closed").mkdir(0)
    with stage.recorded(files=[granted]) as taken:
        assert taken.baseline.trees[0].entries.keys() == {"granted"}
        (stage.root / "beside").write_text("by somebody else")
        (stage.root / "closed").chmod(0o700)
        stage.root.chmod(0o711)
        assert taken.finish(0) == []
    with stage.kept() as session, pytest.raises(NonoError, match="does not cover"):
        restoring.prepare(session, 0, [str(stage.root / "beside")])


def test_a_mark_has_what_a_turn_wrote_to_a_granted_file(stage: Stage, granted: Path) -> None:
    covered = Covered((), (str(granted),), USUAL)
    with stage.recorded(files=[granted]) as taken, watched(covered) as written:
        granted.write_text("in turn 1")
        (stage.root / "beside").write_text("by somebody else")
        changed = written.changed()
        assert changed == {str(granted)}
        mark = taken.mark("before turn 2", changed)
        assert [each.path for each in mark.changes] == ["granted"]
        granted.write_text("in turn 2")
        taken.finish(0)
    assert stage.restore(1) == []
    assert granted.read_text() == "in turn 1"


def test_a_granted_file_is_undone_without_the_end_of_the_run(stage: Stage, granted: Path) -> None:
    with stage.recorded(files=[granted]):
        granted.write_text("by the run")
        (stage.root / "made").write_text("by somebody else")
    assert stage.restore() == ["granted: the end of the run was not seen"]
    assert stage.restore(force=True) == []
    assert (granted.read_text(), (stage.root / "made").read_text()) == ("old", "by somebody else")


def test_a_file_of_a_profile_that_is_too_large_does_not_hinder_a_run(stage: Stage, granted: Path) -> None:
    large = stage.root / "large"
    large.write_bytes(os.urandom(200_000))
    with stage.recorded(limits=Limits(10, 100_000), files=[large], optional=[str(large)]) as taken:
        assert taken.info.tracked_paths == ()
        assert any(str(large) in note for note in taken.info.notes)
    with (
        pytest.raises(NonoError, match="nothing was started"),
        stage.recorded(limits=Limits(10, 100_000), files=[large]),
    ):
        pass


@pytest.mark.parametrize(
    ("grants", "sieved", "files"),
    [
        ({"/a/f": False}, USUAL, ("/a/f",)),
        ({"/a/f": False, "/a": True}, USUAL, ()),
        ({"/a/f": False}, left_out(("f",)), ()),
        ({"/a/f": False}, left_out((), ("*f",)), ()),
        ({"/a/f": False}, left_out(("/a",)), ()),
        ({"/build/f": False}, left_out(("build",)), ("/build/f",)),
        ({"/a/.git/config": False}, USUAL, ("/a/.git/config",)),
    ],
)
def test_a_granted_file_is_covered_unless_it_is_left_out(
    grants: dict[str, bool], sieved: LeftOut, files: tuple[str, ...]
) -> None:
    given = [Grant(path, Access.WRITE, is_dir, "user", path) for path, is_dir in grants.items()]
    assert tracked(given, sieved).files == files
    assert tracked([each._replace(access=Access.READ) for each in given], sieved).paths == ()


@pytest.fixture
def others() -> Iterator[Path]:
    """Yield a directory that is not the ordinary user's, and one beside it that is."""
    with TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        (place / "theirs").mkdir()
        (place / "own").mkdir()
        os.chown(place / "own", UNPRIVILEGED_ID, UNPRIVILEGED_ID)
        yield place


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file to another user")
@pytest.mark.parametrize("names", [1, 2])
def test_a_granted_file_in_a_directory_of_others_is_written_where_it_lies(others: Path, names: int) -> None:
    file = others / "theirs/file"
    file.write_text("old")
    os.chown(file, UNPRIVILEGED_ID, UNPRIVILEGED_ID)
    if names > 1:
        os.link(file, others / "theirs/second")
    inode = file.stat().st_ino

    def undone() -> list[str]:
        os.setresuid(UNPRIVILEGED_ID, UNPRIVILEGED_ID, UNPRIVILEGED_ID)
        stage = Stage(others / "own")
        with stage.recorded(files=[file]) as taken:
            file.write_text("by the run, and longer")
            taken.finish(0)
        return [each.rpartition(": ")[2] for each in stage.restore()]

    left = in_child(undone)
    assert file.stat().st_ino == inode
    if names == 1:
        assert (left, file.read_text()) == ([], "old")
    else:
        said = "it has a name elsewhere, and its directory is not yours to write"
        assert (left, file.read_text()) == ([said], "by the run, and longer")


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file to another user")
def test_a_damaged_content_overwrites_no_file_where_it_lies(others: Path) -> None:
    file = others / "theirs/file"
    file.write_text("old")
    os.chown(file, UNPRIVILEGED_ID, UNPRIVILEGED_ID)

    def undone() -> list[str]:
        os.setresuid(UNPRIVILEGED_ID, UNPRIVILEGED_ID, UNPRIVILEGED_ID)
        stage = Stage(others / "own")
        with stage.recorded(files=[file]) as taken:
            file.write_text("by the run")
            taken.finish(0)
        [pack] = [each for each in (others / "own").rglob("*.pack") if each.read_bytes().endswith(b"old")]
        pack.write_bytes(pack.read_bytes().replace(b"old", b"OLD"))
        return stage.restore()

    [left] = in_child(undone)
    assert left.endswith("is damaged")
    assert file.read_text() == "by the run"


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file to another user")
def test_a_file_that_cannot_be_kept_first_is_not_overwritten_where_it_lies(others: Path) -> None:
    file = others / "theirs/file"
    file.write_text("old")
    os.chown(file, UNPRIVILEGED_ID, UNPRIVILEGED_ID)

    def undone() -> list[str]:
        os.setresuid(UNPRIVILEGED_ID, UNPRIVILEGED_ID, UNPRIVILEGED_ID)
        stage = Stage(others / "own")
        with stage.recorded(files=[file]) as taken:
            file.write_text("by the run")
            file.chmod(0o200)
            taken.finish(0)
        return [each.partition(": ")[2] for each in stage.restore()]

    assert in_child(undone) == ["it cannot be kept, so it stays; move it away, and restore with --force"]
    assert file.read_text() == "by the run"


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file to another user")
def test_a_restore_that_was_cut_off_where_a_file_lies_is_done_again_by_force(others: Path) -> None:
    file = others / "theirs/file"
    file.write_text("old, and longer")
    os.chown(file, UNPRIVILEGED_ID, UNPRIVILEGED_ID)

    def undone() -> list[object]:
        os.setresuid(UNPRIVILEGED_ID, UNPRIVILEGED_ID, UNPRIVILEGED_ID)
        stage = Stage(others / "own")
        with stage.recorded(files=[file]) as taken:
            file.write_text("by the run")
            taken.finish(0)
        with pytest.MonkeyPatch.context() as patched:

            def killed(descriptor: int, content: bytes) -> None:
                os.write(descriptor, content[:3])
                raise KeyboardInterrupt

            patched.setattr(making, "write_all", killed)
            with suppress(KeyboardInterrupt):
                stage.restore()
        half, left = file.read_text(), stage.restore()
        return [half, [each.rpartition(": ")[2] for each in left], stage.restore(force=True)]

    assert in_child(undone) == ["old", ["changed since the run ended"], []]
    assert file.read_text() == "old, and longer"
