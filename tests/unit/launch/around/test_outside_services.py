"""nono.launch.around.outside_services: where the services of this person listen."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, chdir, contextmanager
from pathlib import Path

import pytest

from nono.errors import NonoError
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
    with socket.socket(socket.AF_UNIX) as engine, socket.socket(socket.AF_UNIX) as bus:
        engine.bind(str(tmp_path / ".rd/docker.sock"))
        bus.bind(str(tmp_path / "run/bus"))
        yield tmp_path


def environ(home: Path, runtime_dir: str) -> dict[str, str]:
    return {"HOME": str(home), "XDG_RUNTIME_DIR": runtime_dir}


def test_the_runtime_directory_and_sockets_that_are_there_are_found(home: Path) -> None:
    (home / "link").symlink_to(home / "run")
    found = session_of(environ(home, f"{home}/link"), ())
    assert found.runtime_dir == str(home / "run")
    assert found.sockets.count(str(home / ".rd/docker.sock")) == 1
    assert [path for path in found.sockets if path.startswith(str(home / "run"))] == [str(home / "run/bus")]
    assert not any("1password" in path or "link" in path or ".docker" in path for path in found.sockets)


@pytest.mark.parametrize("named_by", ["the variable", "the login"])
@pytest.mark.parametrize(
    ("uid", "owner", "mode", "is_found"),
    [(7, 7, 0o755, True), (7, 8, 0o755, False), (0, 0, 0o700, True), (0, 0, 0o750, False)],
)
def test_one_that_others_may_enter_counts_for_its_owner_unless_that_is_root(
    home: Path,
    uid: int,
    owner: int,
    mode: int,
    is_found: bool,
    named_by: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So it is on WSL2 and in containers; root owns /run and /tmp as well."""
    (home / "run").chmod(mode)
    (home / str(uid)).symlink_to(home / "run")
    of_anybody = os.stat

    def owned(path: str) -> os.stat_result:
        fields = [*of_anybody(path)]
        return os.stat_result((*fields[:4], owner, *fields[5:]))

    monkeypatch.setattr(outside_services, "OF_USERS", str(home))
    monkeypatch.setattr(os, "getuid", lambda: uid)
    monkeypatch.setattr(os, "stat", owned)
    found = session_of(environ(home, f"{home}/run" if named_by == "the variable" else ""), ()).runtime_dir
    monkeypatch.undo()
    assert found == (f"{home}/run" if is_found else None)


def test_sockets_that_variables_name_are_found_and_nothing_else_there(home: Path) -> None:
    named = {
        "SSH_AUTH_SOCK": f"{home}/agent",
        "TMUX": f"{home}/none,1,0",
        "DOCKER_HOST": f"unix://{home}/.rd",
        "CONTAINER_HOST": "tcp://127.0.0.1:2375",
    }
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{home}/agent")
        found = session_of({**environ(home, ""), **named}, ()).sockets
    assert [path for path in found if path.startswith(str(home))] == [
        f"{home}/.rd/docker.sock",
        f"{home}/agent",
    ]


@pytest.mark.parametrize(
    ("name", "spelled"),
    [
        ("DBUS_SESSION_BUS_ADDRESS", "autolaunch:;unix:path=/{}"),
        ("DBUS_SESSION_BUS_ADDRESS", "unix:path=/{};unix:abstract=x"),
        ("AT_SPI_BUS_ADDRESS", "unix:path=/{},guid=1"),
        ("DBUS_STARTER_ADDRESS", "unix:path=/{}"),
        ("IBUS_ADDRESS", "unix:path=/{},guid=1"),
        ("CONTAINER_HOST", "unix:/{}"),
        ("CONTAINER_HOST", "unix://{}"),
    ],
)
def test_a_service_is_found_beside_other_addresses_and_in_every_spelling(
    name: str, spelled: str, home: Path
) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{home}/service")
        value = spelled.format(f"{home}/service".lstrip("/"))
        assert f"{home}/service" in session_of({**environ(home, ""), name: value}, ()).sockets
        elsewhere = spelled.format(f"{home}/other".lstrip("/"))
        assert f"{home}/service" not in session_of({**environ(home, ""), name: elsewhere}, ()).sockets


