"""K8: where nothing judges connects to Unix sockets, mounts hide who would act for the command outside."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.canary import Canary
from support.ladder.launch import wait_until
from support.nono_run import NO_NAMESPACES, PROXY_ONLY, TIMEOUT_S, Ended, NonoRun, program
from support.private_mounts import stage

Profile = Mapping[str, object]
OPEN: Profile = {}
NETNS = ("--sandbox-policy=netns",)
RUNS: Mapping[str, tuple[Profile, Sequence[str]]] = {
    "open network": (OPEN, ()),
    "no network": ({"network": {"block": True}}, ()),
    "a port": ({"network": {"block": True, "open_port": [9]}}, ()),
    "netns": (PROXY_ONLY, NETNS),
}
each_run = pytest.mark.parametrize(("profile", "flags"), RUNS.values(), ids=RUNS)
SERVICE = "[D-BUS Service]\nName=org.example.{name}\nExec=/usr/bin/touch {marker}\n"
CONFIGURATION = """<busconfig>
<type>session</type> <listen>unix:path={bus}</listen> <servicedir>{services}</servicedir>
<policy context="default"> <allow send_destination="*"/> <allow eavesdrop="true"/> <allow own="*"/> </policy>
</busconfig>
"""


class Services:
    """Sockets at which somebody outside listens; each is counted by its name."""

    def __init__(self, sandbox: NonoRun) -> None:
        home = sandbox.user.home
        self.bus = home / "run/bus"
        self.deep = home / "run/app/control"
        self.engine = home / ".colima/default/docker.sock"
        self.multiplexer = home / ".screen/1.window"
        self.beside = home / "services/database"

    @property
    def all(self) -> tuple[Path, ...]:
        return (self.bus, self.deep, self.engine, self.multiplexer, self.beside)


@pytest.fixture
def services(sandbox: NonoRun) -> Iterator[Services]:
    found = Services(sandbox)
    made = []
    for path in found.all:
        for above in reversed(path.relative_to(sandbox.user.home).parents[:-1]):
            directory = sandbox.user.home / above
            if not directory.exists():
                made.append(sandbox.make(directory))
    yield found
    for path in found.all:
        path.unlink(missing_ok=True)
    for directory in reversed(made):
        directory.rmdir()


@contextmanager
def listening(services: Services) -> Iterator[Canary]:
    with Canary() as canary:
        for path in services.all:
            path.unlink(missing_ok=True)
            canary.unix(path.name, path)
        yield canary.start()


def asking(*paths: Path) -> list[str]:
    return program("sockets.unix_sockets", json.dumps([["connect", str(path)] for path in paths]))


def said(run: Ended) -> list[str]:
    return [str(event["what"]) for event in run.events if event["type"] == "not_enforced"]


@pytest.mark.needs("namespaces")
@each_run
def test_a_command_reaches_no_service_of_the_session_and_no_engine(
    sandbox: NonoRun, services: Services, profile: Profile, flags: Sequence[str]
) -> None:
    with listening(services) as canary:
        run = sandbox.run(asking(*services.all), profile=profile, flags=flags)
        seen = canary.seen()
    assert run.outcomes() == {
        f"connect {services.bus}": "ENOENT",
        f"connect {services.deep}": "ENOENT",
        f"connect {services.engine}": "ECONNREFUSED",
        f"connect {services.multiplexer}": "ENOENT",
        f"connect {services.beside}": "ok",
    }
    assert seen == {"database": 1}
    assert any("the command reaches what else listens on one" in gap for gap in said(run))


def test_without_nono_all_of_them_are_reached(sandbox: NonoRun, services: Services) -> None:
    with listening(services):
        assert set(sandbox.bare(asking(*services.all)).outcomes().values()) == {"ok"}


def test_without_namespaces_they_are_reached_and_the_run_says_so(
    sandbox: NonoRun, services: Services
) -> None:
    with listening(services):
        run = sandbox.run(asking(*services.all), profile=OPEN, flags=[NO_NAMESPACES])
    assert set(run.outcomes().values()) == {"ok"}
    assert any("the command reaches every service of this user" in gap for gap in said(run))


@pytest.mark.needs("namespaces", "user namespaces")
def test_no_mounts_of_its_own_lead_behind_what_hides_them(sandbox: NonoRun, services: Services) -> None:
    ways = ("own copy", "own copy of all", "unmounted")
    hidden = (services.engine, services.bus)
    command = program(
        "sockets.unix_sockets", json.dumps([[way, str(path)] for path in hidden for way in ways])
    )
    with listening(services) as canary:
        run = sandbox.run(command, profile=OPEN, flags=[f"--allow={services.engine.parent.parent}"])
        seen = canary.seen()
    assert "ok" not in run.outcomes().values()
    assert seen == {}
    with listening(services):
        bare = sandbox.bare(command).outcomes()
    assert bare[f"own copy {services.engine}"] == bare[f"own copy of all {services.bus}"] == "ok"


@pytest.mark.needs("namespaces")
@each_run
def test_the_granted_ones_are_reached_and_no_others(
    sandbox: NonoRun, services: Services, profile: Profile, flags: Sequence[str]
) -> None:
    granted = [f"--allow-unix-socket={path}" for path in (services.deep, services.engine)]
    with listening(services) as canary:
        run = sandbox.run(asking(*services.all), profile=profile, flags=[*flags, *granted])
        seen = canary.seen()
    assert run.outcomes() == {
        f"connect {services.bus}": "ENOENT",
        f"connect {services.deep}": "ok",
        f"connect {services.engine}": "ok",
        f"connect {services.multiplexer}": "ENOENT",
        f"connect {services.beside}": "ok",
    }
    assert seen == {"control": 1, "docker.sock": 1, "database": 1}


@pytest.mark.needs("namespaces")
def test_the_bus_stays_closed_where_files_of_the_whole_session_are_granted(
    sandbox: NonoRun, services: Services
) -> None:
    flags = [f"--allow={services.bus.parent}", f"--allow={services.engine.parent.parent}"]
    with listening(services):
        run = sandbox.run(asking(*services.all), profile=OPEN, flags=flags)
    outcomes = run.outcomes()
    assert outcomes[f"connect {services.bus}"] == outcomes[f"connect {services.engine}"] == "ECONNREFUSED"
    assert outcomes[f"connect {services.deep}"] == "ok"


@pytest.mark.needs("namespaces")
def test_where_sockets_of_a_directory_are_granted_the_files_beside_them_are_not(
    sandbox: NonoRun, services: Services
) -> None:
    beside = services.deep.parent / "cookie"
    beside.write_text("of the session\n")
    sandbox.give(beside)
    script = 'cat "$0"; exec "$@"'
    command = ["sh", "-c", script, str(beside), *asking(*services.all)]
    flags = [f"--allow-unix-socket-dir={services.deep.parent}"]
    with listening(services):
        run = sandbox.run(command, profile=OPEN, flags=flags)
    assert f"{beside}: Permission denied" in run.stderr
    outcomes = run.outcomes()
    assert (outcomes[f"connect {services.deep}"], outcomes[f"connect {services.bus}"]) == (
        "ok",
        "ECONNREFUSED",
    )
    beside.unlink()


@pytest.mark.needs("namespaces")
def test_what_is_mounted_twice_is_hidden_at_both_places(sandbox: NonoRun, services: Services) -> None:
    runtime, engine = (sandbox.make(sandbox.user.home / name) for name in ("host", "colima"))
    twice = stage({runtime: services.bus.parent, engine: services.engine.parent})
    paths = [runtime / "bus", engine / "docker.sock", services.beside]
    with listening(services):
        bare = sandbox.bare(asking(*paths), stage=twice)
        run = sandbox.run(asking(*paths), profile=OPEN, stage=twice)
    runtime.rmdir()
    engine.rmdir()
    assert set(bare.outcomes().values()) == {"ok"}
    assert [*run.outcomes().values()] == ["ENOENT", "ECONNREFUSED", "ok"]


@pytest.mark.needs("namespaces")
@pytest.mark.parametrize(("name", "value"), [("SSH_AUTH_SOCK", "{}"), ("DOCKER_HOST", "unix://{}")])
def test_a_socket_that_a_variable_names_is_reached_only_when_granted(
    sandbox: NonoRun, services: Services, name: str, value: str
) -> None:
    environment = {name: value.format(services.beside)}
    with listening(services):
        run = sandbox.run(asking(services.beside), profile=OPEN, environment=environment)
        flags = [f"--allow-unix-socket={services.beside}"]
        granted = sandbox.run(asking(services.beside), profile=OPEN, environment=environment, flags=flags)
    assert run.outcomes() == {f"connect {services.beside}": "ECONNREFUSED"}
    assert granted.outcomes() == {f"connect {services.beside}": "ok"}


@pytest.mark.needs("namespaces")
def test_a_runtime_directory_in_tmp_is_there_and_private(sandbox: NonoRun) -> None:
    outside = Path(f"/tmp/nono-session-{os.getpid()}")
    outside.mkdir(mode=0o700)
    sandbox.give(outside)
    try:
        script = 'stat -c %a "$XDG_RUNTIME_DIR" && : > "$XDG_RUNTIME_DIR/file" && ls "$XDG_RUNTIME_DIR"'
        run = sandbox.run(["sh", "-c", script], profile=OPEN, environment={"XDG_RUNTIME_DIR": str(outside)})
        assert run.stdout == "700\nfile\n", run.stderr
        assert [*outside.iterdir()] == []
    finally:
        outside.rmdir()


@pytest.mark.needs("namespaces")
def test_a_command_does_not_start_in_what_its_runtime_directory_hides(
    sandbox: NonoRun, services: Services
) -> None:
    here = ["--workdir", str(services.deep.parent)]
    run = sandbox.run(["pwd"], profile={"workdir": {"access": "read"}}, flags=here)
    assert run.stdout == "/\n", run.stderr
    assert f"it has a {services.bus.parent} of its own" in run.stderr
    shown = sandbox.run(["pwd"], profile={"workdir": {"access": "read"}}, flags=[*here, "--allow-cwd"])
    assert shown.stdout == f"{services.deep.parent}\n", shown.stderr


@pytest.mark.needs("namespaces")
@each_run
def test_the_runtime_directory_is_the_commands_own(
    sandbox: NonoRun, services: Services, profile: Profile, flags: Sequence[str]
) -> None:
    own = services.bus.parent / "own"
    script = 'stat -c "%a %u" "$XDG_RUNTIME_DIR" && "$@" && echo kept > "$XDG_RUNTIME_DIR/file"'
    bound = program("sockets.unix_sockets", json.dumps([["bind", str(own)]]))
    run = sandbox.run(["sh", "-c", script, "sh", *bound], profile=profile, flags=flags)
    mode, outcomes = run.stdout.split("\n", 1)
    assert mode == f"700 {sandbox.user.uid}"
    assert json.loads(outcomes)[f"bind {own}"].startswith("ok ")
    assert run.exit_code == 0
    assert not (services.bus.parent / "file").exists()


@pytest.mark.needs("namespaces")
@pytest.mark.skipif(
    shutil.which("dbus-daemon") is None or shutil.which("dbus-send") is None,
    reason="not installed: dbus-daemon, dbus-send (Debian: dbus-daemon dbus-x11)",
)
def test_no_program_is_started_outside_by_way_of_a_real_bus(sandbox: NonoRun, services: Services) -> None:
    home = sandbox.user.home
    directory, configuration = sandbox.make(home / "dbus"), home / "dbus.conf"
    markers = [directory / name for name in ("Inside", "Bare")]
    for marker in markers:
        file = directory / f"org.example.{marker.name}.service"
        file.write_text(SERVICE.format(name=marker.name, marker=marker))
    configuration.write_text(CONFIGURATION.format(bus=services.bus, services=directory))

    def start(name: str) -> list[str]:
        to = ["dbus-send", f"--bus=unix:path={services.bus}", "--dest=org.freedesktop.DBus"]
        call = ["--type=method_call", "/", "org.freedesktop.DBus.StartServiceByName"]
        return [*to, *call, f"string:org.example.{name}", "uint32:0"]

    daemon = ["dbus-daemon", f"--config-file={configuration}", "--nofork", "--print-address=1"]
    environment = sandbox.user.environment({})
    with subprocess.Popen(sandbox.user.command(daemon), stdout=subprocess.PIPE, env=environment) as bus:
        try:
            assert bus.stdout is not None
            assert bus.stdout.readline(), "the bus has not started"
            inside = sandbox.run(start("Inside"), profile=OPEN)
            assert (inside.exit_code, services.bus.is_socket()) == (1, True)
            assert sandbox.bare(start("Bare")).exit_code == 0
            assert wait_until(markers[1].exists)
            assert not markers[0].exists()
        finally:
            bus.terminate()
            bus.wait()
            shutil.rmtree(directory)
            configuration.unlink()


@pytest.mark.needs("namespaces")
def test_no_login_is_shared_that_an_ssh_outside_has(sandbox: NonoRun) -> None:
    """Nor one that it makes while the command runs, unless something in its directory is granted."""
    ssh = sandbox.make(sandbox.user.home / ".ssh")
    master = sandbox.make(ssh / "cm") / "me@host:22"
    hosts = ssh / "known_hosts"
    hosts.write_text("")
    sandbox.give(hosts)
    later = ["sh", "-c", f"echo begun; read line; exec {shlex.join(asking(master))}"]
    try:
        with Canary() as canary:
            with sandbox.started(later, profile=OPEN) as run:
                assert run.stdout is not None
                assert run.stdout.readline() == "begun\n"
                canary.unix("master", master)
                canary.start()
                said, _ = run.communicate("go\n", timeout=TIMEOUT_S)
            reading = [f"--read-file={hosts}", f"--bypass-protection={hosts}"]
            beside = sandbox.run(asking(master), profile=OPEN, flags=reading)
            lifted = [f"--allow-unix-socket={master}", f"--bypass-protection={master}"]
            granted = sandbox.run(asking(master), profile=OPEN, flags=lifted)
    finally:
        shutil.rmtree(ssh)
    assert json.loads(said) == {f"connect {master}": "ENOENT"}
    assert beside.outcomes() == {f"connect {master}": "ECONNREFUSED"}
    assert granted.outcomes() == {f"connect {master}": "ok"}


@pytest.mark.needs("namespaces")
def test_nothing_is_written_to_a_directory_of_sockets_that_is_hidden(sandbox: NonoRun) -> None:
    """It would be gone with the run; and git takes no directory for its cache that others may enter."""
    directory = sandbox.make(sandbox.user.home / ".cache/gcr")
    directory.chmod(0o700)
    script = 'touch "$1/new"; stat -c %a "$1"; ls -A "$1"'
    flags = [f"--allow={directory.parent}"]
    try:
        run = sandbox.run(["sh", "-c", script, "sh", str(directory)], profile=OPEN, flags=flags)
    finally:
        directory.rmdir()
    assert run.stdout.split() == ["500"]
    assert "Read-only file system" in run.stderr


@pytest.mark.needs("namespaces")
@each_run
def test_no_password_is_told_by_gits_cache(sandbox: NonoRun, profile: Profile, flags: Sequence[str]) -> None:
    """git-credential-cache--daemon tells what it keeps to whoever connects."""
    directory = sandbox.make(sandbox.user.home / ".git-credential-cache")
    directory.chmod(0o700)
    cache = directory / "socket"
    helper = ["git", "credential-cache", f"--socket={cache}"]
    ask, asked = [*helper, "get"], "protocol=https\nhost=example.com\n"
    try:
        stored = f"{asked}username=me\npassword=kept-outside\n"
        assert sandbox.bare([*helper, "store"], stdin=stored).exit_code == 0
        bare = sandbox.bare(ask, stdin=asked)
        run = sandbox.run(ask, profile=profile, flags=flags, stdin=asked)
        lifted = [*flags, f"--allow-unix-socket={cache}"]
        granted = sandbox.run(ask, profile=profile, flags=lifted, stdin=asked)
    finally:
        sandbox.bare([*helper, "exit"])
        shutil.rmtree(directory)
    assert (run.exit_code, run.stdout) == (0, "")
    assert "password=kept-outside" in bare.stdout
    assert "password=kept-outside" in granted.stdout


@pytest.mark.needs("namespaces")
def test_the_windows_of_a_shared_tmp_stay_closed(sandbox: NonoRun) -> None:
    """tmux, Emacs and editors listen there, and start programs outside."""
    window = Path(f"/tmp/tmux-nono-{os.getpid()}/default")
    moved = window.parent.with_name(f"nono-moved-{os.getpid()}")
    database = window.parent.with_name(f"nono-database-{os.getpid()}")
    sandbox.make(window.parent)
    try:
        with Canary() as canary:
            for path in (window, database):
                canary.unix(path.name, path)
                sandbox.give(path)
            canary.start()
            run = sandbox.run(asking(window, database), profile=OPEN, flags=["--allow=/tmp"])
            # Nor is it moved to where a later run would not look.
            move = ["sh", "-c", f"mv -T {window.parent} {moved}; mv -T {database} {moved}"]
            moving = sandbox.run(move, profile=OPEN, flags=["--allow=/tmp"])
            named = f"--allow-unix-socket={window}"
            granted = sandbox.run(asking(window), profile=OPEN, flags=["--allow=/tmp", named])
        # Its server has ended: one of the command's own may take the name.
        removed = sandbox.run(["sh", "-c", f"rm {window}"], profile=OPEN, flags=["--allow=/tmp"])
    finally:
        window.unlink(missing_ok=True)
        window.parent.rmdir()
        database.unlink(missing_ok=True)
        was_moved = moved.is_socket()
        moved.unlink(missing_ok=True)
    assert was_moved
    assert f"{window.parent}' to '{moved}': Device or resource busy" in moving.stderr
    assert run.outcomes() == {f"connect {window}": "ECONNREFUSED", f"connect {database}": "ok"}
    assert granted.outcomes() == {f"connect {window}": "ok"}
    assert removed.exit_code == 0, removed.stderr


@pytest.mark.needs("namespaces", "listener")
def test_no_command_moves_them_to_where_a_later_run_would_not_look(sandbox: NonoRun) -> None:
    """A listener judges its connects, so nothing is hidden from it. A run with an open network has none."""
    window = Path(f"/tmp/tmux-nono-{os.getpid()}/default")
    moved = window.parent.with_name(f"nono-moved-{os.getpid()}")
    database = window.parent.with_name(f"nono-database-{os.getpid()}")
    sandbox.make(window.parent)
    attempts = (f"mv -T {window.parent} {moved}", f"ln {window} {moved}", f"rm {window}")
    try:
        with Canary() as canary:
            for path in (window, database):
                canary.unix(path.name, path)
                sandbox.give(path)
            canary.start()
            script = "; ".join((*attempts, f"mv {database} {moved}"))
            run = sandbox.run(["sh", "-c", script], profile=PROXY_ONLY, flags=["--allow=/tmp"])
            named = ["--allow=/tmp", f"--allow-unix-socket={window}"]
            granted = sandbox.run(asking(window), profile=PROXY_ONLY, flags=named)
            was_there = window.is_socket()
    finally:
        was_moved = moved.is_socket()
        for path in (window, moved, database, moved / window.name):
            if path.is_socket():
                path.unlink()
        for path in (window.parent, moved):
            if path.is_dir():
                path.rmdir()
    assert was_there, run.stderr
    assert was_moved, run.stderr
    refusals = [run.stderr.count(each) for each in ("Device or resource busy", "Invalid cross-device link")]
    assert refusals == [2, 1], run.stderr
    assert granted.outcomes() == {f"connect {window}": "ok"}
