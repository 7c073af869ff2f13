"""The store holds no more than it may, says what is damaged, and survives a full disk."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import random
import shutil
import subprocess
from collections.abc import Callable
from contextlib import nullcontext
from hashlib import sha256
from pathlib import Path
from posixpath import join
from typing import Any

import pytest

from nono.cli.commands.rollback import upkeep
from nono.cli.commands.rollback.upkeep import Wish, cleanup
from nono.errors import NonoError
from nono.undo import kept, looking, recording, restoring
from nono.undo.contents import packs
from nono.undo.contents.packs import MAGIC
from nono.undo.contents.zstandard import zstd
from nono.undo.model.session import Weighed, outdated, stale
from nono.undo.recording import Limits
from support.forked import in_child
from unit.undo.conftest import Stage

MS_REC, MS_PRIVATE = 16384, 1 << 18


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        pytest.param(Limits(10, 100_000), r"more than 97\.7 KiB \(max_storage_gb", id="bytes"),
        pytest.param(Limits(10, 1 << 30, entries_max=3), "more than 3 files", id="files"),
    ],
)
def test_a_baseline_over_its_quota_refuses_the_run(stage: Stage, limits: Limits, words: str) -> None:
    for number in range(4):
        (stage.root / f"file{number}").write_bytes(noise(60_000 + number))
    with pytest.raises(NonoError, match=words):
        stage.run(lambda: None, limits=limits)
    assert kept.names(kept.root_of(stage.environ)) == []
    (stage.root / "file0").unlink()
    (stage.root / "file1").unlink()
    (stage.root / "file2").unlink()
    assert stage.run(lambda: None, limits=limits) == []


@pytest.mark.parametrize(
    "sizes", [{"data/blob": 1 << 20}, {"data/one": 90_000, "data/two": 90_001}, {"data": 1 << 20}], ids=str
)
def test_a_baseline_over_its_quota_names_what_takes_the_room(stage: Stage, sizes: dict[str, int]) -> None:
    (stage.root / "logs").mkdir()
    (stage.root / "logs/a.log").write_bytes(b"")
    for name, size in sizes.items():
        (stage.root / name).parent.mkdir(exist_ok=True)
        (stage.root / name).write_bytes(noise(size))
    with pytest.raises(NonoError, match=r"most of it in data, so nothing was started"):
        stage.run(lambda: None, limits=Limits(10, 100_000))


def test_a_baseline_without_room_for_it_is_told_what_earlier_runs_take(stage: Stage) -> None:
    (stage.root / "file").write_bytes(noise(1 << 20))
    stage.run(lambda: (stage.root / "file").write_bytes(noise((1 << 20) + 1)))
    (stage.root / "file").write_bytes(noise((1 << 20) + 2))
    said = r"more than \d+\.\d KiB \(max_storage_gb of config.toml, less 2\.\d MiB that earlier runs take\)"
    with pytest.raises(NonoError, match=said):
        stage.run(lambda: None, limits=Limits(10, 3 << 20))


def test_undo_takes_no_more_than_a_twentieth_of_the_disk(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disk(size: int) -> None:
        shown = os.statvfs_result((4096, 4096, size // 4096, 0, 0, 0, 0, 0, 0, 255))
        monkeypatch.setattr(os, "fstatvfs", lambda fd: shown)

    (stage.root / "file").write_bytes(noise(1 << 20))
    disk(19 << 20)
    with pytest.raises(NonoError, match=r"more than 972\.8 KiB \(a twentieth of the disk\)"):
        stage.run(lambda: None, limits=Limits(10, 1 << 30))
    disk(30 << 20)
    assert stage.run(lambda: None, limits=Limits(10, 1 << 30)) == []


def test_what_a_run_writes_beyond_the_quota_can_be_undone(stage: Stage) -> None:
    (stage.root / "file").write_bytes(noise(60_000))
    before = stage.look()

    def act() -> None:
        (stage.root / "file").write_bytes(noise(60_001))
        (stage.root / "more").write_bytes(noise(2_000_000))

    assert stage.run(act, limits=Limits(10, 100_000)) == ["modified file", "created more"]
    with stage.kept() as session:
        assert any("did not fit" in note for note in session.info.notes)
    assert stage.restore() == []
    assert stage.look() == before


def test_no_more_sessions_are_kept_than_configured(stage: Stage) -> None:
    def act() -> None:
        (stage.root / "file").write_bytes(noise(stage.runs))

    for _ in range(5):
        stage.run(act, limits=Limits(2, 1 << 30))
    with kept.every(stage.environ) as found:
        assert [each.info.name for each in found] == ["run-5", "run-4", "run-3"]


def test_a_run_that_changed_nothing_is_dropped_before_one_that_did(stage: Stage) -> None:
    stage.run(lambda: (stage.root / "file").write_bytes(b"x"))
    for _ in range(4):
        stage.run(lambda: None, limits=Limits(2, 1 << 30))
    with kept.every(stage.environ) as found:
        assert "run-1" in [each.info.name for each in found]


@pytest.mark.parametrize(
    ("hours", "differs", "is_dropped"),
    [
        (24, {}, True),
        (26, {}, False),
        (24, {"has_end": True}, False),
        (24, {"is_running": True}, False),
    ],
)
def test_a_run_whose_supervisor_was_killed_is_dropped_after_the_configured_hours(
    hours: int, differs: dict[str, Any], is_dropped: bool
) -> None:
    killed = Weighed("a", 1_000, 1, has_changes=True, is_running=False, has_end=False)._replace(**differs)
    assert stale([killed], hours, 1_000 + 25 * 3_600_000) == [killed] * is_dropped


def test_a_cleanup_drops_what_a_killed_supervisor_left(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.run(lambda: (stage.root / "file").write_text("by a run that ended"))
    with stage.recorded() as killed:
        (stage.root / "file").write_text("by a run whose supervisor was killed")
    assert cleanup(Wish(None, None, all=False, is_dry=False, yes=False), stage.environ) == 0
    assert capsys.readouterr().out.split()[:2] == ["Removed:", killed.info.session_id]
    with kept.every(stage.environ) as left:
        assert [each.info.name for each in left] == ["run-1"]


def test_no_run_waits_for_who_is_asked_whether_to_remove_all(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.run(lambda: (stage.root / "file").write_text("x"))

    def agrees(_: object) -> bool:
        lock = os.open(Path(kept.root_of(stage.environ), kept.LOCK), os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.close(lock)
        stage.run(lambda: (stage.root / "file").write_text("meanwhile"))
        return True

    monkeypatch.setattr(upkeep, "_agreed", agrees)
    assert cleanup(Wish(None, None, all=True, is_dry=False, yes=False), stage.environ) == 0
    with kept.every(stage.environ) as left:
        assert [each.info.name for each in left] == ["run-2"]


def test_a_session_that_is_running_is_not_dropped() -> None:
    old, running, new = (
        Weighed(name, at, 1, True, False) for at, name in enumerate(("old", "running", "new"))
    )
    assert outdated([old, running, new], 1, 1 << 30) == [old, running]
    assert outdated([old, running._replace(is_running=True), new], 1, 1 << 30) == [old]


def _flipped(file: Path, at: int) -> None:
    content = bytearray(file.read_bytes())
    content[at] ^= 1
    file.write_bytes(content)


def _is_caught(stage: Stage) -> bool:
    try:
        return upkeep.verify("latest", stage.environ) != 0
    except (NonoError, OSError, ValueError):
        return True


def test_a_byte_changed_anywhere_in_what_is_kept_is_caught(stage: Stage) -> None:
    (stage.root / "small").write_bytes(noise(500))
    (stage.root / "large").write_bytes(noise(2_000_000))
    stage.run(lambda: (stage.root / "small").write_bytes(noise(501)))
    assert not _is_caught(stage)
    with stage.kept() as session:
        place = Path(session.path)
    files = [each for each in place.rglob("*") if each.is_file() and each.name != "lock"]
    assert {each.suffix for each in files} == {".json", ".pack", ".idx", ".files", ""}
    missed = []
    for file in files:
        size = file.stat().st_size
        for at in sorted({0, 1, size // 3, size // 2, size - 2, size - 1}):
            _flipped(file, at)
            if not _is_caught(stage):
                missed.append((file.name, at))
            _flipped(file, at)
        file.rename(place / "gone")
        if not _is_caught(stage):
            missed.append((file.name, -1))
        (place / "gone").rename(file)
    assert missed == []
    assert not _is_caught(stage)


def test_a_snapshot_that_names_a_path_outside_is_refused(stage: Stage, tmp_path: Path) -> None:
    """nono#201: a manifest with ".." in it wrote to anywhere."""
    from nono.undo.model import snapshot

    (tmp_path / "outside").write_text("not the run's")
    stage.run(lambda: (stage.root / "file").write_text("x"))
    with stage.kept() as session:
        (first, last) = session.snapshots()
        tree = first.trees[0]
        entry = last.trees[0].entries["file"]
        forged = first._replace(trees=(tree._replace(entries={**tree.entries, "../outside": entry}),))
        for number, content in enumerate((snapshot.to_json(forged, None), snapshot.to_json(last, forged))):
            (Path(session.path) / f"snapshots/{number:03}.json").write_bytes(content)
    with pytest.raises(ValueError, match="in no tree"):
        stage.restore()
    assert (tmp_path / "outside").read_text() == "not the run's"


