"""What must come before a connection is made for the command, and where its sockets listen."""

from __future__ import annotations

import asyncio
import errno
import os
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
from nono.supervisor.calls import inet, trapped_call
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
        self.socket = self.tcp_socket
        self.is_there = True  # False: the caller is gone, or its socket is no TCP

    def tcp_socket(self, call: object) -> socket.socket | None:
        return self._caller.dup() if self.is_there else None

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
        # By another address, which could be this host's, it would lead to loopback too.
        assert isinstance(calls.connect(stub, to("192.0.2.2", 5000)), Refuse)
        assert calls.connect(stub, to("192.0.2.2", 5001)) == OWN_ANSWER


def test_an_address_of_another_family_leads_to_no_server_of_the_commands_own() -> None:
    with socket.socket() as caller:
        stub = cast(Any, Stub(caller))
        grants = NetworkGrants(loopback(1), own_servers=True)
        calls = InetCalls(grants, stub, stub, stub, stub, stub, own=stub)
        assert isinstance(calls.connect(stub, struct.pack("=H14x", socket.AF_UNSPEC)), Refuse)


def test_a_connect_to_an_address_of_the_hosts_file_is_one_to_the_proxy_for_its_host() -> None:
    names = VirtualAddresses(
        lambda _: None, "laptop", lambda: {IPv4Address("203.0.113.7"): ("granted.test",)}
    )
    told: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as proxy, socket.socket() as caller:
        stub = cast(Any, Stub(caller))
        calls = InetCalls(
            NetworkGrants(loopback(proxy.getsockname()[1])),
            *(stub, stub, lambda *connected: told.append(connected[-1]), stub, stub),
            names=names,
        )
        assert isinstance(calls.connect(stub, to("203.0.113.8", 443)), Refuse)
        assert calls.connect(stub, to("203.0.113.7", 443)) == 0
        assert told == [("granted.test", 443)]


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


def test_the_address_of_a_name_is_dialled_by_no_grant_of_its_port() -> None:
    names = VirtualAddresses(lambda _: None, "laptop")
    given = names.look_up(Query(1, 0, b"", "granted.test", A)).address
    assert given is not None
    with socket.create_server(("127.0.0.1", 0)) as proxy, socket.socket() as caller:
        stub = cast(Any, Stub(caller))
        grants = NetworkGrants(loopback(proxy.getsockname()[1]), PortGrants(connect=united([443])))
        calls = InetCalls(grants, stub, stub, lambda *_: None, stub, stub, names=names)
        assert calls.connect(stub, to(str(IPv4Address(given)), 443)) == 0
        assert caller.getpeername() == proxy.getsockname()


def test_where_no_names_are_looked_up_such_an_address_is_one_as_any_other() -> None:
    with socket.socket() as caller:
        stub = cast(Any, Stub(caller))
        calls = InetCalls(NetworkGrants(loopback(1)), stub, stub, stub, stub, stub)
        refused = calls.connect(stub, to("198.18.0.1", 443))
        assert isinstance(refused, Refuse)
        assert refused.target == "198.18.0.1"


def test_a_connection_to_the_proxy_is_not_recorded_as_one_past_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy, socket.socket() as caller:
        port = proxy.getsockname()[1]
        stub = cast(Any, Stub(caller, records=False))
        calls = InetCalls(NetworkGrants(loopback(port)), stub, stub, lambda *_: None, stub, stub)
        assert calls.connect(stub, sockaddr(port)) == 0


def test_an_address_is_judged_anew_once_rules_have_changed() -> None:
    live = LivePorts(PortGrants(connect=united([5000])))
    with socket.socket() as caller:
        stub = cast(Any, Stub(caller))
        calls = InetCalls(NetworkGrants(loopback(1), live), stub, stub, stub, stub, stub)
        assert calls.connect(stub, sockaddr(5000)) == errno.ECONNREFUSED
        live.put([LiveRule("0", "deny", "port", "5000", Access.READ, "a person", 0, None)])
        assert calls.connect(stub, sockaddr(5000)) == errno.ECONNREFUSED
        calls.forget_verdicts()
        assert isinstance(calls.connect(stub, sockaddr(5000)), Refuse)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_nothing_is_done_or_kept_for_a_caller_that_is_gone() -> None:
    names = VirtualAddresses(lambda _: None, "laptop")
    given = names.look_up(Query(1, 0, b"", "granted.test", A)).address
    assert given is not None
    with socket.socket() as caller:
        stub = cast(Any, Stub(caller))
        stub.is_there = False
        ports = PortGrants(listen=united([5000]), connect=united([5000]))
        for grants in (NetworkGrants(loopback(1), ports), NetworkGrants(is_open=True)):
            calls = InetCalls(grants, stub, stub, stub, stub, stub, names=names)
            assert calls.connect(stub, sockaddr(5000)) == calls.bind(stub, sockaddr(5000)) == errno.EACCES
        calls = InetCalls(NetworkGrants(loopback(1)), stub, stub, stub, stub, stub, names=names)
        assert calls.connect(stub, to(str(IPv4Address(given)), 443)) == errno.EACCES


