"""K7: a port that is granted opens what its flag says, at the addresses it says, and nothing beside it."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count, islice

import pytest

from support.canary import Canary
from support.kernelsim.kernel import Kernel
from support.nono_run import PROXY_ONLY, NonoRun, program
from support.ports import unused_port
from support.private_network import PRIVATE_ADDRESS, can_be_made, private_network

TRIES = 2000  # at what depends on who of two is sooner; on a busy machine one of them rarely is
BLOCKED: Mapping[str, object] = {"network": {"block": True}}
OPEN: Mapping[str, object] = {}
restricted = pytest.mark.parametrize("profile", [PROXY_ONLY, BLOCKED], ids=["with the proxy", "blocked"])


def hosts() -> dict[str, str]:
    """Map each (family, host) that is asked for to the address that listens."""
    found = {"tcp 127.0.0.1": "127.0.0.1", "tcp 127.0.0.2": "127.0.0.2", "tcp6 ::1": "::1"}
    if can_be_made():
        found[f"tcp {PRIVATE_ADDRESS}"] = PRIVATE_ADDRESS
    return found


@pytest.mark.needs("listener")
@restricted
def test_an_open_port_is_reached_on_loopback_only(sandbox: NonoRun, profile: Mapping[str, object]) -> None:
    with private_network(), Canary() as canary:
        port = canary.tcp("127.0.0.1")
        beside = canary.tcp("beside")
        for host in list(hosts().values())[1:]:
            canary.tcp(host, host, port)
        asked = [[*name.split(), port] for name in hosts()] + [["tcp6", "::ffff:127.0.0.1", port]]
        canary.start()
        command = program("sockets.addresses", json.dumps([*asked, ["tcp", "localhost", beside]]))
        run = sandbox.run(command, profile=profile, flags=[f"--open-port={port}"])
        seen = canary.seen()
    outcomes = run.outcomes()
    loopback = {name for name in outcomes if "127.0.0." in name or "::1" in name}
    assert {outcomes[name] for name in loopback} == {"ok"}
    assert {outcomes[name] for name in outcomes if name not in loopback} == {"EACCES"}
    assert seen == {"127.0.0.1": 2, "127.0.0.2": 1, "::1": 1}
    assert ("127.0.0.1", beside) in run.denied_targets()
    assert (PRIVATE_ADDRESS, port) in run.denied_targets() or not can_be_made()
    rules = {event["rule"] for event in run.allowed if event["port"] == port}
    assert rules == {"network.open_port"}


@pytest.mark.needs("listener")
@pytest.mark.parametrize("profile", [PROXY_ONLY, BLOCKED, OPEN], ids=["with the proxy", "blocked", "open"])
def test_a_connect_port_is_reached_on_every_address(sandbox: NonoRun, profile: Mapping[str, object]) -> None:
    with private_network(), Canary() as canary:
        port = canary.tcp("127.0.0.1")
        beside = canary.tcp("beside")
        for host in list(hosts().values())[1:]:
            canary.tcp(host, host, port)
        asked = [[*name.split(), port] for name in hosts()] + [["tcp", "localhost", beside]]
        canary.start()
        flags = [f"--allow-connect-port={port}"]
        run = sandbox.run(program("sockets.addresses", json.dumps(asked)), flags=flags, profile=profile)
        serve = program("sockets.serve_ports", json.dumps([["127.0.0.3", port]]))
        served = sandbox.run(serve, flags=flags, profile=profile)
        seen = canary.seen()
    outcomes = run.outcomes()
    assert {outcomes[name] for name in hosts()} == {"ok"}
    assert outcomes["tcp localhost"] == "EACCES"
    assert seen == dict.fromkeys(hosts().values(), 1)
    assert {event["rule"] for event in run.allowed if event["port"] == port} == {"network.connect_port"}
    # With the proxy any port of loopback may be served: tests/attacks/test_own_servers.py.
    is_blocked = profile is BLOCKED
    assert is_blocked <= (served.outcomes() == {f"127.0.0.3 {port}": "EACCES"})


@pytest.mark.needs("listener")
def test_only_a_listen_port_is_served_beyond_loopback(sandbox: NonoRun) -> None:
    """With the proxy the address of all is narrowed to loopback: tests/attacks/test_own_servers.py."""
    opened, listened, beside = unused_port(), unused_port(), unused_port()
    asked = [[host, port] for host in ("127.0.0.1", "::1", "0.0.0.0", "::") for port in (opened, listened)]
    command = program("sockets.serve_ports", json.dumps([*asked, ["127.0.0.1", beside]]))
    run = sandbox.run(command, profile=BLOCKED, flags=[f"--open-port={opened}", f"--listen-port={listened}"])
    outcomes = run.outcomes()
    refused = {f"0.0.0.0 {opened}", f":: {opened}", f"127.0.0.1 {beside}"}
    assert {name for name, outcome in outcomes.items() if outcome == "EACCES"} == refused
    assert {outcomes[name] for name in outcomes if name not in refused} == {"ok"}
    assert {("0.0.0.0", opened), ("::", opened), ("127.0.0.1", beside)} <= run.denied_targets()


KERNELS = {
    # Who checks: the supervisor, whatever the ABI; Landlock, which sees ports; or nobody.
    "listener": Kernel(landlock_abi=3),
    "landlock": Kernel(notify_busy=True, landlock_abi=4),
    "neither": Kernel(notify_busy=True, landlock_abi=3),
}


@pytest.mark.parametrize(
    "by",
    [pytest.param(by, marks=pytest.mark.needs("listener") if by == "listener" else ()) for by in KERNELS],
)
def test_ports_without_a_proxy_are_held_by_what_this_kernel_has(sandbox: NonoRun, by: str) -> None:
    with private_network(), Canary() as canary:
        port = canary.tcp("127.0.0.1")
        beside = canary.tcp("beside")
        asked = [["tcp", "127.0.0.1", port], ["tcp", "localhost", beside]]
        if can_be_made():
            canary.tcp("elsewhere", PRIVATE_ADDRESS, port)
            asked.append(["tcp", PRIVATE_ADDRESS, port])
        canary.start()
        command = program("sockets.addresses", json.dumps(asked))
        flags = [f"--open-port={port}"]
        run = sandbox.run(command, profile=BLOCKED, flags=flags, wrapper=KERNELS[by].command([]))
        seen = canary.seen()
    if by == "neither":
        assert (run.exit_code, run.stdout, seen) == (1, "", {})
        assert "requires V4+" in run.stderr
        return
    outcomes = run.outcomes()
    assert (outcomes["tcp 127.0.0.1"], outcomes["tcp localhost"]) == ("ok", "EACCES")
    # Landlock lets every host be reached on that port, and that is said before the start.
    assert seen.get("elsewhere", 0) == (1 if by == "landlock" and can_be_made() else 0)
    assert ("only the port of a connection is checked" in run.stderr) == (by == "landlock")


@pytest.mark.needs("listener")
@pytest.mark.parametrize("to", ["an open port", "the proxy"])
def test_who_connected_to_an_open_port_is_not_admitted_to_the_proxy(sandbox: NonoRun, to: str) -> None:
    """A stranger takes over the source port of a connection that is gone: only the proxy's own are known."""
    refused = b"HTTP/1.1 403 Forbidden: this conn"
    with answers_to_a_stranger(sandbox, to) as answers:
        if to != "the proxy":
            assert next(answers).startswith(refused)
            return
        # Who comes from an address that was connected to the proxy is taken for the command, if that was
        # reset before the proxy looked whose it is; a token is needed all the same.
        for answer in islice(answers, TRIES):
            if answer.startswith(b"HTTP/1.1 407 "):
                return
            assert answer.startswith(refused)
    pytest.fail(f"the proxy looked in time {TRIES} times")


