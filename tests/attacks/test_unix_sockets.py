"""K8, K9: a Unix socket that is granted is reached, whatever its path is spelled like, and no other one."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from socket import AF_INET, AF_UNIX, SOCK_SEQPACKET, SOCK_STREAM

import pytest

from support.canary import Canary
from support.nono_run import NONO, PROGRAM_GRANTS, PROXY_ONLY, TIMEOUT_S, Ended, NonoRun, program
from support.running.needs import lacking
from support.running.races import ATTEMPTS, Attempts

LONG = bool(os.environ.get("NONO_TEST_LONG"))
TRIES = 100_000 if LONG else 1_000


MEDIATED: Mapping[str, object] = {"linux": {"af_unix_mediation": "pathname"}}
PROFILES: Mapping[str, Mapping[str, object]] = {
    "with the proxy": PROXY_ONLY,
    "on an open network": MEDIATED,
    "without network": {**MEDIATED, "network": {"block": True}},
    "with a port": {**MEDIATED, "network": {"block": True, "open_port": [9]}},
}
mediated = pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
with_and_without_proxy = pytest.mark.parametrize(
    "profile", [PROXY_ONLY, MEDIATED], ids=["with the proxy", "without"]
)


@pytest.fixture
def place(sandbox: NonoRun) -> Iterator[Path]:
    """Yield a directory of the user's, outside the project."""
    directory = sandbox.user.home / "sockets"
    directory.mkdir()
    sandbox.give(directory)
    yield directory
    shutil.rmtree(directory)


@contextmanager
def listening(*paths: Path) -> Iterator[Canary]:
    with Canary() as canary:
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            canary.unix(path.name, path, SOCK_SEQPACKET if "seqpacket" in path.name else SOCK_STREAM)
        canary.start()
        yield canary


def ask(
    sandbox: NonoRun,
    asked: Sequence[tuple[str, Path | str]],
    *flags: str,
    profile: Mapping[str, object] = PROXY_ONLY,
) -> Ended:
    command = program("sockets.unix_sockets", json.dumps([[what, str(path)] for what, path in asked]))
    return sandbox.run(command, flags=flags, profile=profile)


@pytest.mark.needs("listener")
@mediated
def test_a_granted_socket_is_reached_by_every_spelling_of_its_path(
    sandbox: NonoRun, place: Path, profile: Mapping[str, object]
) -> None:
    granted, packet, beside = place / "granted", place / "seqpacket", place / "beside"
    link, loop = sandbox.project / "link", sandbox.project / "loop"
    link.symlink_to(granted)
    loop.symlink_to(loop)
    relative = os.path.relpath(granted, sandbox.project)
    crooked = f"{place}/../sockets//./granted"
    good = [("connect", path) for path in (granted, link, "link", relative, crooked)]
    magic = (f"/proc/self/cwd/{link.name}", f"/proc/self/root{granted}")
    bad = [("connect", path) for path in (beside, loop, *magic)]
    try:
        with listening(granted, packet, beside) as canary:
            asked = [*good, *bad, ("seqpacket", packet), ("in directory", granted), ("in directory", beside)]
            run = ask(
                sandbox,
                asked,
                f"--allow-unix-socket={granted}",
                f"--allow-unix-socket={packet}",
                profile=profile,
            )
            seen = canary.seen()
    finally:
        link.unlink()
        loop.unlink()
    outcomes = run.outcomes()
    assert {outcomes[f"{what} {path}"] for what, path in good} == {"ok"}
    # In the project sockets could be bound, so there the answer is the kernel's.
    assert outcomes.pop(f"connect {loop}") == "ELOOP"
    assert {outcomes[f"{what} {path}"] for what, path in bad if path != loop} == {"EACCES"}
    assert outcomes[f"seqpacket {packet}"] == outcomes[f"in directory {granted}"] == "ok"
    assert outcomes[f"in directory {beside}"] == "EACCES"
    assert seen == {"granted": len(good) + 1, "seqpacket": 1}
    refused = [event for event in run.denied if event["target"] == f"unix:{beside}"]
    assert {event["reason"] for event in refused} == {"no matching unix_socket capability"}
    assert {event["hint"] for event in refused} == {f"--allow-unix-socket {beside}"}
    assert {event["rule"] for event in run.allowed} == {"filesystem.unix_socket"}
    assert {event["target"] for event in run.allowed} == {f"unix:{granted}", f"unix:{packet}"}