@pytest.mark.parametrize("binds", [False, True])
def test_on_an_open_network_a_socket_of_another_kind_is_left_alone(binds: bool) -> None:
    """It keeps no descriptor of the caller's either."""
    with socket.socket(socket.AF_UNIX) as caller, socket.create_server(("127.0.0.1", 0)) as server:
        stub = cast(Any, Stub(caller))
        calls = InetCalls(NetworkGrants(is_open=True), stub, stub, stub, stub, stub)
        before = descriptors()
        answer = (calls.bind if binds else calls.connect)(stub, sockaddr(server.getsockname()[1]))
        assert (answer, descriptors()) == (errno.EINVAL, before)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as caller:
        calls = InetCalls(NetworkGrants(is_open=True), *[cast(Any, Stub(caller))] * 5)
        before = descriptors()
        address = sockaddr(0 if binds else server.getsockname()[1])
        assert ((calls.bind if binds else calls.connect)(stub, address), descriptors()) == (0, before)
        assert caller.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize(("groups", "is_refused"), [(1, True), (0, False)])
def test_on_an_open_network_roots_command_joins_no_group_of_netlink(
    groups: int, is_refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = struct.pack("=HHII", socket.AF_NETLINK, 0, 0, groups)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW) as caller:
        calls = InetCalls(NetworkGrants(is_open=True), *[cast(Any, Stub(caller))] * 5)
        before = descriptors()
        with monkeypatch.context() as patched:
            patched.setattr(os, "geteuid", lambda: 0)
            for call in (calls.bind, calls.connect):
                answer = call(cast(Any, None), address)
                assert isinstance(answer, Refuse) if is_refused else answer == 0
        assert descriptors() == before


@pytest.mark.parametrize(
    ("asked", "bound"),
    [
        ("0.0.0.0", "127.0.0.1"),
        ("127.0.0.2", "127.0.0.2"),
        ("203.0.113.53", "127.0.0.1"),  # a name server's, which the command's network for UDP has
        ("203.0.113.7", None),
    ],
)
def test_a_server_of_the_commands_own_is_bound_to_loopback_if_this_host_has_its_address(
    asked: str, bound: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spark serves at the first address that it finds beside 127.0.0.1, and connects to it."""
    monkeypatch.setattr(trapped_call, "name_servers", lambda: [IPv4Address("203.0.113.53").packed])
    with socket.socket() as caller:
        stub = cast(Any, Stub(caller))
        calls = InetCalls(NetworkGrants(loopback(1), own_servers=True), stub, stub, stub, stub, stub)
        before = descriptors()
        if bound is None:
            with pytest.raises(OSError, match=os.strerror(errno.EADDRNOTAVAIL)):
                calls.bind(stub, to(asked, 0))
        else:
            assert calls.bind(stub, to(asked, 0)) == 0
        assert (caller.getsockname()[0], descriptors()) == (bound or "0.0.0.0", before)


def test_a_port_that_is_granted_is_bound_where_it_was_asked_for_and_told_before_the_answer() -> None:
    told: list[tuple[str, int, bool]] = []
    with socket.socket() as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    with socket.socket() as caller:
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        stub = cast(Any, Stub(caller))
        calls = InetCalls(
            NetworkGrants(loopback(1), PortGrants(listen=united([port])), own_servers=True),
            *(stub, stub, stub, stub, stub),
            bound=lambda host, at, *, is_shared: told.append((str(host), at, is_shared)),
        )
        assert isinstance(calls.bind(stub, to("0.0.0.0", 80)), Refuse)
        assert calls.bind(stub, to("0.0.0.0", port)) == 0
        assert (caller.getsockname(), told) == (("0.0.0.0", port), [("0.0.0.0", port, True)])


def test_what_a_bind_allows_is_connected_to_although_it_was_refused_before() -> None:
    with socket.socket() as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    live = LivePorts(PortGrants(listen=united([port])))
    rule = LiveRule("0", "allow", "port", str(port), Access.READWRITE, "a person", 0, None)
    with socket.socket() as caller:
        stub = cast(Any, Stub(caller))
        grants = NetworkGrants(loopback(1), live)
        calls = InetCalls(
            grants, stub, stub, stub, stub, stub, bound=lambda host, at, *, is_shared: live.put([rule])
        )
        assert isinstance(calls.connect(stub, sockaddr(port)), Refuse)
        assert calls.bind(stub, to("0.0.0.0", port)) == 0
        assert not isinstance(calls.connect(stub, sockaddr(port)), Refuse)


def test_of_many_connects_that_wait_at_once_one_more_is_told_to_try_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inet, "PENDING_MAX", 1)

    async def wait() -> None:
        with socket.socket() as first, socket.socket() as second:
            stub = cast(Any, Stub(first))
            stub.id = 7
            calls = InetCalls(NetworkGrants(loopback(1)), stub, stub, stub, stub, stub)
            before = descriptors()
            assert calls._start_connect(stub, first.dup(), lambda: errno.EINPROGRESS, None) is None
            assert not os.get_blocking(first.fileno())
            late = calls._start_connect(stub, second.dup(), lambda: errno.EINPROGRESS, None)
            assert (late, os.get_blocking(second.fileno())) == (errno.EAGAIN, True)
            calls.close()
            assert (descriptors(), os.get_blocking(first.fileno())) == (before, True)

    asyncio.run(wait())


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