def on_small_disk(place: Path, act: Callable[[Stage], Any], size: int = 40 << 20) -> Any:
    """Do something in a child whose state directory is a file system of its own."""

    def work() -> Any:
        os.unshare(os.CLONE_NEWNS)
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.mount(b"none", b"/", None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None) == 0
        state = place / "state"
        state.mkdir()
        options = f"size={size},mode=700".encode()
        assert libc.mount(b"none", os.fsencode(state), b"tmpfs", ctypes.c_ulong(0), options) == 0
        return act(Stage(place))

    return in_child(work)


def fill_disk(stage: Stage) -> Path:
    filler = Path(stage.environ["XDG_STATE_HOME"]) / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(1 << 16)):
                pass
        except OSError:
            return filler
    raise AssertionError("a file takes all of a disk")


@pytest.mark.root
def test_a_full_disk_refuses_the_run(tmp_path: Path) -> None:
    def act(stage: Stage) -> Any:
        (stage.root / "file").write_bytes(noise(500_000))
        filler = fill_disk(stage)
        try:
            stage.run(lambda: None)
        except NonoError as error:
            filler.unlink()
            return error.message, kept.names(kept.root_of(stage.environ))
        return "it was started", []

    message, left = on_small_disk(tmp_path, act)
    assert "No space left on device" in message
    assert left == []