@pytest.mark.needs("listener")
def test_a_directory_grant_ends_where_its_name_says(sandbox: NonoRun, place: Path) -> None:
    child, nested, beside = place / "in/child", place / "in/further/nested", place / "in2"
    paths = (child, nested, beside)
    asked = [("connect", path) for path in paths]
    with listening(*paths):
        children = ask(sandbox, asked, f"--allow-unix-socket-dir={place / 'in'}").outcomes()
        subtree = ask(sandbox, asked, f"--allow-unix-socket-subtree={place / 'in'}").outcomes()
    assert list(children.values()) == ["ok", "EACCES", "EACCES"]
    assert list(subtree.values()) == ["ok", "ok", "EACCES"]


@pytest.mark.needs("listener")
def test_a_path_of_odd_bytes_is_matched_exactly_with_a_printable_record(
    sandbox: NonoRun, place: Path
) -> None:
    names = ["new\nline", "\udcff\udcfe", "gone (deleted)", "%s{}$HOME", "\x1b[31m"]
    granted, beside = [place / name for name in names], [place / f"{name}x" for name in names]
    with listening(*granted, *beside) as canary:
        flags = [f"--allow-unix-socket={path}" for path in granted]
        run = ask(sandbox, [("connect", path) for path in (*granted, *beside)], *flags)
        seen = canary.seen()
    assert list(run.outcomes().values()) == ["ok"] * len(names) + ["EACCES"] * len(names)
    assert seen == dict.fromkeys(names, 1)
    assert len(run.denied) == len(names)
    assert all(event["target"].isprintable() for event in (*run.denied, *run.allowed))


@pytest.mark.needs("listener")
def test_a_path_that_fills_the_address_has_no_nul_behind_it(sandbox: NonoRun, place: Path) -> None:
    granted = place / ("p" * (107 - len(str(place))))
    beside = place / ("q" * (107 - len(str(place))))
    assert len(str(granted)) == 108
    directory = os.open(place, os.O_PATH)
    try:
        with listening() as canary:
            for path in (granted, beside):
                canary.unix(path.name, Path(f"/proc/self/fd/{directory}/{path.name}"))
            asked = [("in full", granted), ("in full", beside)]
            run = ask(sandbox, asked, f"--allow-unix-socket={granted}")
            seen = canary.seen()
    finally:
        os.close(directory)
    assert list(run.outcomes().values()) == ["ok", "EACCES"]
    assert seen == {granted.name: 1}


@pytest.mark.needs("listener")
@mediated
def test_an_absent_socket_is_absent_as_outside(
    sandbox: NonoRun, place: Path, profile: Mapping[str, object]
) -> None:
    (place / "file").write_text("no socket")
    asked = [("connect", place / name) for name in ("missing", "nowhere/at/all", "file/below", "file")]
    command = program("sockets.unix_sockets", json.dumps([[what, str(path)] for what, path in asked]))
    bare = sandbox.bare(command).outcomes()
    run = ask(sandbox, asked, profile=profile)
    assert run.outcomes() == bare
    assert list(bare.values()) == ["ENOENT", "ENOENT", "ENOTDIR", "ECONNREFUSED"]
    assert run.denied == []


@pytest.mark.needs("listener")
@mediated
@pytest.mark.parametrize(
    ("kind", "of_bound"),
    [
        (socket.SOCK_STREAM, "ECONNREFUSED"),
        (socket.SOCK_SEQPACKET, "ECONNREFUSED"),
        (socket.SOCK_DGRAM, "EACCES"),
    ],
)
def test_a_socket_that_nobody_serves_is_refused_by_the_kernel_as_outside(
    sandbox: NonoRun, place: Path, profile: Mapping[str, object], kind: socket.SocketKind, of_bound: str
) -> None:
    """One for datagrams needs no listen(2): who has bound it is heard of by everybody who sends."""
    stale, bound, served = place / "stale", place / "bound", place / "served"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(stale))
    with socket.socket(socket.AF_UNIX, kind) as server, listening(served) as canary:
        server.bind(str(bound))
        for each in (stale, bound):
            each.chmod(0o777)
        run = ask(sandbox, [("connect", path) for path in (stale, bound, served)], profile=profile)
        assert canary.seen() == {}
    assert list(run.outcomes().values()) == ["ECONNREFUSED", of_bound, "EACCES"]
    refused = {served} if of_bound == "ECONNREFUSED" else {bound, served}
    assert {event["target"] for event in run.denied} == {f"unix:{path}" for path in refused}


