"""K4, K7, K8, K10, K12 to K14 on the rung netns: no way leads from its network to the one outside."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from nono.kernel import landlock
from nono.kernel.capabilities import DANGEROUS
from support.canary import Canary
from support.kernelsim.kernel import Kernel
from support.ladder.launch import children, wait_until
from support.nono_run import NO_NAMESPACES, NonoRun, program
from support.ports import unused_port
from support.running.needs import lacking

NETNS = ("--sandbox-policy=netns",)
# With Landlock's TCP rules beside the namespace, and without: then it is the namespace alone that holds.
BARE_NAMESPACE = Kernel(notify_busy=True, landlock_abi=3)
WRAPPERS = [pytest.param((), id="host")]
if landlock.abi_version() >= 3:
    WRAPPERS.append(pytest.param(BARE_NAMESPACE.command([]), id="Landlock V3"))
# What even root may do, nested in a user namespace of its own: it changes nothing of the network it is in.
NESTED_OF_ROOT = {"nothing, nested", "a new network"}
# A user lists the interfaces of this network, and makes no other (ADR 129).
NESTED_OF_USER = {"nothing, nested", "netlink", "netlink, nested"}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_no_way_leads_back_to_the_network_outside(wrapper: Sequence[str], sandbox: NonoRun) -> None:
    with Canary() as canary:
        port = canary.tcp("stranger")
        run = sandbox.run(program("processes.namespaces", port), flags=NETNS, wrapper=wrapper)
        assert canary.seen() == {}
    outcomes = run.outcomes()
    assert outcomes["network"] != os.readlink("/proc/self/ns/net")
    attempts = outcomes["attempts"]
    assert {attempt["connect"] for attempt in attempts.values()} == {"ECONNREFUSED"}
    nested = NESTED_OF_ROOT if sandbox.user.uid == 0 else NESTED_OF_USER
    harmless = {"nothing"} | (set() if lacking("user namespaces", sandbox.user.uid) else nested)
    assert {name for name, attempt in attempts.items() if attempt["attempt"] == "ok"} == harmless


def test_the_network_outside_is_reached_without_nono(sandbox: NonoRun) -> None:
    with Canary() as canary:
        port = canary.tcp("stranger")
        command = ["sh", "-c", '"$@"; true', "sh", *program("processes.namespaces", port)]
        outcomes = sandbox.bare(command).outcomes()
        assert canary.seen()["stranger"] >= 1
    attempts = outcomes["attempts"]
    assert outcomes["network"] == os.readlink("/proc/self/ns/net")
    assert attempts["nothing"]["connect"] == attempts["open the parent's"]["attempt"] == "ok"
    assert attempts["netlink"]["attempt"] == "ok"


def test_the_command_holds_no_capability_that_came_with_the_namespace(sandbox: NonoRun) -> None:
    sets = sandbox.run(program("processes.namespaces", 9), flags=NETNS).outcomes()["capabilities"]
    forbidden = sum(1 << number for number in DANGEROUS) if sandbox.user.uid == 0 else ~0
    assert set(sets) == {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}
    assert {name: int(held, 16) & forbidden for name, held in sets.items()} == dict.fromkeys(sets, 0)


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_the_port_of_the_proxy_leads_to_nobody_else(wrapper: Sequence[str], sandbox: NonoRun) -> None:
    """K7: Landlock's port rule alone would let the others through."""
    with Canary() as canary:
        port = canary.tcp("another loopback", "127.0.0.2")
        canary.tcp("IPv6 loopback", "::1", port)
        asked = [["tcp", "127.0.0.2", port], ["tcp6", "::1", port], ["tcp", "192.0.2.1", port]]
        asked += [["tcp", "127.0.0.1", port], ["tcp6", "::ffff:127.0.0.1", port]]
        flags = [*NETNS, f"--proxy-port={port}"]
        run = sandbox.run(program("sockets.addresses", json.dumps(asked)), flags=flags, wrapper=wrapper)
        assert canary.seen() == {}
    assert run.outcomes() == {
        "tcp 127.0.0.2": "ECONNREFUSED",
        "tcp6 ::1": "ECONNREFUSED",
        "tcp 192.0.2.1": "ENETUNREACH",
        "tcp 127.0.0.1": "ok",
        "tcp6 ::ffff:127.0.0.1": "ok",
    }


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_only_outside_sockets_with_a_path_are_reached(wrapper: Sequence[str], sandbox: NonoRun) -> None:
    """K8 and K10. The second is the gap that --dry-run -v and the audit log name."""
    name = f"nono-netns-{os.getpid()}"
    (sandbox.project / "stream").unlink(missing_ok=True)
    with Canary() as canary:
        canary.unix("abstract", f"\0{name}")
        canary.unix("path", sandbox.project / "stream")
        asked = program("sockets.addresses", json.dumps([["stream", f"@{name}", 0], ["stream", "stream", 0]]))
        run = sandbox.run(asked, flags=NETNS, wrapper=wrapper)
        assert run.outcomes() == {f"stream @{name}": "ECONNREFUSED", "stream stream": "ok"}
        assert canary.seen() == {"path": 1}
        assert set(sandbox.bare(asked).outcomes().values()) == {"ok"}
    gaps = [event["what"] for event in run.events if event["type"] == "not_enforced"]
    assert any("Unix sockets with a path" in gap for gap in gaps)
    assert not any("abstract" in gap for gap in gaps)


