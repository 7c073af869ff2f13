"""`nono allow` and `nono deny` change what a running session reaches, and take it back."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from support.nono_run import PROXY_ONLY, TIMEOUT_S, NonoRun
from support.ports import unused_port
from support.running import fork_server
from support.sessions.control import key_of
from support.sessions.detached import wait_until
from support.sessions.records import nono, record_of

# Prints what the proxy answers to a CONNECT for each host that it reads: 403, or what the dial comes to.
CONNECTING = (
    "import os, socket, sys, urllib.parse as p\n"
    "proxy = p.urlsplit(os.environ['HTTPS_PROXY'])\n"
    "print('up', flush=True)\n"
    "for line in sys.stdin:\n"
    "    s = socket.create_connection((proxy.hostname, proxy.port)); where = line.strip() + ':9'\n"
    "    s.sendall(f'CONNECT {where} HTTP/1.1\\r\\nHost: {where}\\r\\n\\r\\n'.encode())\n"
    "    s.settimeout(3)\n"
    "    try: print(s.recv(4096)[9:12].decode(), flush=True)\n"
    "    except TimeoutError: print('dialled', flush=True)\n"
)
OPENING = (
    "import sys\n"
    "print('up', flush=True)\n"
    "for line in sys.stdin:\n"
    "    try: print(open(line.strip()).read(), flush=True)\n"
    "    except OSError as error: print(error.strerror, flush=True)\n"
)
# Prints what connecting past the proxy comes to: to a port of loopback, or to a Unix socket.
DIALLING = (
    "import socket, sys\n"
    "print('up', flush=True)\n"
    "for line in sys.stdin:\n"
    "    where = line.strip()\n"
    "    family = socket.AF_INET if where.isdigit() else socket.AF_UNIX\n"
    "    s = socket.socket(family); s.settimeout(3)\n"
    "    try: s.connect(('127.0.0.1', int(where)) if where.isdigit() else where)\n"
    "    except OSError as error: print(error.strerror, flush=True)\n"
    "    else: print('connected', flush=True)\n"
)
# Prints at which address it listens on a port of every address.
SERVING = (
    "import socket, sys\n"
    "print('up', flush=True)\n"
    "for line in sys.stdin:\n"
    "    s = socket.socket()\n"
    "    try: s.bind(('0.0.0.0', int(line))); s.listen()\n"
    "    except OSError as error: print(error.strerror, flush=True)\n"
    "    else: print(s.getsockname()[0], flush=True)\n"
    "    s.close()\n"
)
# Prints what connecting to a host and a port comes to that are looked up as programs without a proxy do.
LOOKING_UP = (
    "import socket, sys\n"
    "print('up', flush=True)\n"
    "for line in sys.stdin:\n"
    "    host, port = line.strip().split(':')\n"
    "    try: socket.create_connection((host, int(port)), 9).close()\n"
    "    except OSError as error: print(error.strerror, flush=True)\n"
    "    else: print('connected', flush=True)\n"
)
FAR = "198.51.100.1"


@contextmanager
def session(
    sandbox: NonoRun,
    program: str,
    *flags: str,
    profile: Mapping[str, object] = PROXY_ONLY,
    name: str = "web",
) -> Iterator[subprocess.Popen[str]]:
    argv = sandbox.argv(
        [sys.executable, "-u", "-c", program], profile=profile, flags=[f"--name={name}", *flags]
    )
    with fork_server.start(
        argv,
        env=sandbox.user.environment(),
        cwd=sandbox.project,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as run:
        try:
            assert run.stdout is not None
            assert run.stdout.readline() == "up\n"
            key_of(sandbox, record_of(sandbox.user, name)["session_id"])
            yield run
        finally:
            run.kill()


def tries(run: subprocess.Popen[str], what: str) -> str:
    assert run.stdin is not None
    assert run.stdout is not None
    run.stdin.write(f"{what}\n")
    run.stdin.flush()
    return run.stdout.readline().strip()


def changes(sandbox: NonoRun) -> list[tuple[str, str, str]]:
    events: list[dict[str, Any]] = json.loads(nono(sandbox, "logs", "web", "--json").stdout)
    return [(e["change"], e["decision"], e["target"]) for e in events if e["type"] == "policy_changed"]


def test_a_host_is_allowed_until_that_is_taken_back(sandbox: NonoRun) -> None:
    with session(sandbox, CONNECTING) as run:
        assert tries(run, FAR) == "403"
        allowed = nono(sandbox, "allow", FAR, "--for", "30m")
        assert allowed.stderr == f"Allowed {FAR} in session web, for 30m.\n"
        assert tries(run, FAR) != "403"
        assert tries(run, "198.51.100.2") == "403"
        assert f"allow {FAR}, for 29m, by pid " in nono(sandbox, "inspect", "web").stdout
        assert nono(sandbox, "allow", FAR, "--undo").returncode == 0
        assert tries(run, FAR) == "403"
    assert changes(sandbox) == [("added", "allow", FAR), ("taken_back", "allow", FAR)]


def test_an_allowed_host_expires(sandbox: NonoRun) -> None:
    with session(sandbox, CONNECTING) as run:
        for time in ("30m", "1s"):
            assert nono(sandbox, "allow", FAR, "--for", time).returncode == 0
        wait_until(lambda: tries(run, FAR) == "403", "it does not expire")
    assert changes(sandbox) == [*[("added", "allow", FAR)] * 2, ("expired", "allow", FAR)]


def test_a_denied_host_is_refused_although_it_was_granted(sandbox: NonoRun) -> None:
    with session(sandbox, CONNECTING, f"--allow-domain={FAR}") as run:
        assert tries(run, FAR) != "403"
        assert nono(sandbox, "deny", FAR).returncode == 0
        assert tries(run, FAR) == "403"
        refused = nono(sandbox, "allow", FAR).stderr
        assert "denial beats every grant" in refused
        assert f"hint: nono deny {FAR} --undo" in refused
        assert nono(sandbox, "deny", FAR, "--undo").returncode == 0
        assert tries(run, FAR) != "403"


@pytest.mark.parametrize(
    ("flags", "argv", "reason", "hint"),
    [
        (
            ("--block-net", "--capability-elevation"),
            ("allow", "a.test"),
            "without a network",
            "--allow-domain",
        ),
        (("--capability-elevation",), ("deny", "a.test"), "with an open network", "--deny-domain a.test"),
        (
            ("--allow-domain=a.test",),
            ("allow", "a.test"),
            "is allowed already: a.test from --allow-domain",
            "",
        ),
        (
            ("--deny-domain=a.test",),
            ("allow", "a.test"),
            "in the deny list",
            "remove a.test from --deny-domain",
        ),
        (("--deny-domain=a.test",), ("allow", "x:GET:/v1"), "has no service 'x'", "its services: none"),
        (
            ("--deny-domain=a.test",),
            ("allow", "/etc/shadow"),
            "Landlock fixed the files",
            "--read-file /etc/shadow",
        ),
        (("--deny-domain=a.test",), ("deny", "/usr/bin"), "Landlock takes nothing back", "filesystem.deny"),
        (("--deny-domain=a.test",), ("allow", "169.254.169.254"), "", ""),
        (
            ("--block-net", "--capability-elevation"),
            ("allow", "5432"),
            "without a network",
            "--open-port 5432",
        ),
        (
            ("--sandbox-policy=landlock", "--allow-domain=a.test"),
            ("allow", "--listen-port", "3000"),
            "Landlock fixed the ports",
            "--listen-port 3000",
        ),
    ],
    ids=[
        "no network",
        "open network",
        "allowed",
        "denied",
        "no service",
        "a file",
        "a granted file",
        "metadata",
        "a port without a network",
        "a port to listen on",
    ],
)
def test_what_cannot_be_changed_is_said_at_once(
    flags: tuple[str, ...], argv: tuple[str, ...], reason: str, hint: str, sandbox: NonoRun
) -> None:
    with session(sandbox, OPENING, *flags, profile={}):
        told = nono(sandbox, *argv)
        assert reason in told.stderr
        assert hint in told.stderr
        if reason:
            assert told.returncode == 1
            assert changes(sandbox) == []


def test_a_file_is_opened_by_a_rule_in_place_of_a_person(sandbox: NonoRun) -> None:
    secret = sandbox.user.home / "wanted" / "file"
    secret.parent.mkdir()
    secret.write_text("content")
    sandbox.give(secret.parent)
    sandbox.give(secret)
    with session(sandbox, OPENING, "--capability-elevation", profile={}) as run:
        assert tries(run, str(secret)) == "Operation not permitted"
        assert nono(sandbox, "allow", str(secret.parent)).returncode == 0
        assert tries(run, str(secret)) == "content"
        assert nono(sandbox, "allow", str(secret.parent), "--undo").returncode == 0
        assert tries(run, str(secret)) == "Operation not permitted"
    assert changes(sandbox)[0] == ("added", "allow", str(secret.parent))


def refusals(sandbox: NonoRun, target: str) -> list[tuple[str, str]]:
    events: list[dict[str, Any]] = json.loads(nono(sandbox, "logs", "web", "--json").stdout)
    found = [each["event"] for each in events if each["type"] == "network"]
    denied = [each for each in found if each["decision"] == "deny" and each["target"] == target]
    return [(str(each["rule"]), str(each["reason"])) for each in denied]


def test_nono_listens_on_a_port_that_a_rule_names_during_the_run(sandbox: NonoRun) -> None:
    """On netns. Nothing is reached: the name exists nowhere, and the proxy resets what it accepts."""
    network = {"network": {"allow_domain": ["granted.test"]}}
    with session(sandbox, LOOKING_UP, "--sandbox-policy=netns", profile=network) as run:
        assert tries(run, "granted.test:8443") == "Connection refused"
        assert nono(sandbox, "allow", "granted.test").returncode == 1
        assert nono(sandbox, "allow", "granted.test:8443").returncode == 0
        assert tries(run, "granted.test:8443") in ("connected", "Connection reset by peer")
        assert tries(run, "granted.test:8444") == "Connection refused"


def test_a_port_of_this_machine_is_opened_and_closed_again(sandbox: NonoRun) -> None:
    with socket.create_server(("127.0.0.1", 0)) as service, session(sandbox, DIALLING) as run:
        port = str(service.getsockname()[1])
        assert tries(run, port) == "Permission denied"
        allowed = nono(sandbox, "allow", port)
        assert allowed.stderr == f"Allowed {port} in session web, until it ends.\n"
        assert tries(run, port) == "connected"
        denied = nono(sandbox, "deny", port)
        assert denied.stderr.endswith("; what is connected by now stays so.\n")
        assert tries(run, port) == "Permission denied"
        assert ("nono deny", f"port {port} at 127.0.0.1 is denied by nono deny") in [
            (rule, reason.partition(", by")[0]) for rule, reason in refusals(sandbox, "127.0.0.1")
        ]
        assert nono(sandbox, "deny", port, "--undo").returncode == 0
        assert tries(run, port) == "connected"
        assert nono(sandbox, "deny", "127.0.0.1").returncode == 0
        assert tries(run, port) == "Permission denied"
        assert nono(sandbox, "deny", "127.0.0.1", "--undo").returncode == 0
        assert tries(run, port) == "connected"
        assert nono(sandbox, "allow", port, "--undo").returncode == 0
        assert tries(run, port) == "Permission denied"
    assert changes(sandbox)[:2] == [("added", "allow", port), ("added", "deny", port)]


def test_a_port_is_listened_on_for_other_machines_until_that_is_taken_back(sandbox: NonoRun) -> None:
    port, other = (str(unused_port()) for _ in range(2))
    with session(sandbox, SERVING) as run:
        assert tries(run, port) == "127.0.0.1"
        allowed = nono(sandbox, "allow", "--listen-port", port)
        assert allowed.stderr.startswith(f"Allowed --listen-port {port} in session web, until it ends.\n")
        assert (tries(run, port), tries(run, other)) == ("0.0.0.0", "127.0.0.1")
        assert nono(sandbox, "allow", "--listen-port", port, "--undo").returncode == 0
        assert tries(run, port) == "127.0.0.1"
    assert changes(sandbox) == [(change, "allow", f"listen:{port}") for change in ("added", "taken_back")]


def test_a_port_is_not_listened_on_after_a_denial(sandbox: NonoRun) -> None:
    port, other = (str(unused_port()) for _ in range(2))
    with session(sandbox, SERVING, f"--listen-port={port}", f"--listen-port={other}") as run:
        assert tries(run, port) == "0.0.0.0"
        denied = nono(sandbox, "deny", "--listen-port", port)
        assert denied.stderr.endswith("; what listens by now goes on.\n")
        assert (tries(run, port), tries(run, other)) == ("Permission denied", "0.0.0.0")
        assert refusals(sandbox, "0.0.0.0")[-1][0] == "nono deny"


@pytest.mark.parametrize("direct", [True, False], ids=["granted", "not granted"])
def test_a_denial_says_if_connections_past_the_proxy_stay(direct: bool, sandbox: NonoRun) -> None:
    flags = ["--allow-connect-port=9"] if direct else []
    with session(sandbox, DIALLING, f"--allow-domain={FAR}", *flags):
        stays = "; what is connected past the proxy by now stays so" if direct else ""
        assert nono(sandbox, "deny", FAR).stderr == f"Denied {FAR} in session web, until it ends{stays}.\n"


def test_a_unix_socket_is_allowed_by_its_path(sandbox: NonoRun) -> None:
    path = str(sandbox.user.home / "service.sock")
    with socket.socket(socket.AF_UNIX) as service, session(sandbox, DIALLING) as run:
        service.bind(path)
        service.listen()
        sandbox.give(Path(path))
        assert tries(run, path) == "Permission denied"
        assert nono(sandbox, "allow", path).stderr == f"Allowed {path} in session web, until it ends.\n"
        assert tries(run, path) == "connected"
        os.rename(path, f"{path}.gone")
        assert nono(sandbox, "allow", path, "--undo").returncode == 0
        os.rename(f"{path}.gone", path)
        assert tries(run, path) == "Permission denied"
        assert refusals(sandbox, f"unix:{path}")[-1][1] == "no matching unix_socket capability"
    assert changes(sandbox)[0] == ("added", "allow", path)


def test_a_connect_that_waits_for_its_server_is_not_made_after_a_denial(sandbox: NonoRun) -> None:
    path = str(sandbox.user.home / "service")
    waiting = DIALLING.replace("settimeout(3)", "settimeout(None)")
    with socket.socket(socket.AF_UNIX) as service, socket.socket(socket.AF_UNIX) as first:
        service.bind(path)
        service.listen(0)
        service.settimeout(TIMEOUT_S)
        first.connect(path)  # nobody else has room
        sandbox.give(Path(path))
        flags = (f"--allow-unix-socket={path}",)
        with (
            session(sandbox, waiting, *flags) as run,
            session(sandbox, waiting, *flags, name="other") as other,
        ):
            for each, name in ((run, "web"), (other, "other")):
                assert each.stdin is not None
                each.stdin.write(f"{path}\n")
                each.stdin.flush()
                wait_until(partial(_has_recorded, sandbox, name, f"unix:{path}"), "the connect")
            assert nono(sandbox, "deny", path, "--session", "web").returncode == 0
            for _ in range(2):
                service.accept()[0].close()
            assert run.stdout is not None
            assert other.stdout is not None
            assert run.stdout.readline() == "Permission denied\n"
            assert other.stdout.readline() == "connected\n"
        assert refusals(sandbox, f"unix:{path}")[-1][1].startswith(f"'{path}' is denied by nono deny")


def _has_recorded(sandbox: NonoRun, name: str, target: str) -> bool:
    return target in nono(sandbox, "logs", name, "--json").stdout


def test_a_rule_is_saved_after_its_diff_was_shown(sandbox: NonoRun) -> None:
    with session(sandbox, CONNECTING):
        file = sandbox.user.home / "profile.json"
        before = file.read_text()
        unasked = nono(sandbox, "allow", FAR, "--save")
        assert (unasked.returncode, "--yes writes it" in unasked.stderr) == (1, True)
        assert file.read_text() == before
        saved = nono(sandbox, "allow", "198.51.100.2", "--save", "--yes")
        assert saved.returncode == 0, saved.stderr
        assert '+      "198.51.100.2"' in saved.stderr
        assert saved.stderr.endswith(f"Saved: {file}\n")
        assert json.loads(file.read_text())["network"]["allow_domain"] == ["198.51.100.2"]


def test_a_rule_for_an_endpoint_is_saved_with_its_service(sandbox: NonoRun) -> None:
    key = sandbox.user.home / "key"
    key.touch(0o600)
    key.write_text("canary-of-a-key-0123456789")
    sandbox.give(key)
    demo: dict[str, Any] = {
        "upstream": "https://demo.example",
        "credential_key": f"file://{key}",
        "env_var": "DEMO_KEY",
        "endpoint_rules": [{"method": "GET", "path": "/user"}],
    }
    profile = {"network": {"credentials": ["demo"], "custom_credentials": {"demo": demo}}}
    with session(sandbox, CONNECTING, profile=profile):
        file = sandbox.user.home / "profile.json"
        unasked = nono(sandbox, "allow", "demo:post:/issues", "--save")
        assert unasked.returncode == 1
        assert json.loads(file.read_text()) == profile
        saved = nono(sandbox, "allow", "demo:POST:/issues/*", "--save", "--yes")
        assert '"path": "/issues/*"\n' in saved.stderr
        assert saved.stderr.endswith(f"Saved: {file}\n"), saved.stderr
        demo["endpoint_rules"].append({"method": "POST", "path": "/issues/*"})
        assert json.loads(file.read_text()) == profile
        other = nono(sandbox, "allow", "other:GET:/", "--save", "--yes")
        assert (other.returncode, "no service 'other' of its own" in other.stderr) == (1, True)


def test_what_a_profile_would_read_as_more_is_not_saved(sandbox: NonoRun) -> None:
    """A pattern, a variable: the live rule is for one path."""
    with session(sandbox, CONNECTING):
        file = sandbox.user.home / "profile.json"
        before = file.read_text()
        for target in ("/etc/*", "/etc/$HOME"):
            for rule in ("allow", "deny"):
                told = nono(sandbox, rule, target, "--save", "--yes")
                assert "would stand for something else" in told.stderr, (rule, target, told.stderr)
        assert file.read_text() == before
        assert nono(sandbox, "deny", "github:443", "--save", "--yes").returncode == 0
        assert json.loads(file.read_text())["network"]["deny_domain"] == ["github:443"]


def test_what_a_profile_cannot_hold_is_not_saved(sandbox: NonoRun) -> None:
    with session(sandbox, CONNECTING):
        assert "leave out --for" in nono(sandbox, "allow", FAR, "--save", "--for", "1m").stderr
        assert nono(sandbox, "allow", FAR, "--save", "claude-code", "--yes").returncode == 1


def test_several_sessions_are_named(sandbox: NonoRun) -> None:
    with session(sandbox, CONNECTING) as one, session(sandbox, CONNECTING, name="api") as two:
        unclear = nono(sandbox, "allow", FAR)
        assert (unclear.returncode, "2 sessions run: " in unclear.stderr) == (1, True)
        assert nono(sandbox, "allow", FAR, "--session", "api").returncode == 0
        assert (tries(one, FAR), tries(two, FAR) != "403") == ("403", True)
        assert nono(sandbox, "deny", FAR, "--all").returncode == 0
        assert (tries(one, FAR), tries(two, FAR)) == ("403", "403")
        for run in (one, two):
            run.communicate(timeout=TIMEOUT_S)
