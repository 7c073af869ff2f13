"""The program that is found is the one that would be executed."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from nono.errors import NonoError, UsageError
from nono.launch.prepare import find_program, ready_state_directories
from nono.policy.capability import Access, Grant


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


@pytest.mark.parametrize(
    ("search_path", "hint"),
    [
        ("/nowhere:a b", "nono searches no relative part of PATH, such as a b: './a b/tool' names it"),
        ("/nowhere:other", None),
        ("a b/..", None),
    ],
)
def test_a_relative_part_of_the_path_that_has_the_program_is_named(
    tmp_path: Path, search_path: str, hint: str | None
) -> None:
    executable(tmp_path / "a b/tool")
    with pytest.raises(NonoError, match="not found on PATH") as caught:
        find_program("tool", search_path, str(tmp_path))
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("nosuch", "nosuch: not found on PATH", None),
        (
            "tool -v",
            "tool -v: not found on PATH",
            "quotes make it one name: leave them out, or sh -c 'tool -v'",
        ),
        ("A=$b", "A=$b: not found on PATH", "it sets a variable, as shells do: env 'A=$b' COMMAND"),
        ("A=b c", "A=b c: not found on PATH", "quotes make it one name: leave them out, or sh -c 'A=b c'"),
        ("1=b", "1=b: not found on PATH", None),
        ("source", "source: not found on PATH", "it is a part of shells: bash -c 'source ...'"),
        (
            "cd",
            "cd: not found on PATH",
            "it is a part of shells: --workdir DIR says where the command starts",
        ),
        ("here", "here: not found on PATH", "./here is the one in this directory"),
        ("plain", "plain: not found on PATH; {}/bin/plain is not executable", "chmod +x {}/bin/plain"),
        ("./nosuch", "./nosuch: no such file", None),
        ("./bin", "./bin: it is a directory", None),
        ("./bin/plain", "./bin/plain: it is not executable", "chmod +x ./bin/plain"),
        ("./pipe", "./pipe: it is not a regular file", None),
        ("./gone", "./gone: a link that leads nowhere", None),
        ("./loop", "./loop: Too many levels of symbolic links, outside the sandbox too", None),
        ("./bin/plain/x", "./bin/plain/x: Not a directory, outside the sandbox too", None),
    ],
)
def test_why_no_program_is_found_is_told(tmp_path: Path, name: str, message: str, hint: str | None) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/plain").write_text("not executable")
    executable(tmp_path / "here")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "gone").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(NonoError) as caught:
        find_program(name, f"{tmp_path}/bin", str(tmp_path))
    assert caught.value.message == f"Command execution failed: {message.format(tmp_path)}"
    assert caught.value.hint == (hint and hint.format(tmp_path))


@pytest.mark.parametrize("name", ["nosuch", "./nosuch", "/nosuch", "/etc", "/etc/passwd"])
def test_what_cannot_be_executed_is_not_found(name: str) -> None:
    with pytest.raises(NonoError, match="Command execution failed"):
        find_program(name, "/usr/bin:/bin", "/")


def test_an_empty_name_is_a_mistake_on_the_command_line() -> None:
    with pytest.raises(UsageError, match="its first word is empty"):
        find_program("", "/usr/bin:/bin", "/")


def state(path: Path, original: Path | None = None) -> Grant:
    return Grant(str(path), Access.READWRITE, True, "profile", str(original or path))


def test_state_directories_are_made_for_their_user_alone(tmp_path: Path) -> None:
    outer, inner = tmp_path / "a/state", tmp_path / "a/state/inner"
    for _ in range(2):
        ready_state_directories([state(outer), state(inner)])
        assert [path.stat().st_mode & 0o777 for path in (outer, inner)] == [0o700, 0o700]


def test_two_runs_that_start_at_once_may_make_the_same_state_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made_meanwhile(path: str) -> bool:
        os.mkdir(path, 0o700)
        return False

    monkeypatch.setattr(os.path, "lexists", made_meanwhile)
    ready_state_directories([state(tmp_path / "state")])
    (tmp_path / "other").symlink_to("state")
    monkeypatch.setattr(os.path, "lexists", lambda _: False)
    with pytest.raises(NonoError, match="other' is not a directory of your own"):
        ready_state_directories([state(tmp_path / "other")])


def test_a_state_directory_link_is_followed_where_only_the_user_makes_it(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    granted = state(tmp_path / "real", tmp_path / "link")
    ready_state_directories([granted])
    tmp_path.chmod(0o1777)
    with pytest.raises(NonoError, match="link' is not a directory of your own"):
        ready_state_directories([granted])


def test_what_appeared_in_the_place_of_a_state_directory_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "state").symlink_to("elsewhere")
    with pytest.raises(NonoError, match="state' is not a directory of your own"):
        ready_state_directories([state(tmp_path / "state")])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a directory somebody else's")
def test_a_state_directory_that_somebody_else_made_is_not_used(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    (tmp_path / "state").mkdir(mode=0o777)
    ready_state_directories([state(tmp_path / "state")])
    os.chown(tmp_path / "state", 1, 1)
    with pytest.raises(NonoError, match="state' is not a directory of your own"):
        ready_state_directories([state(tmp_path / "state")])


def test_a_state_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NonoError, match="file/state' cannot be made: Not a directory") as caught:
        ready_state_directories([state(tmp_path / "file/state")])
    assert caught.value.hint == f"mkdir -p {tmp_path}/file/state"


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_no_state_directory_is_to_be_made_where_nothing_can_be(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: str, mode: int, exist_ok: bool) -> None:
        raise OSError(number, os.strerror(number), path)

    monkeypatch.setattr(os, "makedirs", refused)
    with pytest.raises(NonoError, match=f"cannot be made: {os.strerror(number)}") as caught:
        ready_state_directories([state(tmp_path / "state")])
    assert caught.value.hint is not None
    assert "mkdir" not in caught.value.hint
    assert "HOME=" in caught.value.hint