@pytest.mark.needs("listener")
@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM, socket.SOCK_SEQPACKET])
def test_a_foreign_socket_hears_nothing_of_a_refused_connect(
    sandbox: NonoRun, place: Path, kind: socket.SocketKind
) -> None:
    with socket.socket(socket.AF_UNIX, kind) as server:
        server.bind(str(place / "served"))
        (place / "served").chmod(0o777)
        if kind != socket.SOCK_DGRAM:
            server.listen()
        run = ask(sandbox, [("connect", place / "served")])
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.recv(1) if kind == socket.SOCK_DGRAM else server.accept()
    assert list(run.outcomes().values()) == ["EACCES"]


@pytest.mark.needs("listener")
def test_a_denied_path_tells_nothing_of_what_is_absent(sandbox: NonoRun, place: Path) -> None:
    stale, absent, beside = place / "denied/stale", place / "denied/absent", place / "absent"
    stale.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(stale))
    profile: Mapping[str, object] = {
        "network": {"allow_domain": []},
        "filesystem": {"deny": [str(stale.parent)]},
    }
    run = ask(sandbox, [("connect", path) for path in (stale, absent, beside)], profile=profile)
    assert list(run.outcomes().values()) == ["EACCES", "EACCES", "ENOENT"]
    assert {event["target"] for event in run.denied} == {f"unix:{stale}", f"unix:{absent}"}


@pytest.mark.needs("listener")
def test_a_denied_path_beats_the_grant_of_its_directory(sandbox: NonoRun, place: Path) -> None:
    open_, denied = place / "open", place / "denied"
    profile: Mapping[str, object] = {
        "network": {"allow_domain": []},
        "filesystem": {"deny": [str(denied)], "unix_socket_dir": [str(place)]},
    }
    command = program("sockets.unix_sockets", json.dumps([["connect", str(open_)], ["connect", str(denied)]]))
    with listening(open_, denied) as canary:
        run = sandbox.run(command, profile=profile)
        assert canary.seen() == {"open": 1}
        named = sandbox.run(command, profile=profile, flags=[f"--allow-unix-socket={denied}"])
    assert list(run.outcomes().values()) == ["ok", "EACCES"]
    assert f"'{denied}' is denied by" in run.denied[0]["reason"]
    assert named.exit_code == 1
    assert "--bypass-protection" in named.stderr


@pytest.mark.needs("listener")
@with_and_without_proxy
def test_a_granted_socket_is_bound_with_the_mode_of_the_caller(
    sandbox: NonoRun, place: Path, profile: Mapping[str, object]
) -> None:
    granted, beside, within = place / "granted", place / "beside", place / "in/child"
    within.parent.mkdir()
    sandbox.give(within.parent)
    asked: list[tuple[str, Path | str]] = [
        ("bind", granted),
        ("bind privately", granted),
        ("bind seqpacket", granted),
        ("bind", within),
        ("bind", beside),
        ("bind", within.parent / "no/such"),
        ("bind", "/"),
        ("bind", f"{place}/.."),
    ]
    flags = (f"--allow-unix-socket-bind={granted}", f"--allow-unix-socket-dir-bind={within.parent}")
    run = ask(sandbox, asked, *flags, profile=profile)
    assert list(run.outcomes().values()) == [
        *("ok 755 True", "ok 700 True", "ok 755 True", "ok 755 True"),
        *("EACCES", "EACCES", "EADDRINUSE", "EADDRINUSE"),
    ]
    refused = [event for event in run.denied if event["target"] == f"unix:{beside}"]
    assert refused[0]["reason"] == "no matching unix_socket_bind capability"
    assert refused[0]["hint"] == f"--allow-unix-socket-bind {beside}"
    assert not beside.exists()


