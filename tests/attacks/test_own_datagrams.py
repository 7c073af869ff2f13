"""K4, D2: UDP among the command's own sockets, in a network from which no packet leads to anybody else."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import Any

import pytest

from support.canary import Canary
from support.nono_run import NO_NAMESPACES, Ended, NonoRun, program
from support.ports import unused_port
from support.running.needs import has_datagrams

NETNS = "--sandbox-policy=netns"
# Of the documentation (RFC 5737): nobody has it, so it is sent on by the default route, if at all.
FAR = "192.0.2.53"
CALLS = ("connect", "sendto", "sendmsg", "sendmmsg")
RULE = "network.own_datagrams"


def attacked(sandbox: NonoRun, *flags: str) -> tuple[Ended, Any]:
    """Run the attacks. Returns the run and its outcomes, after nobody outside was reached."""
    with Canary() as canary:
        port = canary.tcp("tcp")
        for host in ("0.0.0.0", "::1"):
            canary.udp(f"udp at {host}", host, port)
        run = sandbox.run(program("sending.own_datagrams", port, FAR), flags=flags)
        assert canary.seen() == {}
    return run, run.outcomes()


@pytest.fixture(params=["listener", "netns"])
def flags(request: pytest.FixtureRequest, sandbox: NonoRun) -> tuple[str, ...]:
    """Return the options of each rung that has UDP."""
    if request.param == "netns":
        return (NETNS,)
    if not has_datagrams(sandbox.user.uid):
        pytest.skip("no network of its own here for a run with a listener")
    return ()


def test_udp_reaches_the_commands_own_sockets_and_nobody_else(
    sandbox: NonoRun, flags: tuple[str, ...]
) -> None:
    run, outcomes = attacked(sandbox, *flags)
    assert outcomes["flags"] == [True, False, True]
    assert set(outcomes["inside"].values()) == {"ok"}
    assert (outcomes["many"], outcomes["abandoned"]) == ("ok", "ok")
    sent = {
        name: what
        for name, what in outcomes["outward"].items()
        if name.endswith((":127.0.0.1", " 127.0.0.1", " ::1"))
    }
    # The first may fail for the answer to it: nobody listens there.
    assert set(sent.values()) <= {"ok", "ECONNREFUSED"}
    # On netns the command has all of loopback, on which nobody else listens.
    resolver = {outcomes["outward"][f"{call} 127.0.0.53"] for call in CALLS}
    assert resolver <= ({"ok", "ECONNREFUSED"} if flags else {"ENETUNREACH"})
    far = {name: what for name, what in outcomes["outward"].items() if name.endswith((FAR, ".255"))}
    assert set(far.values()) <= {"ENETUNREACH", "EACCES"}  # the last: a broadcast
    if not flags:
        denied = {(each["target"], each["rule"]) for each in run.denied if each["rule"] == RULE}
        expected = {f"udp:{FAR}", "udp:255.255.255.255", f"dns:{FAR}"}
        assert {target for target, _ in denied} == expected
        assert outcomes["look-up"] == "ENETUNREACH"


def test_the_network_of_udp_is_not_the_commands_to_configure(
    sandbox: NonoRun, flags: tuple[str, ...]
) -> None:
    _, outcomes = attacked(sandbox, *flags)
    refused = {*outcomes["configures"].values(), outcomes["firewall"], outcomes["its network"]}
    # The others: there is no such thing in this kernel.
    assert refused <= {"EPERM", "ENOPROTOOPT", "ENOTTY", "ENOTSUP", "ENOPKG"}
    assert "EPERM" in refused
    assert outcomes["other protocols"] == ["EPERM"] * 3


@pytest.mark.needs("listener")
@pytest.mark.parametrize("namespaces", [True, False])
def test_udp_takes_namespaces_of_the_runs_own(namespaces: bool, sandbox: NonoRun) -> None:
    """Without them an ordinary user's command would have all capabilities over a network that nono makes."""
    if namespaces and not has_datagrams(sandbox.user.uid):
        pytest.skip("no network of its own here")
    run = sandbox.run(["/usr/bin/python3", "-c", SOCKET], flags=[] if namespaces else [NO_NAMESPACES])
    assert (run.exit_code == 0) is namespaces, run.stderr
    denied = [(event["target"], event["rule"]) for event in run.denied]
    refused = ("socket(family=2, type=2, protocol=0)", "network.static_filter")
    assert denied == ([] if namespaces else [refused])
    for event in run.denied:
        assert "no namespaces of its own" in event["hint"]


