"""Which file a helper's name stands for, and which it never does."""

from __future__ import annotations

from pathlib import Path

import pytest

from nono.credentials.helpers.program import find_program, trusted_directories
from nono.credentials.values.errors import CredentialUnavailable


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install an `op` in a directory of ours, beside the project that is the working directory."""
    project = tmp_path / "home" / "project"
    project.mkdir(parents=True)
    monkeypatch.chdir(project)
    (tmp_path / "home").chmod(0o755)
    return place(tmp_path / "home" / "bin" / "op")


def place(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    path.parent.chmod(0o755)
    return path


def environ(*directories: Path | str, home: Path | str = "/nowhere") -> dict[str, str]:
    return {"PATH": ":".join(map(str, directories)), "HOME": str(home)}


def test_a_bare_name_is_searched_for_along_path(installed: Path, tmp_path: Path) -> None:
    place(tmp_path / "second" / "op")
    assert find_program("op", environ(installed.parent, tmp_path / "second")) == str(installed)
    assert find_program("op", environ(tmp_path / "second", installed.parent)) != str(installed)


def test_an_absolute_path_is_itself(installed: Path) -> None:
    assert find_program(str(installed), environ("/nowhere")) == str(installed)


@pytest.mark.parametrize("name", ["./op", "bin/op", "../bin/op"])
def test_a_relative_path_is_refused(installed: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(installed.parent)
    with pytest.raises(CredentialUnavailable, match="relative"):
        find_program(name, environ(installed.parent))


@pytest.mark.parametrize("directory", ["", ".", "bin", "../bin"])
def test_a_relative_directory_of_path_is_passed_over(
    installed: Path, monkeypatch: pytest.MonkeyPatch, directory: str
) -> None:
    monkeypatch.chdir(installed.parent if directory in ("", ".") else installed.parents[1])
    place(installed.parents[1] / "bin" / "op")
    with pytest.raises(CredentialUnavailable, match="not installed"):
        find_program("op", environ(directory))


def test_what_the_agent_may_have_put_into_the_project_is_not_run(installed: Path, tmp_path: Path) -> None:
    planted = place(Path.cwd() / ".venv" / "bin" / "op")
    assert find_program("op", environ(planted.parent, installed.parent)) == str(installed)
    with pytest.raises(CredentialUnavailable, match="inside the working directory"):
        find_program("op", environ(planted.parent))
    with pytest.raises(CredentialUnavailable, match="inside the working directory"):
        find_program(str(planted), environ())


def test_nor_when_a_link_outside_leads_into_the_project(installed: Path, tmp_path: Path) -> None:
    planted = place(Path.cwd() / "op")
    installed.unlink()
    installed.symlink_to(planted)
    with pytest.raises(CredentialUnavailable, match="inside the working directory"):
        find_program("op", environ(installed.parent))
    directory = tmp_path / "linked"
    directory.symlink_to(planted.parent)
    with pytest.raises(CredentialUnavailable, match="inside the working directory"):
        find_program("op", environ(directory))


@pytest.mark.parametrize("is_bare", [True, False])
def test_a_link_in_the_project_is_not_a_part_of_the_way(installed: Path, is_bare: bool) -> None:
    """The agent may turn it later, and the program would be its own."""
    link = Path.cwd() / ".venv"
    link.symlink_to(installed.parent)
    found = find_program("op", environ(link)) if is_bare else find_program(f"{link}/op", environ())
    assert found == str(installed)
    assert trusted_directories(environ(link)) == [str(installed.parent)]


def test_a_program_behind_a_link_in_the_project_is_not_run(installed: Path, tmp_path: Path) -> None:
    (Path.cwd() / "tools").symlink_to(installed.parent)
    first = tmp_path / "first"
    first.mkdir()
    first.chmod(0o755)
    (first / "op").symlink_to(Path.cwd() / "tools" / "op")
    with pytest.raises(CredentialUnavailable, match="inside the working directory"):
        find_program("op", environ(first))


def test_programs_below_home_stay_trusted_when_started_in_home(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = installed.parents[1]
    monkeypatch.chdir(home)
    assert find_program("op", environ(installed.parent, home=home)) == str(installed)
    with pytest.raises(CredentialUnavailable, match="inside the working directory"):
        find_program("op", environ(installed.parent, home=home.parent))


@pytest.mark.parametrize(
    ("part", "mode", "trusted"),
    [
        ("file", 0o755, True),
        ("file", 0o757, False),
        ("file", 0o644, False),
        ("directory", 0o755, True),
        ("directory", 0o757, False),
        ("directory", 0o1777, False),
        ("above", 0o755, True),
        ("above", 0o757, False),
        ("above", 0o1777, True),
    ],
    ids=lambda value: f"{value:o}" if isinstance(value, int) and not isinstance(value, bool) else str(value),
)
def test_a_program_that_everybody_could_replace_is_not_run(
    installed: Path, part: str, mode: int, trusted: bool
) -> None:
    {"file": installed, "directory": installed.parent, "above": installed.parents[1]}[part].chmod(mode)
    if trusted:
        assert find_program("op", environ(installed.parent)) == str(installed)
        return
    with pytest.raises(CredentialUnavailable):
        find_program("op", environ(installed.parent))
    with pytest.raises(CredentialUnavailable):
        find_program(str(installed), environ())


@pytest.mark.parametrize("name", ["absent", "", "a\0b", "..", "."])
def test_a_name_that_is_no_program_is_unavailable(installed: Path, name: str) -> None:
    with pytest.raises(CredentialUnavailable):
        find_program(name, environ(installed.parent))


def test_a_dangling_link_and_a_directory_are_no_programs(installed: Path) -> None:
    (installed.parent / "dangling").symlink_to("gone")
    (installed.parent / "folder").mkdir()
    for name in ("dangling", "folder"):
        with pytest.raises(CredentialUnavailable, match="not installed"):
            find_program(name, environ(installed.parent))
        with pytest.raises(CredentialUnavailable, match="does not exist, or cannot be executed"):
            find_program(str(installed.parent / name), environ())


def test_a_helper_inherits_only_trusted_path_directories(installed: Path, tmp_path: Path) -> None:
    planted = place(Path.cwd() / "bin" / "gpg")
    opened = tmp_path / "opened"
    opened.mkdir()
    opened.chmod(0o777)
    path = environ("", ".", planted.parent, opened, "/nowhere", installed.parent, "/usr/bin")
    assert trusted_directories(path) == [str(installed.parent), "/usr/bin"]
