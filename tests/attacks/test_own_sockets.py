"""K8: a Unix socket that the command bound is reached by it, and nobody else's in the same directory is."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from support.attack_programs.sockets.own_sockets import TRIES
from support.canary import Canary
from support.nono_run import NO_NAMESPACES, PROXY_ONLY, AuditEvent, NonoRun, program

MEDIATED: Mapping[str, object] = {"linux": {"af_unix_mediation": "pathname"}}
PROFILES: Mapping[str, Mapping[str, object]] = {
    "mediated": MEDIATED,
    "mediated without network": {**MEDIATED, "network": {"block": True}},
}
with_and_without_proxy = pytest.mark.parametrize(
    "profile", [PROXY_ONLY, MEDIATED], ids=["with the proxy", "without"]
)


class Inside:
    def __init__(self, sandbox: NonoRun, run: subprocess.Popen[str]) -> None:
        self.sandbox, self.run = sandbox, run
        self.before: set[Path] = set(sandbox.logs())

    def asks(self, action: str, *arguments: Path | str) -> str:
        assert self.run.stdin is not None
        assert self.run.stdout is not None
        self.run.stdin.write(json.dumps([action, *map(str, arguments)]) + "\n")
        self.run.stdin.flush()
        line = self.run.stdout.readline()
        assert line, self.run.communicate()[1]
        return str(json.loads(line)[0])

    def denied(self) -> list[AuditEvent]:
        self.run.communicate(timeout=30)
        events = [
            each["event"] for each in self.sandbox.events_since(self.before) if each["type"] == "network"
        ]
        return [event for event in events if event["decision"] == "deny"]


@pytest.fixture(
    name="command",
    params=[
        "namespaces",
        "none",
        pytest.param("mediated", marks=pytest.mark.needs("listener")),
        pytest.param("mediated without network", marks=pytest.mark.needs("listener")),
    ],
)
def _command(sandbox: NonoRun, request: pytest.FixtureRequest) -> Iterator[Inside]:
    flags = [NO_NAMESPACES] if request.param == "none" else []
    profile = PROFILES.get(request.param, PROXY_ONLY)
    readable = sandbox.user.home / "readable"
    readable.mkdir()
    sandbox.give(readable)
    sockets = sandbox.project / "sockets"
    sockets.mkdir()
    sandbox.give(sockets)
    before = set(sandbox.logs())
    try:
        flags = [*flags, f"--read={readable}"]
        with sandbox.started(program("sockets.own_sockets"), profile=profile, flags=flags) as run:
            inside = Inside(sandbox, run)
            inside.before = before
            yield inside
    finally:
        shutil.rmtree(readable)
        shutil.rmtree(sockets)


@pytest.fixture(name="place")
def _place(sandbox: NonoRun) -> Path:
    """Return a directory of the project, which may be written."""
    return sandbox.project / "sockets"


@pytest.mark.parametrize("spelled", ["absolute", "relative"])
def test_a_socket_of_its_own_is_reached(command: Inside, place: Path, spelled: str) -> None:
    path: Path | str = place / "own" if spelled == "absolute" else "sockets/own"
    assert command.asks("serve", path) == "ok"
    assert command.asks("connect", path) == "ok"
    assert command.asks("connect", place / "own") == "ok"
    assert command.asks("named", path) == "ok"
    assert command.denied() == []


def test_a_socket_of_its_own_is_reached_as_soon_as_it_listens(command: Inside, place: Path) -> None:
    """Its client tries again after ECONNREFUSED, and would give up after EACCES."""
    assert command.asks("bind", place / "own") == "ok"
    assert command.asks("connect", place / "own") == "ECONNREFUSED"
    assert command.asks("listen", place / "own") == "ok"
    assert command.asks("connect", place / "own") == "ok"
    assert command.denied() == []


@pytest.mark.needs("listener")
def test_a_socket_of_somebody_else_beside_it_is_refused(command: Inside, place: Path) -> None:
    with Canary() as canary:
        canary.unix("foreign", place / "foreign")
        canary.start()
        assert command.asks("serve", place / "own") == "ok"
        assert command.asks("connect", place / "foreign") == "EACCES"
        assert canary.seen() == {}
    (denied,) = command.denied()
    assert denied["target"] == f"unix:{place / 'foreign'}"
    assert denied["rule"] == "filesystem.unix_socket"


@pytest.mark.needs("listener")
@pytest.mark.parametrize("way", ["renamed", "linked", "symlinked"])
def test_a_foreign_socket_at_the_name_of_its_own_is_refused(command: Inside, place: Path, way: str) -> None:
    with Canary() as canary:
        canary.unix("foreign", place / "foreign")
        canary.start()
        assert command.asks("serve", place / "own") == "ok"
        assert command.asks("connect", place / "own") == "ok"
        _lay(place / "foreign", place / "own", way)
        assert command.asks("connect", place / "own") == "EACCES"
        assert canary.seen() == {}


@pytest.mark.needs("listener")
@pytest.mark.parametrize("way", ["renamed", "linked", "symlinked"])
def test_a_foreign_socket_laid_between_bind_and_listen_is_refused(
    command: Inside, place: Path, way: str
) -> None:
    with Canary() as canary:
        canary.unix("foreign", place / "foreign")
        canary.start()
        assert command.asks("bind", place / "own") == "ok"
        _lay(place / "foreign", place / "own", way)
        assert command.asks("listen", place / "own") == "ok"
        assert command.asks("connect", place / "own") == "EACCES"
        assert canary.seen() == {}


@pytest.mark.needs("listener", "namespaces")
@pytest.mark.parametrize("grant", ["--read", "--allow"])
def test_a_foreign_socket_is_refused_though_its_inode_number_is_that_of_an_own_one(
    sandbox: NonoRun, grant: str
) -> None:
    """A tmpfs counts its inodes, so the command can give its socket the number of any other."""
    elsewhere = Path(tempfile.mkdtemp(dir="/dev/shm"))
    try:
        sandbox.give(elsewhere)
        for number in range(64):  # beyond those that the command's own /tmp begins with
            (elsewhere / str(number)).touch()
        with Canary() as canary:
            canary.unix("foreign", elsewhere / "foreign")
            canary.start()
            wanted = (elsewhere / "foreign").stat().st_ino
            if wanted > TRIES:
                pytest.skip("/dev/shm has counted further than this test does")
            flags = [f"{grant}={elsewhere}"]
            with sandbox.started(program("sockets.own_sockets"), profile=PROXY_ONLY, flags=flags) as run:
                inside = Inside(sandbox, run)
                assert inside.asks("bind_at", str(wanted), "/tmp/own") == "ok"
                assert inside.asks("swap", elsewhere / "foreign", "/tmp/own") == "ok"
                assert inside.asks("listen", "/tmp/own") == "ok"
                assert inside.asks("connect", elsewhere / "foreign") == "EACCES"
                assert inside.asks("connect", "/tmp/own") == "EACCES"
                assert inside.asks("serve", "/tmp/other") == "ok"
                assert inside.asks("connect", "/tmp/other") == "ok"
            assert canary.seen() == {}
    finally:
        shutil.rmtree(elsewhere)


@pytest.fixture
def subvolume(sandbox: NonoRun, btrfs: Path) -> Path:
    """Return a subvolume of btrfs in another one, which is mounted in the project."""
    subprocess.run(["btrfs", "-q", "subvolume", "create", btrfs / "inner"], check=True, timeout=60)
    for each in (btrfs, btrfs / "inner"):
        sandbox.give(each)
    return btrfs / "inner"


@pytest.mark.root
@pytest.mark.needs("listener", "CAP_SYS_ADMIN")
def test_a_foreign_socket_of_the_same_inode_number_in_another_subvolume_is_refused(
    sandbox: NonoRun, subvolume: Path
) -> None:
    """Each subvolume counts its inodes, and to sock_diag all are one device."""
    for number in range(64):
        (subvolume / str(number)).touch()
    own, other = subvolume.parent / "own", subvolume.parent / "other"
    with Canary() as canary:
        canary.unix("foreign", subvolume / "foreign")
        canary.start()
        wanted = (subvolume / "foreign").stat().st_ino
        with sandbox.started(program("sockets.own_sockets"), profile=PROXY_ONLY) as run:
            inside = Inside(sandbox, run)
            assert inside.asks("bind_at", str(wanted), own) == "ok"
            assert inside.asks("swap", subvolume / "foreign", own) == "ok"
            assert inside.asks("listen", own) == "ok"
            assert inside.asks("connect", subvolume / "foreign") == "EACCES"
            assert inside.asks("connect", own) == "EACCES"
            assert inside.asks("serve", other) == "ok"
            assert inside.asks("connect", other) == "ok"
            assert inside.asks("serve", subvolume / "own") == "ok"
            assert inside.asks("connect", subvolume / "own") == "ok"
        assert canary.seen() == {}


def test_its_own_socket_is_reached_by_another_name(command: Inside, place: Path) -> None:
    assert command.asks("serve", place / "own") == "ok"
    (place / "own").rename(place / "renamed")
    (place / "link").symlink_to("renamed")
    assert command.asks("connect", place / "renamed") == "ok"
    assert command.asks("connect", place / "link") == "ok"


@pytest.mark.needs("listener")
def test_after_its_server_has_ended_a_successor_at_the_same_name_is_refused(
    command: Inside, place: Path
) -> None:
    assert command.asks("serve", place / "own") == "ok"
    assert command.asks("close", place / "own") == "ok"
    (place / "own").unlink()
    with Canary() as canary:
        canary.unix("successor", place / "own")
        canary.start()
        assert command.asks("connect", place / "own") == "EACCES"
        assert canary.seen() == {}


@pytest.mark.needs("listener")
def test_no_socket_is_bound_where_nothing_may_be_written(sandbox: NonoRun, command: Inside) -> None:
    path = sandbox.user.home / "readable/own"
    assert command.asks("serve", path) == "EACCES"
    assert not path.exists()
    (denied,) = command.denied()
    assert denied["rule"] == "filesystem.unix_socket_bind"


def test_a_missing_socket_is_missing(command: Inside, place: Path) -> None:
    """Programs wait for their servers in this way."""
    for directory in (place, place.parent.parent / "readable", Path("/nowhere")):
        assert command.asks("connect", directory / "nothing") == "ENOENT"
    assert command.denied() == []


@with_and_without_proxy
def test_a_socket_below_a_denied_path_is_not_bound(
    sandbox: NonoRun, profile: Mapping[str, object], place: Path
) -> None:
    denied = sandbox.project / "denied"
    denied.mkdir()
    sandbox.give(denied)
    try:
        rules = {**profile, "filesystem": {"deny": [str(denied)]}}
        command = program("sockets.unix_sockets", json.dumps([["bind_only", str(denied / "own")]]))
        run = sandbox.run(command, profile=rules)
        assert run.exit_code != 0 or "ok" not in run.stdout
        assert list(denied.iterdir()) == []
    finally:
        shutil.rmtree(denied)


def _lay(foreign: Path, own: Path, way: str) -> None:
    if way == "renamed":
        foreign.rename(own)
        return
    own.unlink()
    if way == "linked":
        own.hardlink_to(foreign)
    else:
        own.symlink_to(foreign)


def test_such_a_socket_is_reached_without_nono(sandbox: NonoRun) -> None:
    with Canary() as canary:
        canary.unix("foreign", sandbox.project / "foreign", socket.SOCK_STREAM)
        canary.start()
        with sandbox.started(program("sockets.own_sockets"), sandboxed=False) as run:
            assert Inside(sandbox, run).asks("connect", sandbox.project / "foreign") == "ok"
        assert canary.seen() == {"foreign": 1}
    (sandbox.project / "foreign").unlink()
