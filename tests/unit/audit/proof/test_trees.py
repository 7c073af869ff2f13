"""The Merkle root of directories, against the published one, and what it notices."""

from __future__ import annotations

import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from nono.audit.proof import trees
from nono.audit.proof.trees import TooLargeError, merkle_root, tree_root


def test_the_root_has_the_published_value() -> None:
    files = {b"/t/a-b": b"1", b"/t/a/b": b"2", b"/t/c": b"3"}
    digests = {path: sha256(content).digest() for path, content in files.items()}
    assert merkle_root(digests).hex() == "6501204e699bea3a0f545d4902d6626e5af9a18a5979c0310038d05ea2a92890"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b").write_text("1")
    (tmp_path / os.fsdecode(b"\xff")).write_text("2")
    (tmp_path / "link").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git/index").write_text("3")
    return tmp_path


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
    monkeypatch.setattr(trees, "ENTRIES_MAX", 2)
    with pytest.raises(TooLargeError):
        tree_root([str(tree)])