@pytest.mark.root
def test_a_run_that_fills_the_disk_can_be_undone(tmp_path: Path) -> None:
    def act(stage: Stage) -> Any:
        (stage.root / "file").write_bytes(noise(500_000))
        before = stage.look()
        fillers = []

        def fill() -> None:
            (stage.root / "file").write_bytes(noise(900_000))
            fillers.append(fill_disk(stage))

        changed = stage.run(fill)
        became = stage.look()
        filled = fill_disk(stage).with_name("other")
        try:
            stage.restore()
            said = "nothing"
        except NonoError as error:
            said = error.message
        is_untouched = stage.look() == became
        filled.with_name("filler").unlink()
        left = stage.restore()
        return changed, said, is_untouched, left, stage.look() == before

    changed, said, is_untouched, left, is_back = on_small_disk(tmp_path, act)
    assert changed == ["modified file"]
    assert said.startswith("nothing was restored, because what is there now cannot be kept first: ")
    assert said.endswith(": No space left on device")
    assert is_untouched
    assert (left, is_back) == ([], True)


def test_a_hole_in_the_list_of_snapshots_is_caught(stage: Stage) -> None:
    stage.run(lambda: (stage.root / "file").write_text("x"))
    with stage.kept() as session:
        place = session.path
    subprocess.run(["rm", f"{place}/snapshots/001.json"], check=True)
    assert _is_caught(stage)


def test_a_cache_that_a_profile_grants_does_not_hinder_a_run(stage: Stage, tmp_path: Path) -> None:
    """nono#160: a profile that grants ~/.cache made every start fail."""
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "big").write_bytes(noise(200_000))
    (stage.root / "file").write_bytes(noise(1000))
    with stage.recorded(limits=Limits(10, 100_000), optional=[str(cache)]) as taken:
        assert taken.info.tracked_paths == (str(stage.root),)
        assert any(str(cache) in note for note in taken.info.notes)
        (stage.root / "file").write_text("by the run")
        taken.finish(0)
    assert stage.restore() == []
    assert (stage.root / "file").read_bytes() == noise(1000)


