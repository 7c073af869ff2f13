"""K2, K7, K8, K9, K10: only the proxy's address can be connected to, however it is spelled."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import SOCK_DGRAM, SOCK_SEQPACKET

import pytest

from support.canary import Canary
from support.nono_run import Ended, NonoRun, program
from support.private_network import PRIVATE_ADDRESS, can_be_made, private_network

BAD_POINTERS = {
    "across the end of the page": "EFAULT",
    "protected page": "EFAULT",
    "NULL": "EFAULT",
    "first page": "EFAULT",
    "kernel half": "EFAULT",
    "not canonical": "EFAULT",
    "last byte": "EFAULT",
    "length 0": "EINVAL",
    "length 1": "EINVAL",
    "length 2": "EINVAL",
    "length 7": "EINVAL",
    "length 129": "EINVAL",
    "length huge": "EINVAL",
    "length negative": "EINVAL",
    "length most negative": "EINVAL",
}


def test_an_address_that_cannot_be_read_fails_as_it_would_without_nono(sandbox: NonoRun) -> None:
    with Canary() as canary:
        port = canary.tcp("elsewhere", "127.0.0.2")
        run = sandbox.run(program("sockets.pointers", port), flags=[f"--proxy-port={port}"])
    with Canary() as canary:
        port = canary.tcp("good")
        canary.start()
        bare = sandbox.bare(program("sockets.pointers", port)).outcomes()
    outcomes = run.outcomes()
    assert {name: outcomes[name] for name in BAD_POINTERS} == BAD_POINTERS
    assert {outcomes[name] for name in outcomes if name.startswith("good")} == {"ok"}
    assert outcomes == bare


@contextmanager
def other_hosts() -> Iterator[tuple[Canary, int, dict[str, tuple[str, str]]]]:
    """Yield canaries on one port of other addresses: (canary, port, name of each in it and its address)."""
    hosts = {"another loopback": ("tcp", "127.0.0.2"), "IPv6 loopback": ("tcp6", "::1")}
    if can_be_made():
        hosts["not loopback"] = ("tcp", PRIVATE_ADDRESS)
    with private_network(), Canary() as canary:
        port = canary.tcp("another loopback", "127.0.0.2")
        for name, (_, host) in hosts.items():
            if name != "another loopback":
                canary.tcp(name, host, port)
        yield canary, port, hosts


@pytest.mark.needs("listener")
def test_the_proxys_port_on_another_host_is_refused(sandbox: NonoRun) -> None:
    """K7: Landlock's port rule alone would let these through."""
    with other_hosts() as (canary, port, hosts):
        asked = [[family, host, port] for family, host in hosts.values()]
        asked += [["tcp6", "::ffff:127.0.0.2", port], ["tcp", "0.0.0.0", port], ["tcp6", "::", port]]
        asked += [["tcp", "127.0.0.1", port], ["tcp6", "::ffff:127.0.0.1", port]]
        flags = [f"--proxy-port={port}"]
        run = sandbox.run(program("sockets.addresses", json.dumps(asked)), flags=flags)
        assert canary.seen() == {}
    permitted = {"tcp 127.0.0.1", "tcp6 ::ffff:127.0.0.1"}
    outcomes = run.outcomes()
    assert {name for name, outcome in outcomes.items() if outcome == "ok"} == permitted
    assert {outcome for outcome in outcomes.values() if outcome != "ok"} == {"EACCES"}
    refused = {str(host).removeprefix("::ffff:") for _, host, _ in asked} - {"127.0.0.1"}
    assert {(host, port) for host in refused} <= run.denied_targets()


def test_the_other_hosts_are_reached_without_nono(sandbox: NonoRun) -> None:
    with other_hosts() as (canary, port, hosts):
        asked = [[family, host, port] for family, host in hosts.values()]
        outcomes = sandbox.bare(program("sockets.addresses", json.dumps(asked))).outcomes()
        assert set(outcomes.values()) == {"ok"}
        assert canary.seen() == dict.fromkeys(hosts, 1)


@contextmanager
def unix_sockets(project: Path) -> Iterator[tuple[Canary, dict[str, str]]]:
    """Yield listeners of every kind in the granted project: (canary, what is asked by its kind)."""
    link, name = project / "link", f"@nono-attack-{os.getpid()}"
    for left in ("stream", "seqpacket", "datagram"):
        (project / left).unlink(missing_ok=True)
    with Canary() as canary:
        canary.unix("stream", project / "stream")
        canary.unix("seqpacket", project / "seqpacket", SOCK_SEQPACKET)
        canary.unix("datagram", project / "datagram", SOCK_DGRAM)
        canary.unix("abstract", "\0" + name[1:])
        link.symlink_to(project / "stream")
        try:
            yield (
                canary,
                {
                    f"stream {project}/stream": "EACCES",
                    f"stream {link}": "EACCES",
                    "stream stream": "EACCES",
                    f"stream /proc/self/cwd/{link.name}": "EACCES",
                    f"seqpacket {project}/seqpacket": "EACCES",
                    f"datagram {project}/datagram": "EPERM",
                    f"stream {name}": "ECONNREFUSED",
                },
            )
        finally:
            link.unlink()


def ask(expected: dict[str, str]) -> list[str]:
    return program("sockets.addresses", json.dumps([[*name.split(" ", 1), 0] for name in expected]))


@pytest.mark.needs("listener")
def test_a_unix_socket_is_refused_by_path_by_link_and_by_name(sandbox: NonoRun) -> None:
    with unix_sockets(sandbox.project) as (canary, expected):
        run = sandbox.run(ask(expected))
        assert run.outcomes() == expected
        assert canary.seen() == {}
    targets = {target for target, _ in run.denied_targets()}
    assert f"unix:{sandbox.project}/stream" in targets
    assert "unix:/proc/self/cwd/link" in targets
    assert "unix:<abstract>" in targets
    assert any(target.startswith("socket(family=1, type=2") for target in targets)
    assert_reasons(run)


def assert_reasons(run: Ended) -> None:
    reasons = {event["reason"] for event in run.denied}
    assert "no matching unix_socket capability" in reasons
    assert "abstract namespace is not covered by pathname capabilities" in reasons


def test_the_unix_sockets_are_reached_without_nono(sandbox: NonoRun) -> None:
    with unix_sockets(sandbox.project) as (canary, expected):
        assert set(sandbox.bare(ask(expected)).outcomes().values()) == {"ok"}
        assert canary.seen() == {"stream": 4, "seqpacket": 1, "datagram": 1, "abstract": 1}


@pytest.mark.parametrize("mode", ["bare", "sandboxed"])
def test_a_unix_pair_of_ones_own_works_with_and_without_nono(mode: str, sandbox: NonoRun) -> None:
    command = program("sockets.socket_calls", 1, "pair")
    run = sandbox.run(command) if mode == "sandboxed" else sandbox.bare(command)
    assert run.outcomes()["stream pair"] == "ok"