LEAVES = "import os; os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNET); "


@pytest.mark.needs("user namespaces")
@pytest.mark.parametrize("leaves", [True, False])
def test_who_has_made_a_network_is_given_no_socket_of_another(leaves: bool, sandbox: NonoRun) -> None:
    """Bubblewrap would take its `lo` for its own, and Codex warns of what fails then."""
    if not has_datagrams(sandbox.user.uid):
        pytest.skip("no network of its own here")
    run = sandbox.run([sys.executable, "-I", "-S", "-c", (LEAVES if leaves else "") + SOCKET])
    assert (run.exit_code == 0) is not leaves, run.stderr
    targets = [event["target"] for event in run.denied]
    assert targets == (["socket(family=2, type=2, protocol=0)"] if leaves else [])
    for event in run.denied:
        assert "a network that the command itself has made" in event["hint"]


SOCKET = "import socket; socket.socket(type=socket.SOCK_DGRAM)"
LISTENS = """
import socket, sys
own = socket.socket(type=socket.SOCK_DGRAM)
own.bind(("127.0.0.1", int(sys.argv[1])))
print("bound", flush=True)
sys.stdin.read()
own.setblocking(False)
try: print(own.recv(9))
except BlockingIOError: print("nothing")
"""
SENDS = """
import socket, sys
print(socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", int(sys.argv[1]))))
"""


def test_two_runs_do_not_reach_each_other_by_udp(sandbox: NonoRun, flags: tuple[str, ...]) -> None:
    port = str(unused_port())
    listens = ["/usr/bin/python3", "-c", LISTENS, port]
    with sandbox.started(listens, flags=flags) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "bound\n"
        assert sandbox.run(["/usr/bin/python3", "-c", SENDS, port], flags=flags).stdout == "1\n"
        said, _ = first.communicate(timeout=60)
    assert said == "nothing\n"


def test_it_reaches_itself_by_udp_outside(sandbox: NonoRun) -> None:
    port = str(unused_port())
    with sandbox.started(["/usr/bin/python3", "-c", LISTENS, port], sandboxed=False) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "bound\n"
        subprocess.run(["/usr/bin/python3", "-c", SENDS, port], check=True, timeout=60, capture_output=True)
        assert first.communicate(timeout=60)[0] == "b'x'\n"


PASSED_IN = """
import os, socket, sys
own = socket.socket(type=socket.SOCK_DGRAM)
with socket.socket(socket.AF_UNIX) as client:
    client.connect(sys.argv[1])
    (number,) = socket.recv_fds(client, 1, 1)[1]
given = socket.socket(fileno=number)
for attempt in (lambda: given.connect(("127.0.0.1", int(sys.argv[2]))), lambda: given.bind(("127.0.0.1", 0))):
    try: print(attempt())
    except OSError as error: print(os.strerror(error.errno))
"""


@pytest.mark.needs("listener")
def test_a_udp_socket_that_a_service_passes_in_is_not_taken_for_one_of_its_own(sandbox: NonoRun) -> None:
    if not has_datagrams(sandbox.user.uid):
        pytest.skip("no network of its own here")
    path = sandbox.project / "service"
    with (
        Canary() as canary,
        socket.socket(socket.AF_UNIX) as service,
        socket.socket(type=socket.SOCK_DGRAM) as passed,
    ):
        service.bind(str(path))
        path.chmod(0o777)
        service.listen()
        port = canary.udp("stranger", port=canary.tcp("stranger"))
        command = ["/usr/bin/python3", "-c", PASSED_IN, str(path), str(port)]
        with sandbox.started(command, flags=[f"--allow-unix-socket={path}"]) as run:
            client, _ = service.accept()
            with client:
                socket.send_fds(client, [b"x"], [passed.fileno()])
            said, errors = run.communicate(timeout=60)
        assert canary.seen() == {}
    path.unlink()
    assert said.splitlines() == ["Permission denied"] * 2, errors
