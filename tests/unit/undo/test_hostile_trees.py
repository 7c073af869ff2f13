"""What a command does to its tree while it is read, or to make reading it long, costs nobody their files."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from nono.disk.descriptor import DIRECTORY_FLAGS
from nono.errors import NonoError
from nono.kernel import namespaces
from nono.launch.around.undo import uncovered
from nono.undo import baseline, looking, restoring, walking
from nono.undo.acting import Acting
from nono.undo.beneath import opened_directory, opened_parent, opened_root
from nono.undo.model.entry import Entry
from nono.undo.model.left_out import Sieve
from nono.undo.model.restore_plan import Step
from nono.undo.recording import Limits, Recording
from support.forked import in_child
from unit.undo.conftest import Stage

LONG_NAME, DEEP = "d" * 250, 20
LISTED_BYTES = 65536  # XATTR_LIST_MAX of <linux/limits.h>


def _churn(root: Path, outside: Path) -> None:
    """Replace files, directories and links by each other, as quickly as can be."""
    os.chdir(root)
    number = 0
    while True:
        number += 1
        name = f"busy/{number % 7}"
        with suppress(OSError):
            os.unlink(name)
        with suppress(OSError):
            os.rmdir(name)
        with suppress(OSError):
            match number % 4:
                case 0:
                    Path(name).write_text(str(number) * (number % 500))
                case 1:
                    os.mkdir(name)
                case 2:
                    os.symlink(outside, name)
                case _:
                    os.mkfifo(name)
        with suppress(OSError):
            os.rename(name, f"busy/{number % 5}")


@contextmanager
def churning(root: Path, outside: Path) -> Iterator[None]:
    (root / "busy").mkdir()
    ready, told = os.pipe()
    pid = os.fork()
    if not pid:
        os.write(told, b"x")
        try:
            _churn(root, outside)
        finally:
            os._exit(1)
    try:
        os.read(ready, 1)
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(ready)
        os.close(told)


def test_a_tree_that_changes_while_it_is_read_can_be_restored(stage: Stage, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("not the run's")
    for number in range(50):
        (stage.root / f"calm{number}").write_text(f"old {number}")
    before = {path: each for path, each in stage.look().items() if path.startswith(b"calm")}
    for _ in range(5):
        with churning(stage.root, outside), stage.recorded() as taken:
            assert "secret" not in str(taken.baseline.trees[0].entries.keys())
            for number in range(50):
                (stage.root / f"calm{number}").write_text("by the run")
            taken.finish(0)
        stage.restore(force=True)
        assert {path: each for path, each in stage.look().items() if path.startswith(b"calm")} == before
        os.system(f"rm -r {stage.root}/busy")
    assert (outside / "secret").read_text() == "not the run's"


def test_a_link_that_takes_the_place_of_a_directory_while_it_is_listed_comes_back(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = stage.root / "place"
    place.mkdir()

    def walk(sieve: Sieve, *rest: Any) -> walking.Walk:
        def swap(path: str, name: str, is_directory: bool) -> bool:
            if is_directory and place.is_dir() and not place.is_symlink():
                place.rmdir()
                place.symlink_to("/target")
            return sieve(path, name, is_directory)

        return walking.Walk(swap, *rest)

    monkeypatch.setattr(baseline, "Walk", walk)
    assert stage.run(place.unlink) == ["deleted place"]
    assert stage.restore() == []
    assert place.readlink() == Path("/target")


def test_a_file_of_a_terabyte_without_content_is_passed_over(stage: Stage) -> None:
    (stage.root / "file").write_text("old")
    before = stage.look()

    def act() -> None:
        (stage.root / "file").write_text("by the run")
        with (stage.root / "huge").open("wb") as file:
            file.truncate(1 << 40)

    began = time.monotonic()
    assert stage.run(act) == ["modified file", "created huge"]
    assert time.monotonic() - began < 30
    assert stage.restore() == []
    assert stage.look() == before


@pytest.mark.parametrize("name", ["x" * 255, "語" * 85], ids=["ascii", "three bytes each"])
def test_a_huge_file_is_moved_away_however_long_its_name(stage: Stage, name: str) -> None:
    before = stage.look()

    def act() -> None:
        with (stage.root / name).open("wb") as file:
            file.truncate(1 << 40)

    stage.run(act)
    assert stage.restore() == []
    assert stage.look() == before


def test_a_file_made_huge_since_the_run_is_told_unread(stage: Stage) -> None:
    for name in ("file", "put back"):
        (stage.root / name).write_text("old")
    stage.run(lambda: [(stage.root / name).write_text("run") for name in ("file", "put back")])
    with (stage.root / "file").open("wb") as file:
        file.truncate(1 << 40)
    (stage.root / "put back").write_text("old")
    began = time.monotonic()
    with stage.kept() as session:
        plan = restoring.prepare(session, 0).plan
    assert time.monotonic() - began < 30
    assert [(each.full_path, each.reason) for each in plan.conflicts] == [
        (str(stage.root / "file"), "changed since the run ended")
    ]


def _make_deep(root: Path) -> None:
    """Make a file whose path is longer than the kernel takes at once."""
    place = os.open(root, DIRECTORY_FLAGS)
    for _ in range(DEEP):
        os.mkdir(LONG_NAME, dir_fd=place)
        above, place = place, os.open(LONG_NAME, DIRECTORY_FLAGS, dir_fd=place)
        os.close(above)
    os.close(os.open("file", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, dir_fd=place))
    os.close(place)


def test_a_path_longer_than_the_kernel_takes_at_once_is_undone(stage: Stage) -> None:
    (stage.root / "other").write_text("old")
    before = stage.look()

    def act() -> None:
        (stage.root / "other").write_text("by the run")
        _make_deep(stage.root)

    assert len(stage.run(act)) == DEEP + 2
    assert stage.restore() == []
    assert stage.look() == before


def test_no_link_is_followed_however_long_the_path_to_it(stage: Stage, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    _make_deep(outside)
    _make_deep(stage.root)
    directories = [LONG_NAME] * DEEP
    deepest = "/".join([*directories, "file"])
    with opened_root(str(stage.root)) as root:
        with opened_parent(root, deepest) as found:
            assert os.listdir(found) == ["file"]
        with opened_directory(root, "/".join(directories[2:])) as place:
            os.rename(LONG_NAME, "moved", src_dir_fd=place, dst_dir_fd=place)
            os.symlink(outside / LONG_NAME, LONG_NAME, dir_fd=place)
        with pytest.raises(OSError, match="ELOOP"), opened_parent(root, deepest):
            pass


def test_more_files_than_may_be_seen_do_not_hinder_the_restore(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    (stage.root / "file").write_text("old")

    def act() -> None:
        (stage.root / "file").write_text("by the run")
        for number in range(30):
            (stage.root / f"many{number}").write_text("")

    with stage.recorded(limits=Limits(10, 1 << 30, entries_max=10)) as taken:
        act()
        with pytest.raises(walking.TooMuchError):
            taken.finish(0)
    monkeypatch.setattr("nono.undo.recording.ENTRIES_MAX", 10)
    assert stage.restore(force=True) == []
    assert (stage.root / "file").read_text() == "old"
    assert (stage.root / "many1").exists()


def test_a_directory_of_any_number_of_names_is_not_listed_whole(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command can make millions, and each took 250 bytes before the limit was noticed."""
    for number in range(30):
        (stage.root / f"many{number}").touch()
    noted: list[str] = []
    note = walking.Walker._note

    def counted(self: walking.Walker, each: os.DirEntry[str], *others: Any) -> None:
        noted.append(each.name)
        note(self, each, *others)

    monkeypatch.setattr(walking.Walker, "_note", counted)
    with (
        pytest.raises((walking.TooMuchError, NonoError)),
        stage.recorded(limits=Limits(10, 1, entries_max=9)),
    ):
        pass
    assert len(noted) == 9  # with the directory itself, one too many