def test_a_mark_without_room_leaves_the_next_one_whole(stage: Stage) -> None:
    with stage.recorded(limits=Limits(10, 100_000)) as taken:
        (stage.root / "file").write_bytes(noise(200_000))
        with pytest.raises(OSError, match="more than undo may keep"):
            taken.mark("before turn 2")
        (stage.root / "file").write_bytes(noise(50_000))
        taken.mark("before turn 2")
        (stage.root / "file").unlink()
        taken.finish(0)
    assert stage.restore(1) == []
    assert (stage.root / "file").read_bytes() == noise(50_000)


def no_room(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


SMALL_AND_LARGE = pytest.mark.parametrize("size", [50_000, 1_500_000])


def test_a_snapshot_that_nobody_could_read_is_not_written(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stage.recorded() as taken:
        with monkeypatch.context() as small:
            small.setattr("nono.undo.contents.packs.FILE_BYTES_MAX", 10)
            with pytest.raises(OSError, match="File too large"):
                taken.mark("before turn 2")
        taken.mark("before turn 2")
        taken.finish(0)
    with stage.kept() as session:
        assert [each.number for each in session.snapshots()] == [0, 1, 2]


@SMALL_AND_LARGE
def test_what_a_mark_without_a_snapshot_kept_is_kept_by_the_next(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    with stage.recorded(limits=Limits(10, 2_000_000)) as taken:
        (stage.root / "file").write_bytes(noise(size))
        with monkeypatch.context() as full:
            full.setattr(recording, "write_snapshot", no_room)
            with pytest.raises(OSError, match="No space left"):
                taken.mark("before turn 2")
        taken.finish(0)
    with stage.kept() as session:
        content = session.snapshots()[-1].trees[0].entries["file"].content
        assert content is not None
        assert session.store.content(content) == noise(size)


@SMALL_AND_LARGE
def test_a_restore_that_is_tried_again_keeps_what_it_replaces(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    (stage.root / "file").write_bytes(noise(size + 1))
    stage.run(lambda: (stage.root / "file").write_text("by the run"))
    (stage.root / "file").write_bytes(noise(size))
    with monkeypatch.context() as full:
        full.setattr(restoring, "write_snapshot", no_room)
        with pytest.raises(NonoError, match="nothing was restored"):
            stage.restore(force=True)
    assert stage.restore(force=True) == []
    assert (stage.root / "file").read_bytes() == noise(size + 1)
    assert stage.restore(2) == []
    assert (stage.root / "file").read_bytes() == noise(size)


@pytest.mark.parametrize(
    ("change", "is_kept"),
    [
        pytest.param(lambda file, turn: os.utime(file, ns=(turn, turn)), True, id="touched"),
        pytest.param(lambda file, turn: file.write_bytes(noise(1_500_000 + turn)), False, id="written"),
    ],
)
def test_a_large_file_takes_room_for_each_of_its_contents(
    stage: Stage, change: Callable[[Path, int], object], is_kept: bool
) -> None:
    (stage.root / "large").write_bytes(noise(1_500_000))
    with stage.recorded(limits=Limits(10, 4_000_000)) as taken:
        change(stage.root / "large", 1)
        taken.mark("before turn 2")
        change(stage.root / "large", 2)
        with nullcontext() if is_kept else pytest.raises(OSError, match="more than undo may keep"):
            taken.mark("before turn 3")
        taken.finish(0)


def test_snapshots_on_a_disk_that_is_not_mounted_are_not_forgotten(stage: Stage, tmp_path: Path) -> None:
    place = tmp_path / "disk"
    with stage.recorded(elsewhere=str(place)) as taken:
        taken.finish(0)
    place.rename(tmp_path / "away")
    stage.run(lambda: None)
    (tmp_path / "away").rename(place)
    with kept.every(stage.environ) as found:
        assert [each.info.name for each in found] == ["run-2", "run-1"]


@pytest.mark.parametrize("is_linked", [True, False])
def test_a_link_laid_where_snapshots_were_loses_nothing_it_leads_to(
    stage: Stage, tmp_path: Path, *, is_linked: bool
) -> None:
    """A command that may write in a --rollback-dest could otherwise choose what later runs remove."""
    place, documents = tmp_path / "disk", tmp_path / "documents"
    with stage.recorded(elsewhere=str(place)) as taken:
        taken.finish(0)
    (documents / "below").mkdir(parents=True)
    documents.chmod(0o755)
    (documents / "below/thesis").write_text("the only copy")
    if is_linked:
        shutil.rmtree(place / taken.info.session_id)
        (place / taken.info.session_id).symlink_to(documents)
        assert kept.size_of(join(kept.root_of(stage.environ), taken.info.session_id)) == 0
    stage.run(lambda: None)  # which removes what is incomplete
    assert cleanup(Wish(None, None, all=True, is_dry=False, yes=True), stage.environ) == 0
    assert sorted(os.listdir(documents)) == ["below"]
    assert (documents / "below/thesis").read_text() == "the only copy"
    assert documents.stat().st_mode & 0o777 == 0o755
    assert os.listdir(place) == [taken.info.session_id] * is_linked
    assert kept.names(kept.root_of(stage.environ)) == []


@pytest.mark.parametrize("laid", ["a link", "nothing", "away"])
def test_a_link_laid_above_snapshots_loses_nothing_it_leads_to(
    stage: Stage, tmp_path: Path, laid: str
) -> None:
    """Audit logs are in directories that have the names of sessions, too."""
    place, logs = tmp_path / "disk", tmp_path / "logs"
    with stage.recorded(elsewhere=str(place)) as taken:
        taken.finish(0)
    log = logs / taken.info.session_id / "log"
    log.parent.mkdir(parents=True)
    log.write_text("a record")
    away = place if laid == "nothing" else place.rename(tmp_path / "away")
    if laid == "a link":
        place.symlink_to(logs)
    size = kept.size_of(join(kept.root_of(stage.environ), taken.info.session_id))
    assert (size > 0) == (laid == "nothing")
    assert cleanup(Wish(None, None, all=True, is_dry=False, yes=True), stage.environ) == 0
    assert log.exists()
    assert os.listdir(away) == [taken.info.session_id] * (laid != "nothing")
    assert kept.names(kept.root_of(stage.environ)) == []


@pytest.mark.parametrize("laid", ["nothing", "a FIFO", "a file of 1 TiB", "more than a record"])
def test_whatever_lies_where_a_record_was_is_read_in_no_time(
    stage: Stage, tmp_path: Path, laid: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that may write in a --rollback-dest could otherwise hold up each later run."""
    place = tmp_path / "disk"
    with stage.recorded(elsewhere=str(place)) as taken:
        taken.finish(0)
    record = place / taken.info.session_id / kept.SESSION_FILE
    if laid == "a FIFO":
        record.unlink()
        os.mkfifo(record)
    elif laid == "a file of 1 TiB":
        os.truncate(record, 1 << 40)
    elif laid == "more than a record":
        monkeypatch.setattr(kept, "SESSION_BYTES_MAX", record.stat().st_size - 1)
    with kept.every(stage.environ) as found:
        assert len(found) == (laid == "nothing")
    stage.run(lambda: None)  # which weighs what is kept


@SMALL_AND_LARGE
@pytest.mark.parametrize("is_laid", [True, False])
def test_a_fifo_laid_where_a_content_was_holds_up_no_restore(
    stage: Stage, tmp_path: Path, size: int, *, is_laid: bool
) -> None:
    (stage.root / "file").write_bytes(b"x" * size)
    with stage.recorded(elsewhere=str(tmp_path / "disk")) as taken:
        (stage.root / "file").write_bytes(b"y")
        taken.finish(0)
    held = [*(tmp_path / "disk").glob("*/*.pack"), *(tmp_path / "disk").glob("*/objects/*/*")]
    for each in held if is_laid else ():
        each.unlink()
        os.mkfifo(each)
    assert stage.restore() == ["file: not a regular file"] * is_laid
    assert (stage.root / "file").read_bytes() == (b"y" if is_laid else b"x" * size)


@SMALL_AND_LARGE
@pytest.mark.parametrize(
    "content", [None, b"nothing that undo wrote", MAGIC], ids=["is missing", "is another", "is cut"]
)
def test_a_run_is_kept_anew_where_a_content_of_an_earlier_one_is_damaged(
    stage: Stage, content: bytes | None, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "RACY_NS", 0)
    (stage.root / "file").write_bytes(b"x" * size)
    stage.run(lambda: None)
    root = Path(kept.root_of(stage.environ))
    for each in (*root.glob("*/*.pack"), *root.glob("*/objects/*/*")):
        each.unlink()
        if content is not None:
            each.write_bytes(content)
    stage.run(lambda: (stage.root / "file").unlink())
    assert stage.restore() == []
    assert (stage.root / "file").read_bytes() == b"x" * size


@pytest.mark.parametrize("laid", ["nothing", "more than memory", "a place beyond any file", "a bomb"])
def test_no_index_that_somebody_laid_fills_the_memory_or_ends_a_restore(
    stage: Stage, tmp_path: Path, laid: str
) -> None:
    (stage.root / "file").write_bytes(b"x" * 50_000)
    with stage.recorded(elsewhere=str(tmp_path / "disk")) as taken:
        (stage.root / "file").write_bytes(b"y")
        taken.finish(0)
    pack = min((tmp_path / "disk").glob("*/*.pack"))
    digest, (_, codec, offset, stored_bytes, size) = sha256(b"x" * 50_000).digest(), _only_place(pack)
    if laid == "more than memory":
        stored_bytes = 1 << 42
        os.truncate(pack, 1 << 43)  # with a hole
    elif laid == "a place beyond any file":
        offset = 1 << 63
    elif laid == "a bomb":
        bomb = zstd.compress(bytes(packs.LARGE_BYTES + 2))
        pack.write_bytes(MAGIC + bomb)
        stored_bytes = len(bomb)
    record = packs._RECORD.pack(digest, codec, offset, stored_bytes, size)
    pack.with_suffix(".idx").write_bytes(record + sha256(record).digest())
    left = stage.restore()
    assert [each.partition(": ")[0] for each in left] == ["file"] * (laid != "nothing"), left
    assert (stage.root / "file").read_bytes() == (b"y" if left else b"x" * 50_000)
    stage.run(lambda: None)  # which would take contents over


def _only_place(pack: Path) -> packs.Place:
    directory = os.open(pack.parent, os.O_RDONLY)
    try:
        (place,) = packs.read_index(directory, pack.with_suffix(".idx").name).values()
    finally:
        os.close(directory)
    return place


def test_what_a_restore_moved_away_is_removed_however_it_is_closed(stage: Stage) -> None:
    stage.run(lambda: (stage.root / "file").write_text("made"))
    with stage.kept() as session:
        planted = stage.root / f".nono-restore-{session.info.session_id}-0"
    (planted / "closed/below").mkdir(parents=True)
    (planted / "closed").chmod(0)
    assert stage.restore() == []
    assert os.listdir(stage.root) == []
    assert cleanup(Wish(None, None, all=True, is_dry=False, yes=True), stage.environ) == 0
    assert kept.names(kept.root_of(stage.environ)) == []


@SMALL_AND_LARGE
def test_what_another_disk_holds_is_kept_anew(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    for number in range(8):  # too many for a pack that is copied
        (stage.root / f"file{number}").write_bytes(noise(size + number))
        os.utime(stage.root / f"file{number}", ns=(1, 1))
    before = stage.look()
    stage.run(lambda: None)
    monkeypatch.setattr(os, "link", refused)
    with stage.recorded(elsewhere=str(tmp_path / "disk")) as taken:
        for number in range(8):
            (stage.root / f"file{number}").unlink()
        taken.finish(0)
    shutil.rmtree(tmp_path / "state/nono/rollbacks/0000000000000001")
    assert stage.restore() == []
    assert stage.look() == before


def test_a_snapshot_is_the_same_in_whatever_order_they_are_looked_at(stage: Stage) -> None:
    with stage.recorded() as taken:
        for turn in range(4):
            (stage.root / f"file{turn % 2}").write_text(str(turn))
            taken.mark(f"before turn {turn}")
        taken.finish(0)
    with stage.kept() as session:
        whole = list(session.snapshots())
        assert [each.number for each in whole] == [0, 1, 2, 3, 4, 5]
        for order in ([5, 0, 3, 1], [-1, -6, 2, 2]):
            found = session.snapshots()
            assert [found[at] for at in order] == [whole[at] for at in order]
        assert session.snapshots()[1:3] == whole[1:3]
        assert [*reversed(session.snapshots())] == whole[::-1]
