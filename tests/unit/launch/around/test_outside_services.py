"""nono.launch.around.outside_services: where the services of this person listen."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from nono.launch.around import outside_services
from nono.launch.around.outside_services import session_of


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """Yield a home with a runtime directory, and with a socket that is reached by a link."""
    (tmp_path / "run").mkdir(mode=0o700)
    (tmp_path / ".rd").mkdir()
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker/run").symlink_to(tmp_path / ".rd")
    (tmp_path / ".1password").mkdir()
    (tmp_path / ".1password/agent.sock").write_text("no socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / ".rd/docker.sock"))
        yield tmp_path


def environ(home: Path, runtime_dir: str) -> dict[str, str]:
    return {"HOME": str(home), "XDG_RUNTIME_DIR": runtime_dir}


def test_the_runtime_directory_and_sockets_that_are_there_are_found(home: Path) -> None:
    (home / "link").symlink_to(home / "run")
    found = session_of(environ(home, f"{home}/link"))
    assert found.runtime_dir == str(home / "run")
    assert found.sockets.count(str(home / ".rd/docker.sock")) == 1
    assert not any("1password" in path or "link" in path or ".docker" in path for path in found.sockets)


@pytest.mark.parametrize(("uid", "is_found"), [(7, True), (0, False)])
def test_one_that_others_may_enter_counts_for_all_but_root(
    home: Path, uid: int, is_found: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So it is on WSL2 and in containers; root owns /run and /tmp as well."""
    (home / "run").chmod(0o755)
    of_anybody = os.stat

    def owned(path: str) -> os.stat_result:
        fields = [*of_anybody(path)]
        return os.stat_result((*fields[:4], uid, *fields[5:]))

    monkeypatch.setattr(os, "getuid", lambda: uid)
    monkeypatch.setattr(os, "stat", owned)
    found = session_of(environ(home, f"{home}/run")).runtime_dir
    monkeypatch.undo()
    assert found == (f"{home}/run" if is_found else None)


def test_sockets_that_variables_name_are_found_and_nothing_else_there(home: Path) -> None:
    named = {
        "SSH_AUTH_SOCK": f"{home}/agent",
        "TMUX": f"{home}/none,1,0",
        "DOCKER_HOST": f"unix://{home}/.rd",
    }
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{home}/agent")
        found = session_of({**environ(home, ""), **named}).sockets
    assert [path for path in found if path.startswith(str(home))] == [
        f"{home}/.rd/docker.sock",
        f"{home}/agent",
    ]


def test_an_ssh_that_others_share_is_found_and_no_key_beside_it(home: Path) -> None:
    (home / ".ssh/cm").mkdir(parents=True)
    (home / ".ssh/config.d").mkdir()
    for name in ("id_ed25519", "config.d/work", "cm/note"):
        (home / ".ssh" / name).write_text("no socket")
    with socket.socket(socket.AF_UNIX) as above, socket.socket(socket.AF_UNIX) as below:
        above.bind(f"{home}/.ssh/master")
        below.bind(f"{home}/.ssh/cm/me@host:22")
        found = {path for path in session_of(environ(home, "")).sockets if "/.ssh" in path}
    assert found == {f"{home}/.ssh/master", f"{home}/.ssh/cm/me@host:22"}


@pytest.mark.parametrize("kind", ["the home", "above the home", "a file", "relative", "none"])
def test_what_is_no_runtime_directory_is_not_taken_for_one(home: Path, kind: str) -> None:
    named = {
        "the home": home,
        "above the home": home.parent,
        "a file": home / ".1password/agent.sock",
        "relative": "run",
        "none": home / "gone",
    }[kind]
    home.chmod(0o700)
    assert not (session_of(environ(home, str(named))).runtime_dir or "").startswith(str(home.parent))


@pytest.mark.parametrize("uid", [0, 7])
def test_root_is_kept_from_the_sessions_of_all_users(
    home: Path, uid: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = home / "users"
    for name in ("0", "7", "8"):
        (users / name).mkdir(parents=True)
        (users / name).chmod(0o755)  # whatever the umask: what others may enter is nobody's own
    monkeypatch.setattr(outside_services, "OF_USERS", str(users))
    monkeypatch.setattr(os, "getuid", lambda: uid)
    found = session_of(environ(home, ""))
    others = [path for path in found.sockets if path.startswith(str(users))]
    assert sorted(others) == ([f"{users}/{name}" for name in ("0", "7", "8")] if uid == 0 else [])
