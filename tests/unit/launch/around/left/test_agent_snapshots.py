"""What a run changed in the repositories in which an agent keeps what a project held."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from nono.launch.around.granted_repositories import SnapshotPlace, snapshots_of
from nono.launch.around.left import agent_snapshots
from nono.launch.around.left.agent_snapshots import Snapshots
from nono.policy.capability import Access, Grant
from nono.policy.path_expansion import PathContext

Change = Callable[[Path], object]
PROGRAM = "\n[core]\n\tfsmonitor = /tmp/x\n"


def made(directory: Path) -> Path:
    """Make a repository as opencode makes one, for a working tree elsewhere."""
    subprocess.run(["git", "init", "-q", "--bare", "--template=", str(directory)], check=True)
    with (directory / "config").open("a") as config:
        config.write("[core]\n\tworktree = /home/ada/work\n\tfsmonitor = false\n")
    return directory


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    """Yield the directory of an agent that has kept a project."""
    made(tmp_path / "opencode/snapshot/project/worktree")
    return tmp_path / "opencode/snapshot"


def told(snapshot: Path, change: Change, levels: int = 2) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return path, kind and names of each change that is told."""
    watched = Snapshots(SnapshotPlace(str(snapshot), str(snapshot.parent), levels))
    change(snapshot)
    return [
        (each.path.removeprefix(str(snapshot)).strip("/"), each.what, each.names)
        for each in watched.changes()
    ]


def add(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def led_elsewhere(at: Path) -> None:
    (at / "project").rename(at.parent / "mine")
    (at / "project").symlink_to(at.parent / "mine")


def all_led_elsewhere(at: Path) -> None:
    at.rename(at.parent / "mine")
    at.symlink_to("mine")


@pytest.mark.parametrize(
    ("change", "path", "kind", "names"),
    [
        pytest.param(
            lambda at: add(at / "project/worktree/config", PROGRAM),
            "project/worktree/config",
            "settings",
            ("core.fsmonitor",),
            id="settings",
        ),
        pytest.param(
            lambda at: add(made(at / "other/worktree") / "config", PROGRAM),
            "other/worktree/config",
            "settings",
            ("core.fsmonitor",),
            id="a new repository",
        ),
        pytest.param(led_elsewhere, "project", "redirected", (), id="a link to it"),
        pytest.param(all_led_elsewhere, "", "redirected", (), id="a link to all"),
        pytest.param(
            lambda at: (at / "project/new").symlink_to("worktree"),
            "project/new",
            "redirected",
            (),
            id="a link",
        ),
    ],
)
def test_what_git_runs_in_a_snapshot_is_told(
    snapshot: Path, change: Change, path: str, kind: str, names: tuple[str, ...]
) -> None:
    assert told(snapshot, change) == [(path, kind, names)]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda _: None, id="nothing"),
        pytest.param(
            lambda at: add(at / "project/worktree/config", "[user]\n\tname = x\n"), id="other settings"
        ),
        pytest.param(lambda at: made(at / "other/worktree"), id="a new repository"),
        pytest.param(lambda at: add(at.parent / "config", PROGRAM), id="beside it"),
    ],
)
def test_what_runs_nothing_in_a_snapshot_is_not_told(snapshot: Path, change: Change) -> None:
    assert told(snapshot, change) == []


def test_a_snapshot_may_be_a_level_below_and_have_a_directory_of_its_own(tmp_path: Path) -> None:
    history = tmp_path / "history"
    subprocess.run(["git", "init", "-q", "--template=", str(history / "project")], check=True)
    change = told(history, lambda at: add(at / "project/.git/config", PROGRAM), levels=1)
    assert change == [("project/.git/config", "settings", ("core.fsmonitor",))]


def test_more_snapshots_than_are_looked_at_are_told_of(
    snapshot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_snapshots, "PLACES_MAX", 3)
    assert told(snapshot, lambda at: (at / "project/third").mkdir()) == []
    assert told(snapshot, lambda at: (at / "project/fourth").mkdir()) == [("", "unreadable", ())]
    # It looks as it did, and what is below is still not seen.
    assert told(snapshot, lambda at: add(at / "project/worktree/config", PROGRAM)) == [("", "unreadable", ())]


def test_a_file_in_the_place_of_snapshots_is_told_of_if_the_run_has_made_it(tmp_path: Path) -> None:
    def make(at: Path) -> None:
        at.write_text("")

    assert told(tmp_path / "snapshot", make) == [("", "unreadable", ())]
    assert told(tmp_path / "snapshot", lambda _: None) == []


OF_OPENCODE = ("snapshot", "repos", "worktree")


@pytest.mark.parametrize(
    ("path", "access", "found"),
    [
        ("/data/opencode", Access.READWRITE, [f"/data/opencode/{each}" for each in OF_OPENCODE]),
        ("/data/opencode/snapshot", Access.READWRITE, ["/data/opencode/snapshot"]),
        ("/data/opencode", Access.READ, []),
        (
            "/home/ada/.local/share/opencode",
            Access.READWRITE,
            [f"/home/ada/.local/share/opencode/{each}" for each in OF_OPENCODE],
        ),
        ("/data/kilo", Access.READWRITE, ["/data/kilo/snapshot"]),
        ("/home/ada/.gemini", Access.READWRITE, ["/home/ada/.gemini/history"]),
        ("/home/ada/.claude", Access.READWRITE, ["/home/ada/.claude/plugins/marketplaces"]),
        ("/home/ada/.codex", Access.READWRITE, []),
    ],
)
def test_snapshots_are_watched_where_the_run_may_write_them(
    path: str, access: Access, found: list[str]
) -> None:
    paths = PathContext("/home/ada", "/work", "/work", {"HOME": "/home/ada", "XDG_DATA_HOME": "/data"})
    grant = Grant(path, access, True, "profile", path)
    assert [place.path for place in snapshots_of([grant], paths)] == found


def test_snapshots_are_watched_where_a_link_to_the_state_leads(tmp_path: Path) -> None:
    (tmp_path / "dotfiles").mkdir()
    (tmp_path / "opencode").symlink_to("dotfiles")
    paths = PathContext("/home/ada", "/work", "/work", {"XDG_DATA_HOME": str(tmp_path)})
    for directory, is_watched in (("dotfiles", True), ("other", False)):
        path = str(tmp_path / directory)
        found = [*snapshots_of([Grant(path, Access.READWRITE, True, "profile", path)], paths)]
        assert [place.path for place in found] == (
            [f"{path}/{each}" for each in OF_OPENCODE] if is_watched else []
        )
