"""The Merkle root of directories, against the published one, what it notices, and what undo saves it."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from nono.kernel import namespaces
from nono.launch.record import hashed
from nono.launch.record.hashed import TooLargeError, tree_root
from nono.undo.looking import RACY_NS
from nono.undo.model.left_out import left_out
from nono.undo.model.snapshot import root_over
from support.forked import in_child
from unit.undo.conftest import Stage


def test_the_root_has_the_published_value() -> None:
    files = {b"/t/a-b": b"1", b"/t/a/b": b"2", b"/t/c": b"3"}
    digests = [(path, sha256(content).hexdigest()) for path, content in files.items()]
    assert root_over(digests) == "6501204e699bea3a0f545d4902d6626e5af9a18a5979c0310038d05ea2a92890"


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def filled(tree: Path) -> Path:
    (tree / "a").mkdir()
    (tree / "a/b").write_text("1")
    (tree / os.fsdecode(b"\xff")).write_text("2")
    (tree / "link").symlink_to("/etc/passwd")
    os.mkfifo(tree / "fifo")
    (tree / ".git").mkdir()
    (tree / ".git/index").write_text("3")
    return tree


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return filled(tmp_path)


def in_the_place(file: Path) -> None:
    """Put a link to a file in its place."""
    target = file.rename(file.with_name("target"))
    file.symlink_to(target)


CHANGES: dict[str, Callable[[Path], object]] = {
    "a content": lambda tree: (tree / "a/b").write_text("2"),
    "a name": lambda tree: (tree / "a/b").rename(tree / "a/c"),
    "a new file": lambda tree: (tree / "new").touch(),
    "a file that goes": lambda tree: (tree / "a/b").unlink(),
    "a link in the place of a file": lambda tree: in_the_place(tree / "a/b"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_changes_the_root(tree: Path, change: Callable[[Path], object]) -> None:
    before = tree_root([str(tree)])
    change(tree)
    assert tree_root([str(tree)]).root != before.root


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: (tree / ".git/index").write_text("4"),
        lambda tree: (tree / "a/b").write_text("1"),
        lambda tree: (tree / "link").unlink(),
    ],
    ids=["the repository's own files", "the same content", "a link that goes"],
)
def test_what_is_no_file_of_it_does_not_change_the_root(tree: Path, change: Callable[[Path], object]) -> None:
    before = tree_root([str(tree)])
    change(tree)
    assert tree_root([str(tree)]) == before


def test_a_tree_that_is_too_large_is_refused(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashed, "ENTRIES_MAX", 2)
    with pytest.raises(TooLargeError):
        tree_root([str(tree)])


@pytest.mark.root
def test_what_is_mounted_inside_is_covered(tmp_path: Path) -> None:
    def work() -> Any:
        namespaces.leave_mounts()
        stage = Stage(tmp_path)
        place = stage.root / "mounted"
        place.mkdir()
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.mount(b"none", os.fsencode(place), b"tmpfs", ctypes.c_ulong(0), None) == 0
        roots = []
        for content in ("1", "2"):
            (place / "file").write_text(content)
            roots.append(both(stage))
        return roots

    first, second = in_child(work)
    assert first[0] == first[1]
    assert second[0] == second[1]
    assert first != second


LEFT_OUT = left_out(("secret", "a/deep"), ("*.log",))


def both(stage: Stage, read: list[str] | None = None) -> tuple[str, str]:
    """Return the root without undo, and the one of what it has just seen."""
    with stage.recorded(LEFT_OUT) as taken:
        alone = tree_root([str(stage.root)])
        if read is not None:
            read.clear()
        return alone.root, tree_root([str(stage.root)], taken.baseline.trees).root


def test_the_root_is_the_same_whatever_undo_leaves_out(stage: Stage) -> None:
    filled(stage.root)
    for path in ("secret/x", "a/deep/er/y", "build/z", ".mypy_cache/c", "node_modules/m", "b/target/t"):
        (stage.root / path).parent.mkdir(parents=True)
        (stage.root / path).write_text(path)
    for path in ("a/one.log", "secret.log", ".DS_Store"):
        (stage.root / path).write_text(path)
    roots = set[str]()
    covered = ("a/b", "secret/x", "a/deep/er/y", "build/z", ".mypy_cache/c", "a/one.log", "secret.log")
    for path in ("", *covered):
        if path:
            (stage.root / path).write_text("changed")
        alone, beside = both(stage)
        assert alone == beside, path
        roots.add(beside)
    assert len(roots) == len(covered) + 1
    (stage.root / "node_modules/m").write_text("changed")
    assert set(both(stage)) <= roots


def noted_reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    read, actual = list[str](), os.read

    def noted(descriptor: int, size: int) -> bytes:
        read.append(os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))
        return actual(descriptor, size)

    monkeypatch.setattr(os, "read", noted)
    return read


def test_what_undo_has_just_read_is_not_read_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    (stage.root / "kept").write_text("x")
    (stage.root / "left.log").write_text("x")
    read = noted_reads(monkeypatch)
    alone, beside = both(stage, read)
    assert alone == beside
    assert set(read) == {"left.log"}


def test_what_undo_knows_from_an_earlier_look_is_read(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proof does not trust the times of files, which a file system may make up."""
    (stage.root / "kept").write_text("x")
    changed_ns = (stage.root / "kept").stat().st_ctime_ns
    monkeypatch.setattr(time, "time_ns", lambda: changed_ns + 2 * RACY_NS)
    stage.run(lambda: None)
    read = noted_reads(monkeypatch)
    alone, beside = both(stage, read)
    assert alone == beside
    assert read == ["kept"]
