"""Granted ports of a private network: what it serves is reached from here, what is open here from inside."""

from __future__ import annotations

import selectors
import socket
import socketserver
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from nono.supervisor.private_network.port_relay import CONNECTIONS_MAX
from support.nono_run import NonoRun, program
from support.ports import unused_port

LIMIT_S = 20
SENT = b"x" * 1_000_000


@contextmanager
def serving(
    sandbox: NonoRun, address: str, port: int, mode: str, granted: int | None = None
) -> Iterator[None]:
    flags = ["--sandbox-policy=netns", f"--listen-port={granted or port}"]
    with sandbox.started(program("proxy.inbound", address, port, mode), flags=flags) as nono:
        assert nono.stdout is not None
        assert nono.stdout.readline() == "ready\n"
        yield


def ask(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), LIMIT_S) as client:
        client.sendall(SENT)
        client.shutdown(socket.SHUT_WR)
        return client.recv(100)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_what_listens_inside_is_reached_on_the_same_port_outside(address: str, sandbox: NonoRun) -> None:
    port = unused_port()
    with serving(sandbox, address, port, "count"):
        assert [ask(port) for _ in range(3)] == [str(len(SENT)).encode()] * 3
    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", port)) != 0  # it is gone with the run


def test_only_loopback_of_this_host_is_listened_on(sandbox: NonoRun) -> None:
    port = unused_port()
    with serving(sandbox, "127.0.0.1", port, "count"), socket.socket() as client:
        assert client.connect_ex(("127.0.0.2", port)) != 0


def test_a_granted_port_where_nobody_listens_is_reset(sandbox: NonoRun) -> None:
    port = unused_port()
    script = ["sh", "-c", "echo ready; read line; true"]
    flags = ["--sandbox-policy=netns", f"--listen-port={port}"]
    with sandbox.started(script, flags=flags) as nono:
        assert nono.stdout is not None
        assert nono.stdout.readline() == "ready\n"
        # The reset may come before connect(2) is seen to be done.
        with (
            pytest.raises(ConnectionResetError),
            socket.create_connection(("127.0.0.1", port), LIMIT_S) as client,
        ):
            client.recv(1)


def test_no_more_connections_are_held_than_the_limit(sandbox: NonoRun) -> None:
    port = unused_port()
    beyond = 5
    with serving(sandbox, "127.0.0.1", port, "hold"), ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), LIMIT_S))
            for _ in range(CONNECTIONS_MAX + beyond)
        ]
        selector = stack.enter_context(selectors.DefaultSelector())
        for client in clients:
            selector.register(client, selectors.EVENT_READ)
        reset = 0
        while reset < beyond:  # whichever they are: accepted in order is not promised
            ready = selector.select(LIMIT_S)
            assert ready
            for key, _ in ready:
                assert isinstance(key.fileobj, socket.socket)
                with pytest.raises(ConnectionResetError):
                    key.fileobj.recv(1)
                selector.unregister(key.fileobj)
                reset += 1
        assert reset == beyond
        assert selector.select(0) == []


def test_a_port_that_is_taken_on_this_host_starts_nothing(sandbox: NonoRun) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        flags = ["--sandbox-policy=netns", f"--listen-port={port}"]
        refused = sandbox.run(["echo", "started"], flags=flags)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert (
        f"--listen-port {port}: nothing can listen on 127.0.0.1:{port}: Address already in use"
        in refused.stderr
    )
    assert sandbox.run(["echo", "started"], flags=flags).stdout == "started\n"


@contextmanager
def counting_server(address: str) -> Iterator[int]:
    """Yield the port of a server on this host that reports how many bytes its client sent."""

    class Count(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(str(len(self.rfile.read())).encode())

    class Server(socketserver.ThreadingTCPServer):
        address_family = socket.AF_INET6 if ":" in address else socket.AF_INET

    with Server((address, 0), Count) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


ASK = """
import errno, socket, sys
for port in map(int, sys.argv[1:]):
    try:
        with socket.create_connection(("127.0.0.1", port), 20) as server:
            server.sendall(b"x" * 1_000_000)
            server.shutdown(socket.SHUT_WR)
            print(port, server.recv(100).decode() or "nothing")
    except OSError as error:
        print(port, errno.errorcode[error.errno])
"""


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_only_the_open_port_of_this_host_is_reached_from_inside(address: str, sandbox: NonoRun) -> None:
    with counting_server(address) as port, counting_server(address) as closed:
        flags = ["--sandbox-policy=netns", f"--open-port={port}"]
        run = sandbox.run([sys.executable, "-I", "-S", "-c", ASK, str(port), str(closed)], flags=flags)
    said = run.stdout.splitlines()
    assert said[0] == f"{port} {len(SENT)}", run.stderr
    assert said[1].split()[1] in ("ECONNREFUSED", "EACCES")
    reached = [event for event in run.network if event["port"] == port]
    assert [(each["decision"], each["target"], each["rule"]) for each in reached] == [
        ("allow", "127.0.0.1", "network.open_port")
    ]


def test_an_open_port_where_nobody_listens_is_reset(sandbox: NonoRun) -> None:
    port = unused_port()
    flags = ["--sandbox-policy=netns", f"--open-port={port}"]
    run = sandbox.run([sys.executable, "-I", "-S", "-c", ASK, str(port)], flags=flags)
    # By the call that meets it, send, recv or shutdown.
    assert run.stdout.split()[1] in ("ECONNRESET", "EPIPE", "ENOTCONN"), run.stderr
