"""K7: a port that is granted opens what its flag says, at the addresses it says, and nothing beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

import pytest

from support.canary import Canary, unused_port
from support.nono_run import PROXY_ONLY, NonoRun, program
from support.private_network import PRIVATE_ADDRESS, private_network

BLOCKED: Mapping[str, object] = {"network": {"block": True}}
OPEN: Mapping[str, object] = {}
restricted = pytest.mark.parametrize("profile", [PROXY_ONLY, BLOCKED], ids=["with the proxy", "blocked"])


def hosts() -> dict[str, str]:
    """Addresses by how they are asked for: (family, host) to where it listens."""
    found = {"tcp 127.0.0.1": "127.0.0.1", "tcp 127.0.0.2": "127.0.0.2", "tcp6 ::1": "::1"}
    if os.geteuid() == 0:
        found[f"tcp {PRIVATE_ADDRESS}"] = PRIVATE_ADDRESS
    return found


@restricted
def test_an_open_port_is_reached_on_loopback_and_on_no_other_address(
    sandbox: NonoRun, profile: Mapping[str, object]
) -> None:
    with private_network(), Canary() as canary:
        port = canary.tcp("127.0.0.1")
        beside = canary.tcp("beside")
        for host in list(hosts().values())[1:]:
            canary.tcp(host, host, port)
        asked = [[*name.split(), port] for name in hosts()] + [["tcp6", "::ffff:127.0.0.1", port]]
        canary.start()
        command = program("addresses", json.dumps([*asked, ["tcp", "localhost", beside]]))
        run = sandbox.run(command, profile=profile, flags=[f"--open-port={port}"])
        seen = canary.seen()
    outcomes = run.outcomes()
    loopback = {name for name in outcomes if "127.0.0." in name or "::1" in name}
    assert {outcomes[name] for name in loopback} == {"ok"}
    assert {outcomes[name] for name in outcomes if name not in loopback} == {"EACCES"}
    assert seen == {"127.0.0.1": 2, "127.0.0.2": 1, "::1": 1}
    assert ("127.0.0.1", beside) in run.denied_targets()
    assert (PRIVATE_ADDRESS, port) in run.denied_targets() or os.geteuid() != 0
    rules = {event["rule"] for event in run.allowed if event["port"] == port}
    assert rules == {"network.open_port"}


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
        run = sandbox.run(program("addresses", json.dumps(asked)), flags=flags, profile=profile)
        serve = program("serve_ports", json.dumps([["127.0.0.3", port]]))
        served = sandbox.run(serve, flags=flags, profile=profile)
        seen = canary.seen()
    outcomes = run.outcomes()
    assert {outcomes[name] for name in hosts()} == {"ok"}
    assert outcomes["tcp localhost"] == "EACCES"
    assert seen == dict.fromkeys(hosts().values(), 1)
    assert {event["rule"] for event in run.allowed if event["port"] == port} == {"network.connect_port"}
    assert served.outcomes() == {f"127.0.0.3 {port}": "EACCES"}


@restricted
def test_an_open_port_is_served_on_loopback_and_a_listen_port_everywhere(
    sandbox: NonoRun, profile: Mapping[str, object]
) -> None:
    opened, listened, beside = unused_port(), unused_port(), unused_port()
    asked = [[host, port] for host in ("127.0.0.1", "::1", "0.0.0.0", "::") for port in (opened, listened)]
    command = program("serve_ports", json.dumps([*asked, ["127.0.0.1", beside]]))
    run = sandbox.run(command, profile=profile, flags=[f"--open-port={opened}", f"--listen-port={listened}"])
    outcomes = run.outcomes()
    refused = {f"0.0.0.0 {opened}", f":: {opened}", f"127.0.0.1 {beside}"}
    assert {name for name, outcome in outcomes.items() if outcome == "EACCES"} == refused
    assert {outcomes[name] for name in outcomes if name not in refused} == {"ok"}
    assert {("0.0.0.0", opened), ("::", opened), ("127.0.0.1", beside)} <= run.denied_targets()