def test_a_grant_to_connect_is_none_to_bind(sandbox: NonoRun, place: Path) -> None:
    run = ask(sandbox, [("bind", place / "s")], f"--allow-unix-socket-dir={place}")
    assert list(run.outcomes().values()) == ["EACCES"]
    assert not (place / "s").exists()


@pytest.mark.needs("user namespaces")
@pytest.mark.needs("listener")
@with_and_without_proxy
def test_a_caller_with_another_view_of_the_file_system_is_refused(
    sandbox: NonoRun, place: Path, profile: Mapping[str, object]
) -> None:
    granted = place / "granted"
    views = ("new root", "new mounts", "new user namespace")
    with listening(granted) as canary:
        asked = [("connect", granted), *((view, granted) for view in views)]
        run = ask(sandbox, asked, f"--allow-unix-socket={granted}", profile=profile)
        assert canary.seen() == {"granted": 1}
    outcomes = run.outcomes()
    assert outcomes[f"connect {granted}"] == "ok"
    assert {outcomes[f"{view} {granted}"] for view in views} == {"EACCES"}
    assert sum("another root, other namespaces" in event["reason"] for event in run.denied) == len(views)


@pytest.mark.needs("listener")
@with_and_without_proxy
@pytest.mark.parametrize("mode", ["symlink", "path"])
def test_flipping_a_socket_path_reaches_nothing_forbidden(
    mode: str,
    sandbox: NonoRun,
    place: Path,
    compiled: Callable[[str], str],
    profile: Mapping[str, object],
    attempts: Attempts,
) -> None:
    race = compiled("unix_race")
    (place / "bad..sock").symlink_to("bad.sock")
    flags = [f"--allow-unix-socket={place / 'good.sock'}", f"--allow={place}"]
    command = [race, mode, str(TRIES), str(place)]
    for _ in attempts(ATTEMPTS):
        with listening(place / "good.sock", place / "bad.sock") as canary:
            run = sandbox.run(command, profile=profile, flags=flags, timeout_s=600)
            seen = canary.seen()
        for name in ("good.sock", "bad.sock"):
            (place / name).unlink()
        counts = run.outcomes()
        assert counts["forbidden"] == 0
        assert set(seen) <= {"good.sock"}
        if counts["permitted"] and run.denied:  # so both of the two had their turns
            break
    assert set(seen) == {"good.sock"}
    assert counts["permitted"] > 0
    assert run.denied


@pytest.mark.needs("listener")
@with_and_without_proxy
@pytest.mark.parametrize("by", ["socket grant", "file grant"])
@pytest.mark.parametrize("mode", ["parent", "name"])
def test_flipping_a_socket_path_binds_nothing_elsewhere(
    mode: str,
    by: str,
    sandbox: NonoRun,
    place: Path,
    compiled: Callable[[str], str],
    profile: Mapping[str, object],
    attempts: Attempts,
) -> None:
    race = compiled("unix_race")
    (place / "good").mkdir()
    sandbox.give(place / "good")
    # Where files may be written sockets may be bound, so what is forbidden lies elsewhere.
    elsewhere = sandbox.user.home / f"elsewhere-{mode}-{by.replace(' ', '-')}"
    elsewhere.mkdir(exist_ok=True)
    sandbox.give(elsewhere)
    (place / "bad").symlink_to(elsewhere)
    flags = [f"--allow={place}"]
    if by == "socket grant":
        flags.append(f"--allow-unix-socket-dir-bind={place / 'good'}")
    command = [race, mode, str(TRIES), str(place)]
    for _ in attempts(ATTEMPTS):
        counts = sandbox.run(command, profile=profile, flags=flags, timeout_s=600).outcomes()
        assert counts["forbidden"] == 0
        if counts["permitted"]:
            break
    assert counts["permitted"] > 0


@pytest.mark.any_user
@pytest.mark.parametrize("mode", ["symlink", "path", "parent", "name"])
def test_those_are_races_without_nono(
    mode: str, sandbox: NonoRun, place: Path, compiled: Callable[[str], str]
) -> None:
    race = compiled("unix_race")
    (place / "bad..sock").symlink_to("bad.sock")
    for name in ("good", "bad"):
        (place / name).mkdir()
        sandbox.give(place / name)
    with listening(place / "good.sock", place / "bad.sock"):
        attempts = (sandbox.bare([race, mode, "5000", str(place)]).outcomes() for _ in range(30))
        assert any(counts["forbidden"] > 0 < counts["permitted"] for counts in attempts)