@pytest.fixture
def in_memory() -> Iterator[Stage]:
    """Yield a stage where one file may have any number of extended attributes."""
    with TemporaryDirectory(dir="/dev/shm") as place:
        try:
            os.setxattr(place, "user.try", bytes(65536))
        except OSError:
            pytest.skip("/dev/shm takes no large extended attributes (before Linux 6.6)")
        yield Stage(Path(place))


def _enlarge(path: Path, count: int) -> None:
    for number in range(count):
        os.setxattr(path, f"user.{number}", bytes(65536 - 16))


@pytest.mark.parametrize("name", ["file", "directory"])
@pytest.mark.parametrize("count", [1, 40])
def test_attributes_of_any_size_are_taken_off_again(name: str, count: int, in_memory: Stage) -> None:
    stage = in_memory
    (stage.root / "directory").mkdir()
    (stage.root / "file").write_text("old")
    before = stage.look()
    with stage.recorded() as taken:
        _enlarge(stage.root / name, count)
        taken.finish(0)
    snapshots = Path(stage.environ["XDG_STATE_HOME"]).rglob("snapshots/*")
    assert 0 < sum(each.stat().st_size for each in snapshots) < 1 << 20
    assert stage.restore() == []
    assert stage.look() == before


def test_attributes_too_large_to_keep_are_said_not_to_be_back(in_memory: Stage) -> None:
    stage = in_memory
    (stage.root / "file").write_text("old")
    _enlarge(stage.root / "file", 2)
    assert stage.run(lambda: (stage.root / "file").write_text("by the run")) == ["modified file"]
    assert stage.restore() == ["file: it still differs after the restore: attributes"]
    assert (stage.root / "file").read_text() == "old"


