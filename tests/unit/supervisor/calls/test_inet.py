"""What must come before a connection is made for the command, and where its sockets listen."""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from ipaddress import IPv4Address
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nono.kernel.sock_diag import Listeners
from nono.policy.capability import Access
from nono.policy.live.ports import LivePorts
from nono.policy.live.rule import LiveRule
from nono.policy.ports import PortGrants, united
from nono.supervisor.calls.inet import InetCalls, listen
from nono.supervisor.verdict.adjudicator import DENIED_PORT, NetworkGrants, Refuse, loopback
from nono.supervisor.verdict.dns_message import A, Query
from nono.supervisor.verdict.virtual_addresses import VirtualAddresses

OWN_ANSWER = 4711


class Stub:
    """Everything around InetCalls that these tests are not about."""

    def __init__(self, caller: socket.socket, *, records: bool = True) -> None:
        self._caller = caller
        self._records = records

    def tcp_socket(self, call: object) -> socket.socket:
        return self._caller.dup()

    def dedup(self, event: object) -> None:
        if not self._records:
            raise OSError(errno.ENOSPC, "the log cannot be written")

    def arm(self) -> None: ...

    def connect(self, call: object, address: object, refusal: object) -> int:
        return OWN_ANSWER


def to(host: str, port: int) -> bytes:
    return struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", port, IPv4Address(host).packed)


def sockaddr(port: int) -> bytes:
    return to("127.0.0.1", port)


