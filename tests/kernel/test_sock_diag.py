"""The kernel says which user made a connection, whatever namespace of users it was made in."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager

import pytest

from nono.kernel.sock_diag import SocketOwners, users_of_server
from nono.launch.proxy.same_user import same_user
from nono.supervisor.calls.trapped_call import cookie_of
from support.ordinary_user import become

OTHER = 62001
CONNECT = "import socket, sys; s = socket.create_connection((sys.argv[1], int(sys.argv[2]))); s.recv(1)"
FAMILIES = pytest.mark.parametrize("address", ["127.0.0.1", "::1"])


@contextmanager
def connected(address: str, before: Sequence[str] = ()) -> Iterator[socket.socket]:
    """Yield the accepted end of a connection that another program, started by `before`, has made."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as listener:
        client = [sys.executable, "-I", "-S", "-c", CONNECT, address, str(listener.getsockname()[1])]
        with subprocess.Popen([*before, *client]) as process:
            try:
                with listener.accept()[0] as accepted:
                    yield accepted
            finally:
                process.kill()


def owner(accepted: socket.socket) -> int | None:
    with closing(SocketOwners()) as owners:
        return owners.uid(accepted.getpeername()[:2], accepted.getsockname()[:2])


@FAMILIES
def test_a_connection_of_ours_is_ours(address: str) -> None:
    with connected(address) as accepted, same_user(address) as is_ours:
        assert owner(accepted) == os.geteuid()
        assert is_ours(accepted.getpeername()[:2], accepted.getsockname()[:2]) is True


@FAMILIES
def test_an_end_is_here_until_both_have_closed(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with (
        closing(SocketOwners()) as owners,
        socket.create_server((address, 0), family=family) as listener,
        socket.create_connection(listener.getsockname()[:2]) as client,
    ):
        server, ours = listener.getsockname()[:2], client.getsockname()[:2]
        assert owners.is_here(server, ours)  # nobody has accepted it
        assert not owners.is_here((server[0], ours[1]), ours)
        listener.accept()[0].close()
        assert owners.is_here(server, ours)
        client.close()
        assert not owners.is_here(server, ours)


@pytest.mark.root
@FAMILIES
def test_a_connection_of_another_user_is_not_ours(address: str) -> None:
    with connected(address, become(OTHER)) as accepted, same_user(address) as is_ours:
        assert owner(accepted) == OTHER
        assert is_ours(accepted.getpeername()[:2], accepted.getsockname()[:2]) is False


@pytest.mark.root
@pytest.mark.needs("user namespaces", ordinary=True)
def test_a_user_namespace_makes_nobody_another_user() -> None:
    with connected("127.0.0.1", [*become(OTHER), "unshare", "--user", "--map-root-user"]) as accepted:
        assert owner(accepted) == OTHER


def test_a_connection_that_was_closed_is_nobodys() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        with listener.accept()[0] as accepted:
            addresses = accepted.getpeername(), accepted.getsockname()
            client.close()
            assert accepted.recv(1) == b""
            with closing(SocketOwners()) as owners:
                assert owners.uid(*addresses) is None


@pytest.mark.parametrize("end", [lambda own: own.shutdown(socket.SHUT_WR), socket.socket.close])
def test_a_connection_that_has_said_all_is_known_by_its_cookie(end: Callable[[socket.socket], None]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, closing(SocketOwners()) as owners:
        client = socket.create_connection(listener.getsockname())
        cookie = cookie_of(client)
        with client, listener.accept()[0] as accepted:
            addresses = accepted.getpeername(), accepted.getsockname()
            end(client)
            assert accepted.recv(1) == b""
            assert owners.cookie(*addresses) == cookie != 0
            assert owners.cookie(("127.0.0.1", 1), addresses[1]) is None


def test_a_listener_on_the_port_of_a_client_is_not_taken_for_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, closing(SocketOwners()) as owners:
        assert owners.uid(listener.getsockname(), ("127.0.0.1", 1)) is None


def test_who_listens_for_other_machines_serves_other_users() -> None:
    with connected("127.0.0.1") as accepted, same_user("0.0.0.0") as is_ours:
        assert is_ours(accepted.getpeername()[:2], accepted.getsockname()[:2]) is None


def test_where_the_kernel_does_not_say_nobody_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(self: SocketOwners) -> None:
        raise OSError("no sock_diag")

    monkeypatch.setattr(SocketOwners, "__init__", missing)
    with connected("127.0.0.1") as accepted, same_user("127.0.0.1") as is_ours:
        assert is_ours(accepted.getpeername()[:2], accepted.getsockname()[:2]) is None


SERVE = """
import socket, sys
address, how = sys.argv[1:]
family = socket.AF_INET6 if ":" in address else socket.AF_INET
listener = socket.create_server((address, 0), family=family, dualstack_ipv6=address == "::")
print(listener.getsockname()[1], flush=True)
accepted = None if how == "waits" else listener.accept()[0]
if how in ("says all", "closes"):
    listener.close()
    accepted.shutdown(socket.SHUT_WR) if how == "says all" else accepted.close()
print("ready", flush=True)
sys.stdin.read()
"""


@contextmanager
def server_of(uid: int, address: str, how: str) -> Iterator[socket.socket]:
    """Yield a client that has connected to another user's server, which accepts it or does not."""
    command = [*become(uid), sys.executable, "-I", "-S", "-c", SERVE, address, how]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            port = int(process.stdout.readline())
            host = "::1" if address == "::1" else "127.0.0.1"
            with socket.create_connection((host, port)) as client:
                assert process.stdout.readline() == "ready\n"
                yield client
        finally:
            process.kill()


@pytest.mark.root
@pytest.mark.parametrize("how", ["accepts", "waits"])
@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "0.0.0.0", "::"])
def test_who_may_read_what_is_sent_is_known_before_and_after_it_is_accepted(address: str, how: str) -> None:
    with server_of(OTHER, address, how) as client:
        assert users_of_server(client.getpeername()[:2], client.getsockname()[:2]) == {OTHER}


@pytest.mark.root
@FAMILIES
def test_who_has_said_all_and_listens_no_longer_may_read_it_still(address: str) -> None:
    with server_of(OTHER, address, "says all") as client:
        assert users_of_server(client.getpeername()[:2], client.getsockname()[:2]) == {OTHER}


@pytest.mark.root
@FAMILIES
def test_whose_a_closed_connection_was_is_not_taken_for_unknown(address: str) -> None:
    """Its user could have answered before anything was asked."""
    with server_of(OTHER, address, "closes") as client, pytest.raises(ConnectionResetError):
        users_of_server(client.getpeername()[:2], client.getsockname()[:2])


@pytest.mark.root
def test_a_listener_at_another_address_of_loopback_is_not_asked() -> None:
    with server_of(OTHER, "127.0.0.1", "waits") as client:
        server, own = client.getpeername()[:2], client.getsockname()[:2]
        with socket.create_server(("127.0.0.2", server[1])):
            assert users_of_server(server, own) == {OTHER}


def test_of_a_server_elsewhere_nothing_is_known() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert users_of_server(unused.getsockname(), ("127.0.0.1", 1)) == frozenset()
