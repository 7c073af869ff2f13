"""Denied files that a run has put into git without content."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from nono.launch.around.left import emptied_files
from nono.launch.around.repository_files import LookError
from nono.policy.git.repository import Repository

DENIED = ("deep/a.env", "deep/b.env")


def git(directory: Path, *argv: str) -> None:
    person = ("-c", "user.name=a", "-c", "user.email=a@b.example")
    subprocess.run(["git", *person, *argv], cwd=directory, check=True, capture_output=True)


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """Make a repository with two denied files, which have content in it and outside."""
    top = tmp_path.resolve() / "a project"
    (top / "deep").mkdir(parents=True)
    git(top, "init", "-q")
    for name in DENIED:
        (top / name).write_text("KEY=1\n")
    git(top, "add", ".")
    git(top, "commit", "-qm", "one")
    return top


def as_seen_inside(top: Path, *argv: str) -> None:
    """Run git while the first denied file looks empty."""
    (top / DENIED[0]).write_text("")
    git(top, *argv)
    (top / DENIED[0]).write_text("KEY=1\n")


def told(top: Path, before: frozenset[str] = frozenset(), *, denied: Path | None = None) -> list[str]:
    files = [str((denied or top) / name) for name in DENIED]
    repository = Repository(str(top / ".git"), str(denied or top))
    return [*emptied_files.sentences(repository, files, before)]


@pytest.mark.parametrize("argv", [("commit", "-qam", "two"), ("add", ".")], ids=["committed", "staged"])
def test_a_denied_file_that_git_holds_empty_is_told_and_the_one_beside_it_is_not(
    argv: tuple[str, ...], top: Path
) -> None:
    assert told(top) == []
    as_seen_inside(top, *argv)
    (sentence,) = told(top)
    assert "this run put deep/a.env into git without content" in sentence
    assert f"git log in '{top}'" in sentence


def test_what_git_held_empty_before_is_not_told(top: Path) -> None:
    as_seen_inside(top, "add", ".")
    assert told(top, frozenset({f"{top}/{DENIED[0]}"})) == []


def test_a_file_that_is_empty_is_not_told(top: Path) -> None:
    as_seen_inside(top, "add", ".")
    (top / DENIED[0]).write_text("")
    assert told(top) == []


def test_a_linked_worktree_is_told_of(top: Path) -> None:
    git(top, "worktree", "add", "-q", "../linked")
    linked = top.parent / "linked"
    as_seen_inside(linked, "commit", "-qam", "two")
    (sentence,) = told(top, denied=linked)
    assert "deep/a.env" in sentence


def test_a_lack_of_descriptors_is_told(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(*_: object) -> frozenset[str]:
        raise LookError(OSError(24, os.strerror(24)))

    monkeypatch.setattr(emptied_files, "look", lacking)
    (sentence,) = told(top)
    assert "cannot tell" in sentence
    assert os.strerror(24) in sentence


@pytest.mark.parametrize("missing", [0, 1])
def test_the_indices_of_all_worktrees_share_what_is_read(
    top: Path, missing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command can make a thousand, each of 64 MB that take no room on the disk."""
    beside = top.parent / "beside"
    git(top, "worktree", "add", "-q", str(beside))
    as_seen_inside(beside, "add", ".")
    indices = [top / ".git/index", top / ".git/worktrees/beside/index"]
    size = sum(each.stat().st_size for each in indices)
    monkeypatch.setattr(emptied_files, "INDEX_BYTES_MAX", size - missing)
    assert len(told(top, denied=beside)) == 1 - missing
