"""The program that is found is the one that would be executed."""

from __future__ import annotations

from pathlib import Path

import pytest

from nono.errors import NonoError
from nono.launch.prepare import find_program


def executable(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


def test_the_first_executable_on_the_path_is_found(tmp_path: Path) -> None:
    second = executable(tmp_path / "b/tool")
    executable(tmp_path / "c/tool")
    (tmp_path / "a").mkdir()
    (tmp_path / "a/tool").write_text("not executable")
    search = f"{tmp_path}/a:{tmp_path}/b:{tmp_path}/c"
    assert find_program("tool", search, "/") == second


def test_a_name_with_a_slash_hangs_on_the_working_directory(tmp_path: Path) -> None:
    tool = executable(tmp_path / "sub/tool")
    assert find_program("./sub/tool", "", str(tmp_path)) == tool
    assert find_program(tool, "", "/") == tool


def test_an_empty_or_relative_part_of_the_path_is_not_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable(tmp_path / "tool")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NonoError, match="not found on PATH"):
        find_program("tool", ":.", str(tmp_path))


@pytest.mark.parametrize("name", ["nosuch", "./nosuch", "/nosuch", "/etc", "/etc/passwd", ""])
def test_what_cannot_be_executed_is_not_found(name: str) -> None:
    with pytest.raises(NonoError, match="Command execution failed"):
        find_program(name, "/usr/bin:/bin", "/")
