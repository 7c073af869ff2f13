"""K11 and its relatives: no detour through another call, number, process or namespace ends at a stranger."""

from __future__ import annotations

import os
import socket

import pytest

from nono.kernel.uapi.process import PIDFD_THREAD
from support.canary import Canary
from support.nono_run import NonoRun, program
from support.ports import unused_port

REFUSED = {
    "listen unbound": "EACCES",
    "bind to a late port": "EACCES",
    "AF_UNSPEC": "EACCES",
    "AF_UNSPEC of two bytes": "EACCES",
    "a pipe": "ENOTSOCK",
    "a number that is not open": "EBADF",
    "dup2 over a connected socket": "EACCES",
    "dup2 over a high number": "EACCES",
    "SCM_RIGHTS": "EACCES",
    "own descriptor table": "EACCES",
    "vfork": "EACCES",
    "new namespaces": "EACCES",
}
OWN_TABLE = "own descriptor table, to the proxy"
WORKS = (
    "dup2 over a connected socket, to the proxy",
    "SCM_RIGHTS, to the proxy",
    OWN_TABLE,
    "vfork, to the proxy",
    "stream pair",
    "bind to port 0",
)
SAME_WITHOUT_NONO = {"a pipe": "ENOTSOCK", "a number that is not open": "EBADF"}


def _has_pidfds_of_threads() -> bool:
    """Return False before Linux 6.9, where a thread with a table of its own is not served."""
    try:
        os.close(os.pidfd_open(os.getpid(), PIDFD_THREAD))
    except OSError:
        return False
    return True


@pytest.mark.needs("user namespaces")
@pytest.mark.needs("listener")
def test_detours_reach_the_proxy_but_no_stranger(sandbox: NonoRun) -> None:
    with Canary() as canary:
        port = canary.tcp("stranger")
        run = sandbox.run(program("sockets.socket_calls", port))
        assert canary.seen() == {}
    outcomes = run.outcomes()
    assert {name: outcomes[name] for name in REFUSED} == REFUSED
    works = dict.fromkeys(WORKS, "ok") | ({} if _has_pidfds_of_threads() else {OWN_TABLE: "EBADF"})
    assert {name: outcomes[name] for name in WORKS} == works
    assert {("0.0.0.0", None), ("127.0.0.1", port)} <= run.denied_targets()
    assert sum(event["port"] == port for event in run.denied) == 6


@pytest.mark.needs("user namespaces", "io_uring")
def test_the_detours_lead_to_the_stranger_without_nono(sandbox: NonoRun) -> None:
    with Canary() as canary:
        port, proxy = canary.tcp("stranger"), canary.tcp("proxy")
        environment = {"HTTP_PROXY": f"http://127.0.0.1:{proxy}"}
        canary.start()
        outcomes = sandbox.bare(program("sockets.socket_calls", port), environment=environment).outcomes()
        assert canary.seen()["stranger"] == 5
    del outcomes["new namespaces"]  # nobody listens in there, and not every host lets one make them
    assert {name: outcome for name, outcome in outcomes.items() if outcome != "ok"} == SAME_WITHOUT_NONO


@pytest.mark.needs("listener")
@pytest.mark.parametrize("granted", [False, True], ids=["another port", "the granted port"])
def test_only_a_granted_port_of_the_system_is_listened_on(granted: bool, sandbox: NonoRun) -> None:
    """The others may be served on loopback: tests/attacks/test_own_servers.py."""
    port, other = unused_port(), 987
    run = sandbox.run(
        program("sockets.listening", port if granted else other), flags=[f"--listen-port={port}"]
    )
    assert run.outcomes() == ({"listen": "ok"} if granted else {"listen": "EACCES"})
    assert [(event["port"], event["rule"]) for event in run.denied] == (
        [] if granted else [(other, "network.listen_port")]
    )


@pytest.mark.needs("listener")
def test_an_unconnected_tcp_socket_on_stdin_connects_to_the_proxy_only(sandbox: NonoRun) -> None:
    with Canary() as canary, socket.socket() as inherited:
        port = canary.tcp("stranger")
        run = sandbox.run(program("sockets.inherited", port), stdin=inherited.fileno())
        assert canary.seen() == {}
    assert run.outcomes() == {"stranger": "EACCES", "proxy": "ok"}
    assert ("127.0.0.1", port) in run.denied_targets()


@pytest.mark.parametrize(
    ("family", "kind"),
    [
        pytest.param(socket.AF_INET, socket.SOCK_DGRAM, id="udp"),
        pytest.param(socket.AF_UNIX, socket.SOCK_DGRAM, id="unix datagram"),
    ],
)
def test_a_datagram_socket_on_stdin_is_a_reason_not_to_start(
    family: socket.AddressFamily, kind: socket.SocketKind, sandbox: NonoRun
) -> None:
    with socket.socket(family, kind) as inherited:
        run = sandbox.run(["true"], stdin=inherited.fileno())
    assert run.exit_code == 126
    assert "standard stream 0 is a datagram or raw socket" in run.stderr


@pytest.mark.needs("listener")
@pytest.mark.parametrize(
    ("family", "exit_code"), [(socket.AF_INET, 0), (socket.AF_UNIX, 126)], ids=["udp", "unix datagram"]
)
def test_with_an_open_network_a_datagram_socket_of_unix_alone_is_one(
    family: socket.AddressFamily, exit_code: int, sandbox: NonoRun
) -> None:
    mediated = {"linux": {"af_unix_mediation": "pathname"}}
    with socket.socket(family, socket.SOCK_DGRAM) as inherited:
        run = sandbox.run(["true"], profile=mediated, stdin=inherited.fileno())
    assert run.exit_code == exit_code, run.stderr


def test_a_stream_pair_on_stdin_is_talked_through(sandbox: NonoRun) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b"hello")
        ours.shutdown(socket.SHUT_WR)
        assert sandbox.run(["cat"], stdin=theirs.fileno()).stdout == "hello"