@pytest.mark.needs("listener")
@pytest.mark.parametrize("family", ["unix", "tcp"])
def test_a_full_backlog_stops_nobody_but_its_caller(family: str, sandbox: NonoRun, place: Path) -> None:
    """Nor does a caller that takes O_NONBLOCK away under the supervisor's hands."""
    with socket.socket(AF_UNIX if family == "unix" else AF_INET) as full, Canary() as canary:
        if family == "unix":
            full.bind(str(place / "full"))
            (place / "full").chmod(0o777)
            canary.unix("other", place / "other")
            names = [str(place / "full"), str(place / "other")]
            flags = [f"--allow-unix-socket={name}" for name in names]
        else:
            full.bind(("127.0.0.1", 0))
            names = [str(full.getsockname()[1]), str(canary.tcp("other"))]
            flags = [f"--open-port={name}" for name in names]
        full.listen(1)
        canary.start()
        with sandbox.started(program("sockets.full_backlog", family, *names), flags=flags) as run:
            assert run.stdin is not None
            assert run.stdout is not None
            lines = [json.loads(run.stdout.readline()) for _ in range(3)]
            assert lines[1:] == [{"timed": True}, {"other": "ok"}], lines
            assert lines[0]["filled"] < 10
            run.stdin.write("\n")
            run.stdin.flush()
            full.settimeout(TIMEOUT_S)
            for _ in range(
                lines[0]["filled"]
            ):  # all but the one that would have had to wait, and the one that did
                full.accept()[0].close()
            assert json.loads(run.stdout.readline()) == {"waited": "ok"}
            full.settimeout(0.2)
            if family == "unix":
                with pytest.raises(TimeoutError):
                    full.accept()


def wait_until_served(path: Path) -> None:
    """Wait for its server, which binds the socket a moment before it listens."""
    for _ in range(500):
        with socket.socket(AF_UNIX) as client:
            if client.connect_ex(str(path)) == 0:
                return
        time.sleep(0.01)
    raise AssertionError(f"nobody listens at {path}")


@pytest.mark.needs("listener")
@pytest.mark.skipif(shutil.which("ssh-agent") is None, reason="there is no ssh-agent")
def test_a_real_agent_is_asked_only_when_granted(sandbox: NonoRun, place: Path) -> None:
    agent, key = place / "agent.sock", place / "key"
    make_key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "canary", "-f", str(key)]
    subprocess.run(make_key, check=True, timeout=60)  # by who runs the suite: the user has no passwd entry
    sandbox.give(key)
    environment = {"SSH_AUTH_SOCK": str(agent)}
    serve = sandbox.user.command(["ssh-agent", "-D", "-a", str(agent)])
    served = subprocess.Popen(serve, stdout=subprocess.DEVNULL)
    try:
        wait_until_served(agent)
        added = sandbox.bare(["ssh-add", "-q", str(key)], environment=environment)
        assert added.exit_code == 0, added.stderr
        profile: Mapping[str, object] = {
            "network": {"allow_domain": []},
            "filesystem": {"unix_socket": ["$SSH_AUTH_SOCK"]},
        }
        granted = sandbox.run(["ssh-add", "-L"], profile=profile, environment=environment)
        # The variable is not inherited without the grant.
        refused = sandbox.run(["env", f"SSH_AUTH_SOCK={agent}", "ssh-add", "-L"])
    finally:
        served.kill()
        served.wait()
    assert "canary" in granted.stdout
    assert (refused.stdout, refused.exit_code) == ("", 2)
    assert refused.denied[0]["hint"] == f"--allow-unix-socket {agent}"


@pytest.mark.needs("listener")
def test_a_container_engine_in_a_granted_directory_is_out_of_reach(sandbox: NonoRun, place: Path) -> None:
    """Where files are granted, the sockets among them are not."""
    with listening(place / "docker.sock") as canary:
        run = ask(sandbox, [("connect", place / "docker.sock")], f"--allow={place}")
        assert canary.seen() == {}
    assert list(run.outcomes().values()) == ["EACCES"]


