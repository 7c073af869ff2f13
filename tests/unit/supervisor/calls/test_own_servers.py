"""What a connect to one of the command's own servers is answered if that ends meanwhile."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from ipaddress import ip_address
from typing import Any, cast

import pytest

from nono.audit.event import Event
from nono.kernel.sock_diag import Listener
from nono.kernel.uapi.inet_diag import TCP_ESTABLISHED
from nono.policy.ports import OWN_SERVER
from nono.supervisor.calls import held_connects, own_servers
from nono.supervisor.calls.own_servers import OwnServers
from nono.supervisor.calls.trapped_call import cookie_of
from nono.supervisor.verdict.adjudicator import Refuse, loopback
from nono.supervisor.verdict.own_servers import Standing
from nono.supervisor.verdict.syscall_args import InetAddress

REFUSAL = Refuse(errno.EACCES, "127.0.0.1", 1, "only the proxy can be reached", "network.proxy_only", None)


class Stub:
    """Everything around OwnServers that this test is not about."""

    def __init__(self, caller: socket.socket) -> None:
        self._caller = caller
        self.armed = 0
        self.recorded: list[Event] = []

    def tcp_socket(self, call: object) -> socket.socket:
        return self._caller.dup()

    def socket_at(self, tid: int, descriptor: int) -> socket.socket | None:
        return None

    def dedup(self, event: Event) -> None:
        self.recorded.append(event)

    def arm(self) -> None:
        self.armed += 1


@pytest.mark.parametrize(("blocks", "answer"), [(True, 0), (False, errno.EINPROGRESS)])
def test_a_connect_is_recorded_and_leaves_the_socket_blocking_or_not_as_it_was(
    blocks: bool, answer: int
) -> None:
    """The command shares that flag, and could clear it before the call, which the watchdog ends then."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as caller:
        caller.setblocking(blocks)
        stub = cast(Any, Stub(caller))
        servers = OwnServers(stub, stub, stub, stub)
        servers.add(server, os.getpid(), server.fileno())
        local = loopback(server.getsockname()[1])
        assert servers.connect(stub, local, REFUSAL) == answer
        servers.close()
        assert os.get_blocking(caller.fileno()) is blocks
    assert stub.armed == 1
    [recorded] = [each["event"] for each in stub.recorded]
    assert (recorded["decision"], recorded["rule"]) == ("allow", OWN_SERVER)
    assert (recorded["target"], recorded["port"]) == (str(local.host), local.port)


def test_a_connect_does_not_wait_where_many_wait_already(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_connects, "HELD_MAX", 0)
    with socket.socket() as caller:
        stub = cast(Any, Stub(caller))
        servers = OwnServers(stub, stub, stub, stub)
        monkeypatch.setattr(servers, "_standing", lambda _: Standing.OWN)
        monkeypatch.setattr(servers, "_try", lambda _: None)
        assert servers.connect(stub, loopback(1024), REFUSAL) == errno.EAGAIN
        servers.close()


