"""What is written in a watched directory is noted, or it is said that nobody knows."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nono.kernel import inotify
from nono.kernel.uapi import inotify as uapi
from nono.undo import written
from nono.undo.written import Written


def nothing(path: str, name: str, is_directory: bool) -> bool:
    return False


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("a", "b/c", "b/d/e", "left/out/f"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("old")
    return tmp_path


@pytest.fixture
def watch(tree: Path) -> Iterator[Written]:
    with Written({str(tree): lambda path, name, is_directory: name == "out"}) as watch:
        yield watch


def names(tree: Path, found: set[str] | None) -> set[str]:
    assert found is not None
    return {os.path.relpath(path, tree) for path in found}


WAYS: dict[str, tuple[Callable[[Path], object], set[str]]] = {
    "a write": (lambda tree: (tree / "b/c").write_text("new"), {"b/c"}),
    "a new file": (lambda tree: (tree / "b/n").touch(), {"b/n"}),
    "a removed file": (lambda tree: (tree / "b/c").unlink(), {"b/c"}),
    "a rename": (lambda tree: (tree / "a").rename(tree / "b/a"), {"a", "b/a"}),
    "a mode": (lambda tree: (tree / "a").chmod(0o600), {"a"}),
    "a link": (lambda tree: os.link(tree / "a", tree / "b/l"), {"b/l"}),
    "an extended attribute": (lambda tree: os.setxattr(tree / "a", "user.x", b"y"), {"a"}),
    "a truncation": (lambda tree: os.truncate(tree / "b/d/e", 0), {"b/d/e"}),
    "a file left out": (lambda tree: (tree / "left/out/f").write_text("new"), set()),
    "nothing": (lambda tree: (tree / "a").read_text(), set()),
}


@pytest.mark.parametrize("way", WAYS)
def test_what_is_written_is_noted_once(way: str, tree: Path, watch: Written) -> None:
    act, expected = WAYS[way]
    act(tree)
    assert names(tree, watch.changed()) == expected
    assert watch.changed() == set()


def test_what_is_written_in_a_new_directory_is_noted(tree: Path, watch: Written) -> None:
    (tree / "new/deep").mkdir(parents=True)
    (tree / "new/deep/file").touch()
    assert names(tree, watch.changed()) >= {"new"}
    (tree / "new/deep/file").write_text("x")
    assert names(tree, watch.changed()) == {"new/deep/file"}


def test_a_directory_is_followed_when_it_moves(tree: Path, watch: Written) -> None:
    (tree / "b").rename(tree / "moved")
    assert names(tree, watch.changed()) >= {"b", "moved"}
    (tree / "moved/d/e").write_text("x")
    assert names(tree, watch.changed()) == {"moved/d/e"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read what nobody may")
def test_a_directory_is_watched_again_when_it_can_be_read(tree: Path, watch: Written) -> None:
    (tree / "shut").mkdir(0o300)
    watch.changed()
    (tree / "shut/file").touch()
    (tree / "shut").chmod(0o700)
    assert names(tree, watch.changed()) >= {"shut"}
    (tree / "shut/file").write_text("x")
    assert names(tree, watch.changed()) == {"shut/file"}


def test_a_link_leads_no_watch_out_of_the_tree(tmp_path_factory: pytest.TempPathFactory, tree: Path) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (tree / "link").symlink_to(outside)
    with Written({str(tree): nothing}) as watch:
        (tree / "other").symlink_to(outside)
        (outside / "file").touch()
        assert names(tree, watch.changed()) == {"other"}


def test_a_directory_that_becomes_a_link_is_not_followed(
    tmp_path_factory: pytest.TempPathFactory, tree: Path, watch: Written
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    shutil.rmtree(tree / "b")
    (tree / "b").symlink_to(outside)
    watch.changed()
    (outside / "file").touch()
    assert watch.changed() == set()


def test_lost_events_are_said_once(tree: Path, watch: Written) -> None:
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    with watch._lock:  # so that nobody empties the queue
        for number in range(limit // 2 + 2):
            os.utime(tree / "a", (number, number))
            os.utime(tree / "b/c", (number, number))
        (tree / "unseen").mkdir()
    assert watch.changed() is None
    (tree / "unseen/file").touch()
    assert names(tree, watch.changed()) == {"unseen/file"}


def test_too_many_directories_are_not_watched(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(written, "MAX_DIRECTORIES", 2)
    with Written({str(tree): nothing}) as watch:
        assert watch.changed() is None
        assert watch.changed() is None


def test_no_more_than_a_quarter_of_the_watches_of_a_user_is_taken(
    tree: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = tmp_path_factory.mktemp("proc") / "max_user_watches"
    monkeypatch.setattr(written, "_WATCHES_FILE", str(limit))
    for watches, is_known in ((4 * 5, True), (4 * 5 - 1, False)):  # the tree has five directories
        limit.write_text(f"{watches}\n")
        with Written({str(tree): nothing}) as watch:
            assert (watch.changed() is not None) is is_known


def test_what_is_given_up_holds_no_watch(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def queues() -> int:
        links = [Path("/proc/self/fd", name) for name in os.listdir("/proc/self/fd")]
        return sum(os.readlink(link) == "anon_inode:inotify" for link in links if link.is_symlink())

    before = queues()
    monkeypatch.setattr(written, "MAX_DIRECTORIES", 6)
    with Written({str(tree): nothing}) as watch:
        assert queues() == before + 1
        (tree / "one/more").mkdir(parents=True)
        assert watch.changed() is None
        assert queues() == before


def test_a_command_that_writes_on_and_on_holds_up_no_answer(
    tree: Path, watch: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    [number] = [number for number, place in watch._watched.items() if not place.path]
    event = inotify.Happened(number, uapi.IN_MODIFY, "a")
    monkeypatch.setattr(inotify, "happened", lambda queue: [event])
    assert names(tree, watch.changed()) == {"a"}


def test_a_user_without_watches_left_gets_a_walk(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(queue: int, directory: int) -> int:
        raise OSError(28, "no space left")

    monkeypatch.setattr(inotify, "watch_writes", full)
    with Written({str(tree): nothing}) as watch:
        assert watch.changed() is None


def test_a_directory_that_lacks_a_descriptor_is_left_to_a_walk(tree: Path, watch: Written) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        (tree / "new").mkdir()
        watch.changed()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    (tree / "new/file").touch()
    assert watch.changed() is None


def test_too_many_changes_are_left_to_a_walk(
    tree: Path, watch: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(written, "MAX_CHANGED", 3)
    for number in range(5):
        (tree / f"n{number}").touch()
    assert watch.changed() is None
    (tree / "a").write_text("x")
    assert names(tree, watch.changed()) == {"a"}


NAMES = st.sampled_from(["a", "b", "c"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
ACTIONS = st.lists(
    st.tuples(st.sampled_from(["write", "mkdir", "remove", "move", "mode"]), PATHS, PATHS), max_size=12
)


def look(tree: Path) -> dict[str, tuple[int, ...]]:
    found = dict[str, tuple[int, ...]]()
    for path in [tree, *tree.rglob("*")]:
        stat = path.lstat()
        found[os.path.relpath(path, tree)] = (stat.st_ino, stat.st_mode, stat.st_size, stat.st_ctime_ns)
    return found


def act(tree: Path, what: str, path: str, other: str) -> None:
    one, two = tree / path, tree / other
    match what:
        case "write":
            one.write_text("x")
        case "mkdir":
            one.mkdir()
        case "remove":
            shutil.rmtree(one) if one.is_dir() else one.unlink()
        case "move":
            one.rename(two)
        case "mode":
            one.chmod(0o750)


@given(ACTIONS, st.integers(0, 12))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_change_goes_unnoticed(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[str, str, str]], asked_at: int
) -> None:
    tree = tmp_path_factory.mktemp("tree")
    with Written({str(tree): nothing}) as watch:
        before = look(tree)
        for number, action in enumerate(actions):
            try:
                act(tree, *action)
            except OSError:
                continue
            if number == asked_at:
                watch.changed()
                before = look(tree)
        found, after = names(tree, watch.changed()), look(tree)
    # The time of a directory changes with what is in it: undo looks at it with each path.
    differing = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    for path in differing:
        parents = [str(each) for each in Path(path).parents]
        is_noted = path in found or any(parent in found for parent in parents if parent != ".")
        assert is_noted or (tree / path).is_dir() or path == ".", path