def test_an_ssh_that_others_share_is_found_and_no_key_beside_it(home: Path) -> None:
    (home / ".ssh/cm").mkdir(parents=True)
    (home / ".ssh/config.d").mkdir()
    for name in ("id_ed25519", "config.d/work", "cm/note"):
        (home / ".ssh" / name).write_text("no socket")
    with socket.socket(socket.AF_UNIX) as above, socket.socket(socket.AF_UNIX) as below:
        above.bind(f"{home}/.ssh/master")
        below.bind(f"{home}/.ssh/cm/me@host:22")
        session = session_of(environ(home, ""), ())
    found = {path for path in session.sockets if "/.ssh" in path}
    assert found == {f"{home}/.ssh/master", f"{home}/.ssh/cm/me@host:22"}
    assert session.of_keys == (f"{home}/.ssh",)
    around = {**environ(home, ""), "GNUPGHOME": str(home.parent)}
    assert session_of(around, ()).of_keys == (f"{home}/.ssh",)


@pytest.mark.parametrize("has_link", [False, True], ids=["home", "a link to home"])
@pytest.mark.parametrize("kind", ["the home", "above the home", "a file", "relative", "none"])
def test_what_is_no_runtime_directory_is_not_taken_for_one(home: Path, kind: str, has_link: bool) -> None:
    named = {
        "the home": home,
        "above the home": home.parent,
        "a file": home / ".1password/agent.sock",
        "relative": "run",
        "none": home / "gone",
    }[kind]
    home.chmod(0o700)
    (home / "link").symlink_to(home)
    found = session_of(environ(home / "link" if has_link else home, str(named)), ()).runtime_dir
    assert not (found or "").startswith(str(home.parent))


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
    found = session_of(environ(home, ""), ())
    others = [path for path in found.sockets if path.startswith(str(users))]
    assert sorted(others) == ([f"{users}/{name}" for name in ("0", "7", "8")] if uid == 0 else [])


@contextmanager
def listening(*paths: Path) -> Iterator[None]:
    with ExitStack() as sockets:
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            with chdir(path.parent):  # sun_path is short
                sockets.enter_context(socket.socket(socket.AF_UNIX)).bind(path.name)
        yield


@pytest.mark.parametrize(
    "usual",
    [
        ".cache/git/credential/socket",
        ".cache/at-spi/bus",
        ".cache/ibus/dbus-n6XQu7xv",
        ".cache/keyring-QPDK12/control",
        ".cache/gcr/ssh",
        ".git-credential-cache/socket",
        ".local/state/watchman/me-state/sock",
        ".config/Code - Insiders/1.9-main.sock",
        ".cache/JetBrains/PyCharm2026.1/.port",
        ".lima/docker/sock/docker.sock",
        ".colima/work/docker.sock",
        ".local/share/containers/podman/machine/qemu/podman.sock",
        ".gnupg/S.scdaemon",
        ".pm2/rpc.sock",
        ".mutagen/daemon/daemon.sock",
        ".sbt/1.0/server/0f/sock",
        ".urxvt/urxvtd-host",
        ".abduco/work@host",
        ".ansible/cp/0f",
        ".cache/qtile/qtilesocket.:0",
        ".cache/libvirt/libvirt-sock",
    ],
)
def test_what_acts_outside_is_found_at_its_usual_place(home: Path, usual: str) -> None:
    with listening(home / usual):
        found = session_of(environ(home, ""), ()).sockets
    hidden = (str(home / usual), str((home / usual).parent))
    assert any(path in found for path in hidden)


def test_gits_cache_is_found_before_it_listens(home: Path) -> None:
    """It ends when it keeps no password any more, and is started again by the next."""
    (home / ".cache/git/credential").mkdir(parents=True)
    assert f"{home}/.cache/git/credential" in session_of(environ(home, ""), ()).sockets


def test_files_and_directories_beside_a_socket_of_any_name_are_left(home: Path) -> None:
    (home / ".config/Code/User.sock").mkdir(parents=True)
    (home / ".config/Code/settings.sock").write_text("no socket")
    (home / ".ssh/*").mkdir(parents=True)  # a name that a pattern may not take for one
    with listening(home / ".config/Code/main.sock", home / ".config/Other/main.sock"):
        found = session_of(environ(home, ""), ()).sockets
    beside = [path for path in found if "/.config" in path or "/.ssh" in path]
    assert beside == [f"{home}/.config/Code/main.sock"]