@pytest.mark.parametrize("name", ["file", "directory"])
def test_more_names_of_attributes_than_the_kernel_lists_are_told(name: str, in_memory: Stage) -> None:
    """Found by hand: where nothing can be listed there seemed to be nothing, as before the run."""
    stage = in_memory
    (stage.root / "directory").mkdir()
    (stage.root / "file").write_text("old")

    def work() -> None:
        for number in range(LISTED_BYTES // 200 + 1):
            os.setxattr(stage.root / name, f"user.{number:0200}", b"")

    assert stage.run(work) == [f"permissions {name}"]
    assert stage.restore() == [f"{name}: it still differs after the restore: attributes"]


def test_a_tree_with_more_attributes_than_may_be_kept_is_refused(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(8):
        (stage.root / f"file{number}").write_text("old")
        os.setxattr(stage.root / f"file{number}", "user.a", bytes(100))
    monkeypatch.setattr(looking, "ALL_ATTRIBUTES_BYTES_MAX", 8 * 106)
    assert stage.run(lambda: None) == []
    monkeypatch.setattr(looking, "ALL_ATTRIBUTES_BYTES_MAX", 8 * 106 - 1)
    os.setxattr(stage.root / "file0", "user.a", bytes(100))
    shutil.rmtree(stage.environ["XDG_STATE_HOME"])
    with pytest.raises(NonoError, match="extended attributes"):
        stage.run(lambda: None)


@pytest.mark.root
def test_what_is_mounted_inside_a_tree_is_not_walked(tmp_path: Path) -> None:
    def work() -> Any:
        namespaces.leave_mounts()
        stage = Stage(tmp_path)
        for name in ("mounted", "plain"):
            (stage.root / name).mkdir()
        mount(None, stage.root / "mounted")
        for name in ("mounted", "plain"):
            (stage.root / name / "file").write_text("old")
        with stage.recorded() as taken:
            tree = taken.baseline.trees[0]
            (stage.root / "mounted/file").write_text("by the run")
            return sorted(tree.entries), tree.gaps, [each.path for each in taken.finish(0)]

    assert in_child(work) == [
        ["", "mounted", "plain", "plain/file"],
        {"mounted": "on another file system"},
        [],
    ]


@pytest.mark.root
@pytest.mark.parametrize("place", ["mounted", "new"])
@pytest.mark.parametrize("source", ["outside", None], ids=["same file system", "another"])
def test_what_is_mounted_during_the_run_is_neither_undone_nor_removed(
    tmp_path: Path, source: str | None, place: str
) -> None:
    """It may be a directory that lies elsewhere, of the same file system."""

    def work() -> Any:
        namespaces.leave_mounts()
        stage = Stage(tmp_path)
        outside = tmp_path / "outside"
        for directory in (outside, stage.root / "mounted", stage.root / "plain"):
            directory.mkdir()
            (directory / "file").write_text("old")
            directory.chmod(0o700)

        def act() -> None:
            (stage.root / "plain/file").write_text("by the run")
            (stage.root / place).mkdir(exist_ok=True)
            mount(tmp_path / source if source else None, stage.root / place)
            (stage.root / place / "theirs").write_text("of somebody else")
            (stage.root / place).chmod(0o755)

        changed = stage.run(act)
        stage.restore()
        found = {name: sorted(os.listdir(tmp_path / name)) for name in ("outside", f"tree/{place}")}
        return (
            changed,
            found,
            (stage.root / place).stat().st_mode & 0o777,
            stage.root.joinpath("plain/file").read_text(),
        )

    changed, found, mode, text = in_child(work)
    assert [each for each in changed if "/" in each] == ["modified plain/file"]
    assert found[f"tree/{place}"] == (["file", "theirs"] if source else ["theirs"])
    assert found["outside"] == (["file", "theirs"] if source else ["file"])
    assert text == "old"
    assert place == "new" or mode == 0o755


@pytest.mark.root
def test_what_was_mounted_before_the_run_from_the_same_file_system_is_undone(tmp_path: Path) -> None:
    def work() -> Any:
        namespaces.leave_mounts()
        stage = Stage(tmp_path)
        for directory in (tmp_path / "outside", stage.root / "mounted"):
            directory.mkdir()
        file = tmp_path / "outside/file"
        file.write_text("old")
        mount(tmp_path / "outside", stage.root / "mounted")
        changed = stage.run(lambda: (stage.root / "mounted/file").write_text("by the run"))
        return changed, stage.restore(), file.read_text()

    assert in_child(work) == [["modified mounted/file"], [], "old"]


def mount(source: Path | None, place: Path) -> None:
    """Mount a directory, or an empty file system."""
    what, kind, flags = (b"none", b"tmpfs", 0) if source is None else (os.fsencode(source), None, 0x1000)
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mount(what, os.fsencode(place), kind, ctypes.c_ulong(flags), None) == 0


def test_a_directory_deeper_than_can_be_walked_is_left(stage: Stage) -> None:
    def act() -> None:
        path = b"deep" + b"/d" * (walking.DEPTH_MAX + 50)
        os.makedirs(os.path.join(os.fsencode(stage.root), path))

    changed = stage.run(act)
    assert len(changed) >= walking.DEPTH_MAX - 1
    left = stage.restore()
    assert left
    assert all("the run did not make" in each for each in left)
    assert (stage.root / "deep").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")
@pytest.mark.parametrize("mode", [0o000, 0o300, 0o400])
def test_a_directory_closed_by_the_run_hides_nothing(stage: Stage, mode: int) -> None:
    source, own = stage.root / "src", stage.root / "own"
    source.mkdir()
    own.mkdir()
    (source / "changed").write_text("old")
    (source / "removed").write_text("old")
    own.chmod(0o000)  # before the run
    before = stage.root.stat().st_mode, source.stat().st_mode

    def act() -> None:
        (source / "changed").write_text("by the run")
        (source / "removed").unlink()
        (stage.root / "made/below").mkdir(parents=True)
        for each in (stage.root / "made/below", stage.root / "made", source, stage.root):
            each.chmod(mode)

    changed = stage.run(act)
    assert {"modified src/changed", "deleted src/removed", "created made/below"} <= {*changed}
    with stage.kept() as session:
        (note,) = session.info.notes
    assert note.startswith(f"The run made 4 directories unreadable to you, such as {stage.root}")
    assert stage.restore() == []
    assert (source / "changed").read_text() == (source / "removed").read_text() == "old"
    assert (stage.root.stat().st_mode, source.stat().st_mode) == before
    assert not (stage.root / "made").exists()
    assert own.stat().st_mode & 0o777 == 0
    own.chmod(0o700)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")
def test_a_directory_closed_by_the_run_does_not_end_the_marks(stage: Stage) -> None:
    closed, file, beside = stage.root / "closed", stage.root / "closed/file", stage.root / "beside"
    closed.mkdir()
    file.write_text("old")
    beside.write_text("old")
    found = []

    def marked(taken: Recording, *changed: Path) -> None:
        mark = taken.mark("", {str(each) for each in changed})
        found.append([f"{each.type.value} {each.path}" for each in mark.changes if each.path])

    with stage.recorded() as taken:
        file.write_text("by the run")
        closed.chmod(0o000)
        marked(taken, closed)
        beside.write_text("by the run")
        marked(taken, beside, file)
        closed.chmod(0o755)
        marked(taken, closed)
        taken.finish(0)
    assert found[:2] == [["permissions closed"], ["modified beside"]]
    assert stage.restore() == []
    assert file.read_text() == beside.read_text() == "old"


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")
def test_a_directory_made_unwritable_is_removed_with_what_is_in_it(stage: Stage) -> None:
    def act() -> None:
        (stage.root / "made").mkdir()
        (stage.root / "made/file").write_text("by the run")
        (stage.root / "made").chmod(0o500)

    stage.run(act)
    assert stage.restore() == []
    assert not (stage.root / "made").exists()


def test_a_name_forges_no_line_of_a_warning(stage: Stage) -> None:
    deep = b"a\n  [nono] all is well\x1b[2K" + b"/d" * walking.DEPTH_MAX
    os.makedirs(os.path.join(os.fsencode(stage.root), deep))
    with stage.recorded() as taken:
        (sentence,) = uncovered(taken)
    assert r"/a\n \x20[nono] all is well\x1b[2K/d" in sentence
    assert sentence.isprintable()


def test_a_link_put_in_place_of_a_file_during_the_restore_is_not_followed(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tmp_path / "outside"
    outside.write_text("not the run's")
    file = stage.root / "sub/file"
    file.parent.mkdir()
    file.write_text("old")
    stage.run(lambda: file.write_text("by the run"))
    actual = Acting.carry_out

    def planted(acting: Acting, steps: list[Step]) -> list[Step]:
        file.unlink()
        file.symlink_to(outside)
        return actual(acting, steps)

    monkeypatch.setattr(Acting, "carry_out", planted)
    left = stage.restore()
    assert any("it changed during the restore" in each for each in left), left
    assert outside.read_text() == "not the run's"
    assert file.is_symlink()


def test_a_file_made_at_a_name_during_the_restore_is_not_replaced(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("taken", "free"):
        (stage.root / name).write_text(name)
    write = Acting._write

    def act() -> None:
        (stage.root / "taken").unlink()
        (stage.root / "free").unlink()

    def written(self: Acting, parent: int, name: str, was: Entry) -> None:
        write(self, parent, name, was)
        if was.size == len("taken"):
            (stage.root / "taken").write_text("somebody else's")

    stage.run(act)
    monkeypatch.setattr(Acting, "_write", written)
    assert stage.restore() == ["taken: something was made there during the restore"]
    assert (stage.root / "taken").read_text() == "somebody else's"
    assert (stage.root / "free").read_text() == "free"


def test_what_a_killed_restore_left_in_the_tree_is_moved_away(stage: Stage) -> None:
    (stage.root / "file").write_text("old")
    stage.run(lambda: (stage.root / "file").write_text("new"))
    with stage.kept() as session:
        half = stage.root / f".nono-restore-{session.info.session_id}-0"
    half.write_text("half of it")
    (stage.root / ".nono-restore-another-0").write_text("of another session")
    assert stage.restore() == []
    assert sorted(os.listdir(stage.root)) == [".nono-restore-another-0", "file"]


def test_a_file_that_was_not_kept_is_not_removed_across_file_systems(stage: Stage) -> None:
    with TemporaryDirectory(dir="/dev/shm") as elsewhere:
        if os.stat(elsewhere).st_dev == os.stat(stage.root).st_dev:
            pytest.skip("one file system holds both")
        stage.environ["XDG_STATE_HOME"] = elsewhere

        def act() -> None:
            (stage.root / "kept").write_text("new")
            with open(stage.root / "huge", "wb") as file:
                file.truncate(1 << 40)

        stage.run(act)
        assert stage.restore() == [
            "huge: it cannot be kept, so it stays; move it away, and restore with --force"
        ]
        assert os.listdir(stage.root) == ["huge"]