@contextmanager
def answers_to_a_stranger(sandbox: NonoRun, to: str) -> Iterator[Iterator[bytes]]:
    """Yield the answers to one stranger after another, each after another connection of the command's."""
    source, proxy_port = unused_port(), unused_port()
    with Canary() as canary:
        opened = canary.tcp("open")
        canary.start()
        port = proxy_port if to == "the proxy" else opened
        flags = [f"--open-port={opened}", f"--listen-port={source}", f"--proxy-port={proxy_port}"]
        with sandbox.started(program("sockets.reused_port", port, source), flags=flags) as run:
            yield (answer_to_a_stranger(run, source) for _ in count())


def answer_to_a_stranger(run: subprocess.Popen[str], source: int) -> bytes:
    assert run.stdin is not None
    assert run.stdout is not None
    run.stdin.write("connect\n")
    run.stdin.flush()
    said = json.loads(run.stdout.readline())
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # for the next one
        stranger.bind(("127.0.0.1", source))
        stranger.connect(tuple(said["proxy"]))
        stranger.settimeout(5)
        with suppress(ConnectionError):
            stranger.sendall(b"GET http://x.example/ HTTP/1.1\r\nHost: x.example\r\n\r\n")
        with suppress(ConnectionError):
            return stranger.recv(64)
    return b""
