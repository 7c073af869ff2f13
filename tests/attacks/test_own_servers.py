"""K7: the command's own servers on loopback stay its own: nobody else's is reached through their ports."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.canary import Canary
from support.nono_run import AuditEvent, NonoRun, program
from support.ports import unused_port

LOCAL = ["127.0.0.1", "127.0.0.2", "::1", "::ffff:127.0.0.1"]
OF_ALL = ["0.0.0.0", "::"]


@dataclass
class Inside:
    """A program in the sandbox that serves and connects as it is told."""

    run: subprocess.Popen[str]
    sandbox: NonoRun
    before: set[Path]

    def asks(self, *action: object) -> tuple[str, int]:
        """Have the command act. Returns the outcome, and the port of the server of that name."""
        assert self.run.stdin is not None
        assert self.run.stdout is not None
        self.run.stdin.write(json.dumps(action) + "\n")
        self.run.stdin.flush()
        line = self.run.stdout.readline()
        assert line, self.run.communicate()[1]
        result, port = json.loads(line)
        return result, port

    def serves(self, name: str, host: str = "127.0.0.1", port: int = 0, *more: object) -> int:
        result, port = self.asks("serve", name, host, port, *more)
        assert result == "ok"
        return port

    def connects(self, host: str, port: int) -> str:
        return self.asks("connect", "", host, port)[0]

    def ends(self) -> list[AuditEvent]:
        """End the command. Returns its network decisions."""
        self.run.communicate(timeout=30)
        events = self.sandbox.events_since(self.before)
        return [event["event"] for event in events if event["type"] == "network"]


@contextmanager
def inside(sandbox: NonoRun, *flags: str) -> Iterator[Inside]:
    before = set(sandbox.logs())
    with sandbox.started(program("sockets.own_servers"), flags=flags) as run:
        yield Inside(run, sandbox, before)


@pytest.fixture(name="command")
def _command(sandbox: NonoRun) -> Iterator[Inside]:
    with inside(sandbox) as started:
        yield started


@pytest.mark.needs("listener")
@pytest.mark.parametrize("host", [*LOCAL, *OF_ALL])
def test_a_server_of_its_own_is_reached(command: Inside, host: str) -> None:
    port = command.serves("own", host)
    reached = "127.0.0.1" if host in OF_ALL else host
    assert command.connects(reached, port) == "ok"
    rules = {event["rule"] for event in command.ends() if event["port"] == port}
    assert rules == {"network.own_server"}


@pytest.mark.needs("listener")
def test_a_server_that_accepts_one_connection_and_ends_is_reached(command: Inside) -> None:
    assert command.asks("once", "", 300)[0] == "ok"


@pytest.mark.needs("listener")
def test_a_server_of_somebody_else_is_refused(command: Inside) -> None:
    with Canary() as canary:
        port = canary.tcp("foreign")
        canary.start()
        command.serves("own")
        assert command.connects("127.0.0.1", port) == "EACCES"
        assert command.connects("0.0.0.0", port) == "EACCES"
        seen = canary.seen()
    assert seen == {}
    denied = [event for event in command.ends() if event["decision"] == "deny"]
    assert ("127.0.0.1", port) in {(event["target"], event["port"]) for event in denied}
    assert f"--open-port {port}" in denied[0]["hint"]


@pytest.mark.needs("listener")
def test_where_nobody_listens_a_connect_is_refused_as_by_the_kernel(command: Inside) -> None:
    assert command.connects("127.0.0.1", unused_port()) == "ECONNREFUSED"
    assert [event for event in command.ends() if event["decision"] == "deny"] == []


@pytest.mark.needs("listener")
@pytest.mark.parametrize("host", OF_ALL)
def test_a_server_for_all_addresses_is_bound_to_loopback_alone(command: Inside, host: str) -> None:
    port = command.serves("own", host)
    with socket.create_connection(("127.0.0.1", port), timeout=5):
        pass
    with socket.socket() as probe:  # the address of all would be taken at 127.0.0.9 too
        probe.bind(("127.0.0.9", port))


@pytest.mark.needs("listener")
def test_a_server_for_one_address_of_this_host_is_bound_to_loopback_alone(command: Inside) -> None:
    """Node's get-port, detect-port and portfinder take a port that cannot be bound at each for taken."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.53", 9))  # sends nothing
        except OSError:
            pytest.skip("this host has no address but loopback")
        host = probe.getsockname()[0]
    port = command.serves("own", host)
    with socket.create_connection(("127.0.0.1", port), timeout=5):
        pass
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, port), timeout=5)
    assert command.asks("serve", "elsewhere", "192.0.2.53", 0)[0] == "EADDRNOTAVAIL"
    assert command.asks("serve", "system", host, 81)[0] == "EACCES"
    (denied,) = [event for event in command.ends() if event["decision"] == "deny"]
    assert (denied["target"], denied["port"], denied["hint"]) == (host, 81, "`--listen-port 81`")


@pytest.mark.needs("listener")
def test_a_port_of_the_system_takes_a_grant(command: Inside) -> None:
    assert command.asks("serve", "own", "127.0.0.1", 81)[0] == "EACCES"
    (denied,) = [event for event in command.ends() if event["decision"] == "deny"]
    assert (denied["port"], denied["hint"]) == (81, "`--open-port 81`")


@pytest.mark.needs("listener")
def test_a_listen_port_is_reached_by_the_command_itself(sandbox: NonoRun) -> None:
    port = unused_port()
    with inside(sandbox, f"--listen-port={port}") as command:
        command.serves("own", "0.0.0.0", port)
        assert command.connects("127.0.0.1", port) == "ok"
        assert command.connects("127.0.0.5", port) == "ok"