@pytest.mark.parametrize("records", [True, False])
def test_a_connection_that_cannot_be_recorded_is_not_made(records: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as caller:
        port = server.getsockname()[1]
        stub = cast(Any, Stub(caller, records=records))
        grants = NetworkGrants(loopback(1), PortGrants(connect=united([port])))
        calls = InetCalls(grants, stub, stub, stub, stub, stub)
        assert calls.connect(stub, sockaddr(port)) == (0 if records else errno.EACCES)
        assert (caller.connect_ex(("127.0.0.1", port)) == errno.EISCONN) == records


def test_a_denied_port_leads_to_no_server_of_the_commands_own() -> None:
    live = LivePorts(PortGrants())
    live.put([LiveRule("0", "deny", "port", "5000", Access.READ, "a person", 0, None)])
    with socket.socket() as caller:
        stub = cast(Any, Stub(caller))
        grants = NetworkGrants(loopback(1), live, own_servers=True)
        calls = InetCalls(grants, stub, stub, stub, stub, stub, own=stub)
        denied = calls.connect(stub, sockaddr(5000))
        assert isinstance(denied, Refuse)
        assert denied.rule == DENIED_PORT
        assert calls.connect(stub, sockaddr(5001)) == OWN_ANSWER


def test_a_connect_to_the_address_of_a_name_is_one_to_the_proxy_for_that_host() -> None:
    told: list[tuple[tuple[str, int], object]] = []
    names = VirtualAddresses(lambda _: None, "laptop")
    given = names.look_up(Query(1, 0, b"", "granted.test", A)).address
    assert given is not None
    with socket.create_server(("127.0.0.1", 0)) as proxy, socket.socket() as caller:
        stub = cast(Any, Stub(caller))
        calls = InetCalls(
            NetworkGrants(loopback(proxy.getsockname()[1])),
            *(stub, stub, lambda peer, _, destination: told.append((peer, destination)), stub, stub),
            names=names,
        )
        unknown = calls.connect(stub, to("198.18.0.99", 443))
        assert isinstance(unknown, Refuse)
        assert (unknown.target, told) == ("198.18.0.99", [])
        assert calls.connect(stub, to(str(IPv4Address(given)), 443)) == 0
        proxy.accept()[0].close()
        assert told == [(caller.getsockname(), ("granted.test", 443))]


def test_the_proxy_knows_a_client_of_ipv6_by_the_address_that_it_sees() -> None:
    told: list[tuple[str, int]] = []
    with socket.create_server(("127.0.0.1", 0)) as proxy, socket.socket(socket.AF_INET6) as caller:
        port = proxy.getsockname()[1]
        stub = cast(Any, Stub(caller))
        grants = NetworkGrants(loopback(port))
        calls = InetCalls(grants, stub, stub, lambda peer, *_: told.append(peer), stub, stub)
        mapped = b"\0" * 10 + b"\xff\xff" + IPv4Address("127.0.0.1").packed
        address = struct.pack("=H", socket.AF_INET6) + struct.pack("!HI16sI", port, 0, mapped, 0)
        assert calls.connect(stub, address) == 0
        accepted, peer = proxy.accept()
        accepted.close()
        assert told == [peer]


@pytest.mark.parametrize("stands", [True, False])
def test_a_connect_to_a_name_server_is_led_to_the_supervisors_own(stands: bool) -> None:
    told: list[tuple[str, int]] = []
    with socket.create_server(("127.0.0.1", 0)) as own, socket.socket() as caller:
        stub = cast(Any, Stub(caller))
        name_server = cast(
            Any,
            SimpleNamespace(
                stands_for=lambda host, port: stands and (str(host), port) == ("10.0.0.53", 53),
                address=lambda: loopback(own.getsockname()[1]),
                expect=lambda peer, _: told.append(peer),
            ),
        )
        grants = NetworkGrants(loopback(1))
        calls = InetCalls(grants, stub, stub, stub, stub, stub, name_server=name_server)
        answered = calls.connect(stub, to("10.0.0.53", 53))
        assert (answered == 0) is stands
        assert told == ([caller.getsockname()] if stands else [])
        assert isinstance(calls.connect(stub, to("10.0.0.54", 53)), Refuse)


def test_the_socket_of_a_connect_that_waits_is_closed_under_the_watchdog(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    armed: list[bool] = []

    async def give_up() -> None:
        with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as caller:
            stub = cast(Any, Stub(caller))
            stub.id = 7
            monkeypatch.setattr(stub, "arm", lambda: armed.append(True))
            port = server.getsockname()[1]
            calls = InetCalls(
                NetworkGrants(loopback(1), PortGrants(connect=united([port]))), stub, stub, stub, stub, stub
            )
            assert calls._start_connect(stub, caller.dup(), lambda: errno.EINPROGRESS, None) is None
            armed.clear()
            calls.close()

    asyncio.run(give_up())
    assert armed


def stopped(host: str = "127.0.0.1") -> tuple[socket.socket, int]:
    """Return a socket that has listened at a port that the kernel chose, and the port that it still tells."""
    server = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    server.bind((host, 0))
    server.listen()
    server.shutdown(socket.SHUT_RDWR)
    return server, server.getsockname()[1]


def listening(port: int) -> int:
    listeners = Listeners()
    try:
        return len(listeners.on(port))
    finally:
        listeners.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::ffff:127.0.0.1"])
def test_a_socket_that_had_stopped_listening_listens_where_it_was_judged(host: str) -> None:
    server, port = stopped(host)
    with server:
        assert listen(server, loopback(port), 8)
        assert server.getsockname()[1] == port
        assert listening(port) == 1
        assert listen(server, loopback(port), 16)  # another backlog


def test_a_socket_whose_port_was_taken_meanwhile_listens_nowhere() -> None:
    server, port = stopped()
    with server, socket.create_server(("127.0.0.1", port)):
        with pytest.raises(OSError, match="in use"):
            listen(server, loopback(port), 8)
        assert listening(port) == 1


def test_a_socket_that_would_listen_at_another_port_does_not_listen() -> None:
    """The kernel binds it to no mapped address any more, and would choose a port all the same."""
    server, port = stopped("::ffff:127.0.0.1")
    with server:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        assert not listen(server, loopback(port), 8)
        assert listening(port) == listening(server.getsockname()[1]) == 0