@pytest.mark.parametrize(
    ("afterwards", "answer"),
    [(Standing.NOBODY, errno.ECONNREFUSED), (Standing.FOREIGN, REFUSAL)],
    ids=["nobody listens", "another program listens"],
)
def test_only_a_server_of_somebody_else_makes_a_connect_a_denial(
    afterwards: Standing, answer: int | Refuse, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as caller:
        stub = cast(Any, Stub(caller))
        servers = OwnServers(stub, stub, stub, stub)
        found = iter([Standing.OWN, Standing.OWN, afterwards])
        monkeypatch.setattr(servers, "_standing", lambda _: next(found))
        try:
            assert servers.connect(stub, loopback(server.getsockname()[1]), REFUSAL) == answer
        finally:
            servers.close()
        with pytest.raises(OSError, match="not connected"):
            caller.getpeername()


class ServesOnce(Stub):
    """A server that closes its socket once it has a connection; descriptor 1 is that socket, 2 another."""

    def __init__(self, server: socket.socket) -> None:
        super().__init__(server)
        self._server = server

    def tcp_socket(self, call: object) -> socket.socket:
        return _Caller(self._server)

    def socket_at(self, tid: int, descriptor: int) -> socket.socket | None:
        if self._server.fileno() < 0:
            return None
        return self._server.dup() if descriptor == 1 else socket.socket()


class _Caller(socket.socket):
    def __init__(self, server: socket.socket) -> None:
        super().__init__()
        self._server = server

    def connect_ex(self, address: Any) -> int:
        result = super().connect_ex(address)
        if self._server.fileno() >= 0:
            self._server.accept()[0].close()
            self._server.close()
        return result


@pytest.mark.parametrize(("descriptor", "answer"), [(1, 0), (2, errno.ECONNREFUSED)])
def test_a_server_that_closes_after_it_accepted_is_reached_while_its_socket_is_known(
    descriptor: int, answer: int
) -> None:
    """Without its socket nobody can tell whether it has accepted, or another that has ended since."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        stub = cast(Any, ServesOnce(server))
        servers = OwnServers(stub, stub, stub, stub)
        servers.add(server, os.getpid(), descriptor)
        port = loopback(server.getsockname()[1])
        try:
            assert servers.connect(stub, port, REFUSAL) == answer
            assert servers.connect(stub, port, REFUSAL) == errno.ECONNREFUSED  # nothing of it is kept
        finally:
            servers.close()


def test_a_socket_that_has_taken_the_place_of_a_server_keeps_its_options(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lingers = struct.pack("@ii", 1, 5)
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket() as other,
        socket.socket() as caller,
    ):
        other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, lingers)
        stub = cast(Any, Stub(caller))
        monkeypatch.setattr(stub, "socket_at", lambda *_: other.dup())
        servers = OwnServers(stub, stub, stub, stub)
        servers.add(server, os.getpid(), other.fileno())
        assert servers.connect(stub, loopback(server.getsockname()[1]), REFUSAL) == 0
        servers.close()
        assert other.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, len(lingers)) == lingers


class Led(socket.socket):
    """A socket whose connects lead to another server than they name, as rules of NAT would have it."""

    goal: tuple[str, int] | None = None

    def connect_ex(self, address: Any) -> int:
        return super().connect_ex(self.goal or address)


@pytest.mark.parametrize("is_led", [False, True])
@pytest.mark.parametrize(
    ("bound", "family", "asked"),
    [
        ("127.0.0.1", socket.AF_INET, "127.0.0.1"),
        ("127.0.0.1", socket.AF_INET6, "127.0.0.1"),
        ("::", socket.AF_INET, "127.0.0.1"),
        ("::", socket.AF_INET6, "::1"),
    ],
)
def test_a_port_of_its_own_that_leads_elsewhere_is_refused(
    bound: str, family: int, asked: str, is_led: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_dual = bound == "::"
    kind = socket.AF_INET6 if is_dual else socket.AF_INET
    with (
        socket.create_server((bound, 0), family=kind, dualstack_ipv6=is_dual) as own,
        socket.create_server((bound, 0), family=kind, dualstack_ipv6=is_dual) as foreign,
        Led(family) as caller,
    ):
        address = InetAddress(ip_address(asked), own.getsockname()[1])
        if is_led:
            goal = InetAddress(address.host, foreign.getsockname()[1])
            monkeypatch.setattr(caller, "goal", goal.for_family(family))
        stub = cast(Any, Stub(caller))
        monkeypatch.setattr(caller, "dup", lambda: caller)
        monkeypatch.setattr(caller, "close", lambda: None)
        servers = OwnServers(stub, stub, stub, stub)
        servers.add(own, os.getpid(), own.fileno())
        assert servers.connect(stub, address, REFUSAL) == (REFUSAL if is_led else 0)
        servers.close()
        monkeypatch.undo()
        is_connected = caller.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == TCP_ESTABLISHED
        assert is_connected is not is_led


def test_a_server_that_resets_what_it_accepted_is_no_denial() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, Resets(server) as caller:
        stub = cast(Any, Stub(caller))
        servers = OwnServers(stub, stub, stub, stub)
        servers.add(server, os.getpid(), server.fileno())
        stub.tcp_socket = lambda _: caller
        assert servers.connect(stub, loopback(server.getsockname()[1]), REFUSAL) == 0
        servers.close()


class Resets(socket.socket):
    """A socket to whose connects the server answers at once, with a reset."""

    def __init__(self, server: socket.socket) -> None:
        super().__init__()
        self._server = server

    def connect_ex(self, address: Any) -> int:
        result = super().connect_ex(address)
        if result:
            return result
        accepted = self._server.accept()[0]
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("@ii", 1, 0))
        accepted.close()
        return result


def test_few_sockets_are_held_of_a_port_on_which_many_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent that makes thousands of them holds up its own connects alone."""
    asked: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as caller:
        stub = cast(Any, Stub(caller))
        monkeypatch.setattr(stub, "socket_at", lambda _tid, descriptor: asked.append(descriptor))
        servers = OwnServers(stub, stub, stub, stub)
        sockets = {(cookie, 1): (7, cookie) for cookie in range(1000)}
        monkeypatch.setattr(servers, "_own", sockets)
        listening = [Listener("127.0.0.1", *key, 0) for key in sockets]
        monkeypatch.setattr(servers, "_listening", lambda _: listening)
        assert servers.connect(stub, loopback(server.getsockname()[1]), REFUSAL) == 0
        servers.close()
    assert len(asked) == own_servers.HELD_MAX


def test_without_sock_diag_nobodys_server_is_the_commands_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> list[Listener]:
        raise OSError(errno.EPERM, "no sock_diag")

    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as shared:
        stub = cast(Any, Stub(server))
        servers = OwnServers(stub, stub, stub, stub)
        servers.add(server, 0, 0)
        local = loopback(server.getsockname()[1])
        assert servers.may_listen(server, local)
        monkeypatch.setattr(servers, "_listening", fail)
        assert servers.connect(stub, local, REFUSAL) == REFUSAL
        assert servers.may_listen(server, local)
        shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        assert not servers.may_listen(shared, local)
        servers.close()


@pytest.mark.parametrize(("cookie", "inode"), [(0, 0), (1, 0), (0, 1)], ids=["own", "cookie", "inode"])
def test_a_server_is_known_by_cookie_and_inode(
    cookie: int, inode: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        stub = cast(Any, Stub(server))
        servers = OwnServers(stub, stub, stub, stub)
        servers.add(server, 0, 0)
        own = cookie_of(server), os.fstat(server.fileno()).st_ino
        found = Listener("127.0.0.1", own[0] + cookie, own[1] + inode, 0)
        monkeypatch.setattr(servers, "_listening", lambda _: [found])
        is_own = (found.cookie, found.inode) == own
        assert servers.may_listen(server, loopback(server.getsockname()[1])) is is_own
        servers.close()


def test_servers_that_no_longer_listen_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_servers, "LISTENERS_MAX", 2)
    with socket.create_server(("127.0.0.1", 0)) as living:
        stub = cast(Any, Stub(living))
        servers = OwnServers(stub, stub, stub, stub)
        servers.add(living, 0, 0)
        for _ in range(2):
            with socket.create_server(("127.0.0.1", 0)) as ended:
                found = Listener("127.0.0.1", cookie_of(living), os.fstat(living.fileno()).st_ino, 0)
                monkeypatch.setattr(servers, "_listening", lambda _, found=found: [found])
                servers.add(ended, 0, 0)
        assert list(servers._own) == [(found.cookie, found.inode)]
        assert servers.may_listen(living, loopback(living.getsockname()[1]))
        servers.close()


@pytest.mark.parametrize("waits", [True, False])
def test_the_socket_of_a_caller_that_has_gone_is_closed_under_the_watchdog(
    waits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    armed: list[bool] = []

    async def give_up() -> None:
        with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as caller:
            stub = cast(Any, Stub(caller))
            stub.id = 7
            monkeypatch.setattr(stub, "arm", lambda: armed.append(True))
            servers = OwnServers(stub, stub, stub, stub)
            monkeypatch.setattr(servers, "_standing", lambda _: Standing.OWN)
            monkeypatch.setattr(servers, "_try", lambda _: None if waits else 0)
            assert servers.connect(stub, loopback(server.getsockname()[1]), REFUSAL) == (None if waits else 0)
            assert not armed
            servers.close()

    asyncio.run(give_up())
    assert bool(armed) is waits