def test_the_listener_of_the_proxy_is_not_inherited(sandbox: NonoRun) -> None:
    """K12."""
    assert set(sandbox.run(program("processes.spy", "descriptors"), flags=NETNS).outcomes()) == {
        "0",
        "1",
        "2",
    }


def test_the_supervisor_cannot_be_read_or_traced(sandbox: NonoRun) -> None:
    """K13 and K14: its sockets are of the network outside."""
    outcomes = sandbox.run(program("processes.spy"), flags=[*NETNS, NO_NAMESPACES]).outcomes()
    calls = ("process_vm_readv", "process_vm_writev", "pidfd_getfd", "PTRACE_SEIZE", "PTRACE_ATTACH")
    assert {name: outcomes[name] for name in calls} == dict.fromkeys(calls, "EPERM")
    files = ("environ", "fd/0", "mem")
    assert {name: outcomes[name] for name in files} == dict.fromkeys(files, "EACCES")


@pytest.mark.parametrize("is_connected", [False, True], ids=["unconnected", "connected"])
def test_an_outside_tcp_socket_on_stdin_prevents_the_start(is_connected: bool, sandbox: NonoRun) -> None:
    with Canary() as canary, socket.socket() as inherited:
        port = canary.tcp("stranger")
        if is_connected:
            inherited.connect(("127.0.0.1", port))
        run = sandbox.run(["true"], flags=NETNS, stdin=inherited.fileno())
        assert sandbox.run(["true"], stdin=inherited.fileno()).exit_code == 0
    assert run.exit_code == 126
    assert "standard stream 0 is a socket of the network outside" in run.stderr


def test_an_unconnected_unix_socket_on_stdin_prevents_the_start(sandbox: NonoRun) -> None:
    with socket.socket(socket.AF_UNIX) as inherited:
        assert sandbox.run(["true"], flags=NETNS, stdin=inherited.fileno()).exit_code == 126


def test_a_socket_pair_on_stdin_is_inherited(sandbox: NonoRun) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b"hello")
        ours.shutdown(socket.SHUT_WR)
        assert sandbox.run(["cat"], flags=NETNS, stdin=theirs.fileno()).stdout == "hello"


def test_nobody_outside_reaches_the_proxy_inside(sandbox: NonoRun) -> None:
    port = unused_port()
    waits = ["sh", "-c", "echo ready; read line; true"]
    for flags, is_reached in (((), True), (NETNS, False)):
        with sandbox.started(waits, flags=[*flags, f"--proxy-port={port}"]) as nono:
            assert nono.stdin is not None
            assert nono.stdout is not None
            assert nono.stdout.readline() == "ready\n"
            with socket.socket() as client:
                assert (client.connect_ex(("127.0.0.1", port)) == 0) == is_reached
            nono.stdin.close()
            assert nono.wait(60) == 0


@pytest.mark.parametrize(
    ("command", "code"),
    [(["true"], 0), (["sh", "-c", "sleep 600 & exit 3"], 3), (["nothing-of-that-name"], 1)],
    ids=["ends", "leaves one", "does not start"],
)
def test_no_process_that_would_keep_the_namespace_is_left_behind(
    command: list[str], code: int, sandbox: NonoRun
) -> None:
    mark = f"NONO_TEST_MARK={os.getpid()}.{sandbox.user.uid}"
    name, _, value = mark.partition("=")
    flags = [*NETNS, f"--listen-port={unused_port()}"]  # so that there is a socket maker as well
    assert sandbox.run(command, flags=flags, environment={name: value}).exit_code == code
    assert marked(mark) == []


def marked(mark: str) -> list[Path]:
    """Return the processes that have it in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark.encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append(process)
    return found


def is_running(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_a_supervisor_that_is_killed_leaves_none_either(sandbox: NonoRun) -> None:
    """K18: the command dies with it, and the maker of sockets ends when nobody asks it any more."""
    flags = [*NETNS, f"--listen-port={unused_port()}"]
    with sandbox.started(["sh", "-c", "echo started; exec cat"], flags=flags) as nono:
        assert nono.stdout is not None
        assert nono.stdout.readline() == "started\n"
        assert len(born := children(nono.pid)) >= 2
        nono.kill()
        assert nono.stdout.read() == ""
    assert wait_until(lambda: not any(map(is_running, born)))


@pytest.mark.root
@pytest.mark.needs("network namespace", "CAP_SYS_PTRACE")  # to see who is in the network
@pytest.mark.parametrize("sandbox", ["root"], indirect=True)
def test_the_maker_of_sockets_holds_no_capability(sandbox: NonoRun) -> None:
    """It stays beside root's command, outside its sandbox."""
    flags = [*NETNS, NO_NAMESPACES, f"--listen-port={unused_port()}"]
    with sandbox.started(["sh", "-c", "echo started; exec cat"], flags=flags) as nono:
        assert nono.stdout is not None
        assert nono.stdout.readline() == "started\n"
        outside = os.readlink("/proc/self/ns/net")
        inside = [pid for pid in children(nono.pid) if os.readlink(f"/proc/{pid}/ns/net") != outside]
        held = {pid: permitted(pid) for pid in inside}
        assert nono.stdin is not None
        nono.stdin.close()
        nono.wait()
    assert len(held) == 2  # the command, and the maker
    assert 0 in held.values()


def permitted(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1], 16) for line in lines if line.startswith("CapPrm"))