def test_temporary_directories_are_searched_where_they_are_shared_or_elsewhere(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside_services, "DIRECTORIES", (f"{home}/tmp",))
    shared, moved = home / "tmp", home / "moved"
    paths = [shared / "tmux-7/default", shared / "dbus-kq5zkCoDxQ"]
    paths += [shared / each for each in ("socket-ts.7", "lf.me.sock", "kakoune-me/1")]
    paths.append(moved / "vscode-ipc-1.sock")
    with listening(*paths, shared / "database"):
        found = session_of({**environ(home, ""), "TMPDIR": str(moved)}, [str(shared)]).sockets
        private = session_of(environ(home, ""), ()).sockets
    of_both = [path for path in found if path.startswith((str(shared), str(moved)))]
    assert sorted(of_both) == sorted(map(str, paths))
    assert not any(path.startswith((str(shared), str(moved))) for path in private)


@pytest.mark.parametrize(
    ("uid", "others", "found"),
    [
        (7, (), ["mine/default", "tmux-7/default"]),
        (7, ("tmux-7/default",), ["mine/default"]),
        (7, ("tmux-7/link",), ["tmux-7/default"]),
        (7, ("tmux-7",), []),
        (0, ("tmux-7", "tmux-7/default", "tmux-7/link"), ["tmux-7/default"]),
    ],
    ids=["own", "a socket", "a link", "a directory", "to root"],
)
def test_what_other_people_put_in_a_temporary_directory_is_passed_over(
    home: Path, uid: int, others: Sequence[str], found: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They could be any number, and a mount is made over each; a link would hide what the command needs."""
    shared = home / "tmp"
    of_anybody = os.lstat

    def owned(path: str) -> os.stat_result:
        fields = [*of_anybody(path)]
        owner = 8 if any(path == f"{shared}/{each}" for each in others) else uid
        return os.stat_result((*fields[:4], owner, *fields[5:]))

    with listening(shared / "mine/default", shared / "tmux-7/default"):
        (shared / "tmux-7/link").symlink_to("../mine/default")
        with monkeypatch.context() as patched:
            patched.setattr(os, "getuid", lambda: uid)
            patched.setattr(os, "lstat", owned)
            sockets = session_of(environ(home, ""), [str(shared)]).sockets
    assert sorted(path for path in sockets if path.startswith(f"{shared}/")) == [
        f"{shared}/{each}" for each in found
    ]


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM])
def test_a_socket_whose_server_has_ended_is_left(home: Path, kind: socket.SocketKind) -> None:
    """A server of the command's own removes it first, and would find it busy."""
    path = home / ".ssh/master"
    path.parent.mkdir()
    with chdir(path.parent), socket.socket(socket.AF_UNIX, kind) as server:
        server.bind(path.name)
        if kind != socket.SOCK_DGRAM:
            server.listen()
        served = session_of(environ(home, ""), ()).sockets
        assert select.select([server], [], [], 0) == ([], [], [])  # it was not noticed
    left = session_of(environ(home, ""), ()).sockets
    assert (str(path) in served, str(path) in left) == (True, False)


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        ('{"Name": "mine", "Endpoints": {"docker": {"Host": "unix://%s"}}}', True),
        ('{"Endpoints": {"docker": {"Host": "ssh://me@host"}}}', False),
        ('{"Endpoints": {"docker": []}}', False),
        ('{"Endpoints": {"docker": {"Host": "unix://%s"}', False),
        ("[" * 100_000, False),
    ],
    ids=["a socket", "a host", "another shape", "cut", "deep"],
)
def test_the_engine_of_a_context_of_docker_is_found(home: Path, text: str, is_found: bool) -> None:
    engine = home / "engine.sock"
    context = home / ".docker/contexts/meta/0a/meta.json"
    context.parent.mkdir(parents=True)
    context.write_text(text.replace("%s", str(engine)))
    with listening(engine):
        found = session_of(environ(home, ""), ()).sockets
    assert (str(engine) in found) is is_found


def test_a_start_is_not_held_up_by_any_number_of_sockets(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One run leaves links to a socket in a shared directory, and the next would look at each."""
    monkeypatch.setattr(outside_services, "LOOKED_AT_MAX", 3)
    windows = home / "tmp/tmux-7"
    with listening(windows / "first"):
        for name in ("second", "third"):
            (windows / name).hardlink_to(windows / "first")
        assert len(session_of(environ(home, ""), (f"{home}/tmp",)).sockets) == 4  # one lies elsewhere
        (windows / "fourth").hardlink_to(windows / "first")
        with pytest.raises(NonoError, match=f"more sockets lie in {windows} than"):
            session_of(environ(home, ""), (f"{home}/tmp",))
