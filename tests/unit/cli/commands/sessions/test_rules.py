"""`nono allow` names a path as the kernel will, and takes nobody's link for what a person means."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nono.cli.main import main
from nono.paths import STATE_VARIABLE


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(STATE_VARIABLE, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    return project


@pytest.mark.parametrize("typed", ["./db.sock", "./run/db.sock"])
def test_a_link_that_a_command_may_have_made_is_not_followed(
    project: Path, typed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = project.parent / "agent"
    elsewhere.mkdir()
    (elsewhere / "db.sock").touch()
    Path("run").symlink_to(elsewhere)
    Path("db.sock").symlink_to(elsewhere / "db.sock")
    assert main(["allow", typed]) == 1
    said = capsys.readouterr().err
    assert f"'{typed}' leads to {elsewhere}/db.sock" in said
    assert f"hint: nono allow {elsewhere}/db.sock" in said
    for same in (f"{elsewhere}/db.sock", "./db"):
        assert main(["allow", same]) == 1
        assert "No session runs." in capsys.readouterr().err


@pytest.mark.parametrize("argv", [["deny", "./db"], ["allow", "./db", "--undo"]], ids=str)
def test_a_rule_that_opens_nothing_follows_links(
    project: Path, argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("db").symlink_to("/etc/hosts")
    assert main(argv) == 1
    assert "No session runs." in capsys.readouterr().err


@pytest.mark.parametrize("command", ["allow", "deny"])
def test_a_group_of_hosts_is_not_taken_for_a_host_of_that_name(
    project: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who types `nono deny github` would believe GitHub denied, as --deny-domain github has it."""
    assert main([command, "github"]) == 1
    said = capsys.readouterr().err
    assert "'github' is a group of hosts" in said
    assert "nono profile hosts github" in said
    for host in ("github:443", "github.com"):
        assert main([command, host]) == 1
        assert "No session runs." in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may change every link")
def test_a_link_of_the_system_is_followed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert os.readlink("/proc/mounts")
    assert main(["allow", "/proc/mounts"]) == 1
    assert "No session runs." in capsys.readouterr().err
