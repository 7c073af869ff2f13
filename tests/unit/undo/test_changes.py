"""nono.undo.model.changes: what a change says of itself, and which a person is shown first."""

from __future__ import annotations

import pytest

from nono.undo.model.changes import Change, ChangeType, shown
from nono.undo.model.entry import DIRECTORY, FILE, Entry


def entry(kind: str, size: int) -> Entry:
    return Entry(kind, 0o644, 0, 0, size, 0, 0, 1, 1, None)


@pytest.mark.parametrize(
    ("kind", "before", "after", "delta"),
    [
        (ChangeType.MODIFIED, entry(FILE, 10), entry(FILE, 25), 15),
        (ChangeType.CREATED, None, entry(FILE, 25), 25),
        (ChangeType.DELETED, entry(FILE, 10), None, -10),
        (ChangeType.CREATED, None, entry(DIRECTORY, 4096), 0),
        (ChangeType.MODIFIED, entry(DIRECTORY, 4096), entry(FILE, 25), 25),
        (ChangeType.PERMISSIONS, entry(FILE, 10), entry(FILE, 10), None),
    ],
)
def test_only_the_content_of_files_counts_as_a_change_of_size(
    kind: ChangeType, before: Entry | None, after: Entry | None, delta: int | None
) -> None:
    assert Change("/p", "a", kind, before, after).size_delta == delta


def test_what_an_agent_keeps_for_itself_and_git_come_after_the_work() -> None:
    paths = [
        ("/home/ada/.codex", "sessions/1"),
        ("/home/ada/work", ".git/objects/12"),
        ("/home/ada/work", ".github/workflows/ci.yml"),
        ("/home/ada/work", "src/main.c"),
        ("/home/ada/work", "vendor/lib/.git"),
    ]
    found = [Change(root, path, ChangeType.CREATED, None, entry(FILE, 1)) for root, path in paths]
    touched = found[3]._replace(type=ChangeType.TOUCHED)
    assert [change.path for change in shown([*found, touched])] == [
        ".github/workflows/ci.yml",
        "src/main.c",
        "sessions/1",
        ".git/objects/12",
        "vendor/lib/.git",
    ]


@pytest.mark.parametrize("work", ["/home/ada/work/.claude/worktrees/fix", "/home/ada/.dotfiles"])
def test_work_in_a_hidden_directory_comes_before_gits_files(work: str) -> None:
    paths = [(work, ".git/objects/12"), (work, "src/main.c"), ("/home/ada/work/.git/worktrees/fix", "index")]
    found = [Change(root, path, ChangeType.CREATED, None, entry(FILE, 1)) for root, path in paths]
    assert [change.path for change in shown(found)] == ["src/main.c", ".git/objects/12", "index"]


def test_work_in_a_worktree_of_an_agent_comes_before_the_agents_state() -> None:
    paths = [("/home/ada/.codex", "sessions/1"), ("/home/ada/.codex/worktrees/a1/work", "src/main.c")]
    found = [Change(root, path, ChangeType.CREATED, None, entry(FILE, 1)) for root, path in paths]
    assert [change.path for change in shown(found)] == ["src/main.c", "sessions/1"]