@pytest.mark.needs("listener")
@pytest.mark.parametrize("foreign", ["127.0.0.2", "::1"])
def test_another_address_of_the_same_port_is_not_its_own(command: Inside, foreign: str) -> None:
    port = command.serves("own")
    with Canary() as canary:
        canary.tcp("foreign", foreign, port)
        canary.start()
        assert command.connects(foreign, port) == "EACCES"
        assert command.connects("127.0.0.1", port) == "ok"
        assert canary.seen() == {}


@pytest.mark.needs("listener")
@pytest.mark.parametrize("bound", ["the same", "0.0.0.0"])
def test_an_address_of_this_host_leads_to_a_server_of_its_own(command: Inside, bound: str) -> None:
    """Such a bind is narrowed to loopback, where the connect has to follow it."""
    address = address_of_this_host()
    port = command.serves("own", address if bound == "the same" else bound)
    assert command.connects(address, port) == "ok"
    assert {(each["decision"], each["target"]) for each in command.ends()} == {("allow", "127.0.0.1")}


@pytest.mark.needs("listener")
def test_an_address_of_this_host_where_somebody_else_listens_is_refused(command: Inside) -> None:
    address = address_of_this_host()
    port = command.serves("own")
    with Canary() as canary:
        canary.tcp("foreign", address, port)
        canary.start()
        assert command.connects(address, port) == "EACCES"
        assert canary.seen() == {}


@pytest.mark.needs("listener")
def test_another_hosts_address_leads_to_no_server_of_its_own(command: Inside) -> None:
    port = command.serves("own")
    assert command.connects("198.51.100.7", port) == "EACCES"
    assert command.connects("2001:db8::7", port) == "EACCES"
    assert command.connects(address_of_this_host(), unused_port()) == "EACCES"


def address_of_this_host() -> str:
    """Return an address beside loopback's; it is looked up without sending anything."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.7", 9))
        except OSError:
            pytest.skip("this host has no address beside loopback's")
        host: str = probe.getsockname()[0]
        return host


@pytest.mark.needs("listener")
@pytest.mark.parametrize("ended", ["close", "stop"])
def test_a_port_that_somebody_took_over_is_refused(command: Inside, ended: str) -> None:
    port = command.serves("own")
    assert command.connects("127.0.0.1", port) == "ok"
    assert command.asks(ended, "own")[0] == "ok"
    with Canary() as canary:
        canary.tcp("successor", port=port)
        canary.start()
        assert command.connects("127.0.0.1", port) == "EACCES"
        assert command.connects("::ffff:127.0.0.1", port) == "EACCES"
        assert canary.seen() == {}


@contextmanager
def sharing(sandbox: NonoRun, port: int = 0) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Yield a program of the same user that shares its port (SO_REUSEPORT), as the kernel allows."""
    code = (
        "import socket, sys; s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1);"
        "s.bind(('127.0.0.1', int(sys.argv[1]))); s.listen(); print(s.getsockname()[1], flush=True);"
        "s.settimeout(30); s.accept(); print('reached', flush=True); s.accept()"
    )
    argv = sandbox.user.command(["/usr/bin/python3", "-I", "-c", code, str(port)])
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as foreign:
        try:
            assert foreign.stdout is not None
            yield foreign, int(foreign.stdout.readline())
        finally:
            foreign.kill()


@pytest.mark.needs("listener")
def test_a_port_that_somebody_shares_is_not_listened_on(sandbox: NonoRun, command: Inside) -> None:
    """The command would get half of what is meant for the other program."""
    with sharing(sandbox) as (_, port):
        assert command.asks("serve", "own", "127.0.0.1", port, {"shares": True})[0] == "EADDRINUSE"
        assert command.connects("127.0.0.1", port) == "EACCES"


@pytest.mark.needs("listener")
def test_a_port_that_somebody_came_to_share_is_refused(sandbox: NonoRun, command: Inside) -> None:
    port = command.serves("own", "127.0.0.1", 0, {"shares": True})
    assert command.connects("127.0.0.1", port) == "ok"
    with sharing(sandbox, port) as (foreign, _):
        assert {command.connects("127.0.0.1", port) for _ in range(20)} == {"EACCES"}
        foreign.kill()
        assert foreign.stdout is not None
        assert foreign.stdout.read() == ""


@pytest.mark.needs("listener")
def test_a_connect_that_waits_for_a_full_backlog_does_not_reach_who_comes_after(command: Inside) -> None:
    """The kernel would send its SYN again after a second, to whoever listens then."""
    port = command.serves("own", "127.0.0.1", 0, 0)
    started = [command.asks("begin", "", "127.0.0.1", port)[0] for _ in range(6)]
    assert started[0] == "EINPROGRESS"
    assert started[-1] == "EAGAIN"
    command.asks("close", "own")
    with Canary() as canary:
        canary.tcp("successor", port=port)
        canary.start()
        time.sleep(3.5)  # two of the kernel's retries
        assert canary.seen() == {}


def test_without_nono_such_a_connect_reaches_who_comes_after(sandbox: NonoRun) -> None:
    with sandbox.started(program("sockets.own_servers"), sandboxed=False) as run:
        command = Inside(run, sandbox, set())
        port = command.serves("own", "127.0.0.1", 0, 0)
        for _ in range(6):
            command.asks("begin", "", "127.0.0.1", port)
        command.asks("close", "own")
        with Canary() as canary:
            canary.tcp("successor", port=port)
            canary.start()
            deadline = time.monotonic() + 10
            while not canary.seen() and time.monotonic() < deadline:
                time.sleep(0.05)
            assert canary.seen()["successor"] > 0