@pytest.mark.needs("listener")
@pytest.mark.parametrize("profile", [MEDIATED], ids=["on an open network"])
def test_judging_unix_sockets_alone_leaves_the_network_open(
    sandbox: NonoRun, profile: Mapping[str, object]
) -> None:
    command = program("sockets.open_network")
    bare = sandbox.bare(command).outcomes()
    run = sandbox.run(command, profile=profile)
    outcomes = run.outcomes()
    refused = {"datagram", "datagram pair", "abstract", "abstract bind", "autobind"}
    if lacking("io_uring", sandbox.user.uid):
        assert "ok" not in (bare.pop("io_uring"), outcomes.pop("io_uring"))
    else:
        refused.add("io_uring")
    assert set(bare.values()) == {"ok"}
    assert {name for name, outcome in outcomes.items() if outcome != "ok"} == refused
    assert {"EACCES", "EPERM"} >= {outcomes[name] for name in refused}
    assert run.denied


@pytest.mark.needs("listener")
def test_port_rules_without_mediation_leave_unix_sockets_to_file_rules(sandbox: NonoRun, place: Path) -> None:
    socket_, new = place / "socket", sandbox.project / "new"
    profile: Mapping[str, object] = {"network": {"block": True, "open_port": [9]}}
    with listening(socket_) as canary:
        asked = [("connect", socket_), ("bind", new), ("bind", place / "new"), ("connect", place / "missing")]
        run = ask(sandbox, asked, profile=profile)
        assert canary.seen() == {"socket": 1}
    assert list(run.outcomes().values()) == ["ok", "ok 755 True", "EACCES", "ENOENT"]
    assert {event["reason"] for event in run.denied} == {f"'{place}' may not be written"}


def test_mediation_is_refused_where_it_cannot_be_had(sandbox: NonoRun) -> None:
    checkout = Path(__file__).parents[2]
    outer = [*NONO, "run", "--silent", "--allow-domain=x.example", f"--allow={sandbox.project}"]
    outer += [f"--read={checkout}", *PROGRAM_GRANTS]
    profile = sandbox.user.home / "mediated.json"
    profile.write_text(json.dumps(MEDIATED))
    inner = [*NONO, "run", f"--profile={profile}", "--no-audit", "--", "true"]
    busy = sandbox.bare([*outer, f"--read-file={profile}", "--", *inner])
    assert busy.exit_code == 1
    assert "needs a seccomp listener" in busy.stderr
    wrapped = sandbox.bare([*NONO, "wrap", f"--profile={profile}", "--", "true"])
    assert (wrapped.exit_code, "no supervisor" in wrapped.stderr) == (1, True)


@pytest.mark.needs("listener")
@pytest.mark.parametrize("profile", [MEDIATED, {}], ids=["mediated", "not"])
def test_a_datagram_socket_on_stdin_is_no_way_around_mediation(
    sandbox: NonoRun, profile: Mapping[str, object]
) -> None:
    with socket.socket(AF_UNIX, socket.SOCK_DGRAM) as inherited:
        run = sandbox.run(["true"], profile=profile, stdin=inherited.fileno())
    assert (run.exit_code != 0) == (profile is MEDIATED)
    assert ("datagram" in run.stderr) == (profile is MEDIATED)


@pytest.mark.needs("mounts")
@pytest.mark.needs("listener")
def test_masks_and_sockets_stand_side_by_side(sandbox: NonoRun, place: Path) -> None:
    """The command has a mount namespace of its own then, and callers are compared with it."""
    granted, denied = place / "granted", place / "hidden" / "denied"
    profile: Mapping[str, object] = {
        "network": {"allow_domain": []},
        "filesystem": {
            "allow": [str(place)],
            "deny": [str(denied.parent)],
            "unix_socket_subtree": [str(place)],
        },
    }
    with listening(granted, denied) as canary:
        run = ask(
            sandbox, [("connect", granted), ("connect", denied), ("new mounts", granted)], profile=profile
        )
        assert canary.seen() == {"granted": 1}
    assert list(run.outcomes().values())[:2] == ["ok", "EACCES"]
    assert list(run.outcomes().values())[2] in ("EACCES", "not prepared: EPERM")
