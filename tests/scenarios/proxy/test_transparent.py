"""Connections that the supervisor led to the proxy: their clients have asked nobody for a host."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import anyio
import pytest

from nono.approval.request import Answer, HostRequest, Request
from nono.policy.hosts.host_filter import HostFilter, HostRule, Refuse
from nono.policy.hosts.live_hosts import LiveHosts
from support.proxy.thread import TIMEOUT_S, Client, Hosts, ProxyUnderTest, a_route, proxy, wait_until

HOST = "host.test"
YES, NO = Answer("granted", backend="a person"), Answer("denied", "a person said no", "a person")


class OnLoopback(HostFilter):
    """A filter in whose world every host is on this machine."""

    def _judge_address(self, name: str, port: int, text: str) -> Refuse | None:
        return None


@contextmanager
def echoing() -> Iterator[int]:
    """Yield the port of a server that sends one client back what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    while piece := connection.recv(4096):
                        connection.sendall(piece)

        server = threading.Thread(target=serve, daemon=True)
        server.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        server.join()


@contextmanager
def led_to(
    port: int, *, host: str = HOST, is_the_commands: bool = True, first: bytes = b"", **more: object
) -> Iterator[tuple[ProxyUnderTest, Client]]:
    """Yield a proxy, and a client that has connected to a port of the host, and sent its first bytes."""
    with (
        proxy(
            admits=lambda _: True,
            recognises=lambda *_: is_the_commands,
            destination_of=lambda _, __: (host, port),
            **more,  # type: ignore[arg-type]  # as proxy() takes them
        ) as ours,
        connected(ours, first) as client,
    ):
        yield ours, client


@contextmanager
def connected(ours: ProxyUnderTest, first: bytes = b"") -> Iterator[Client]:
    """Connect as the supervisor does: while the loop does nothing else, so that no reset comes before."""
    with ours.standing_still():
        client = Client(ours.port)
        client.send(first)
    with client:
        yield client


def test_the_client_hears_its_host_and_nothing_of_the_proxy() -> None:
    with echoing() as port, led_to(port, hosts=Hosts(raw=frozenset({(HOST, port)}))) as (ours, client):
        client.send(b"first words")
        assert client.read_exactly(11) == b"first words"
        (event,) = ours.recording.network
        assert (event["mode"], event["target"], event["port"]) == ("connect", HOST, port)
        assert event["decision"] == "allow"


@pytest.mark.parametrize("is_raw", [True, False])
def test_who_waits_for_the_host_to_speak_first_needs_a_raw_tunnel(is_raw: bool) -> None:
    """As the clients of MySQL and SMTP do."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        hosts = Hosts(raw=frozenset({(HOST, port)} if is_raw else ()))
        with led_to(port, hosts=hosts, head_timeout_s=0.05) as (ours, client):
            with listener.accept()[0] as server:
                server.sendall(b"220 hello")
                if is_raw:
                    assert client.read_exactly(9) == b"220 hello"
                    return
                assert b"hello" not in client.rest()
            denied = ours.recording.network[-1]
            assert denied["reason"] == f"no ClientHello came in time, and {HOST}:{port} is not a raw tunnel"
            assert denied["hint"] == f'network.raw_tunnels: ["{HOST}:{port}"]'


@pytest.mark.parametrize("is_raw", [True, False])
def test_port_80_is_http_unless_it_is_a_raw_tunnel(is_raw: bool) -> None:
    """What a client sends there after `Upgrade` is no HTTP."""
    words = b"GET / HTTP/1.1\r\nHost: host.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    hosts = Hosts(raw=frozenset({(HOST, 80)}) if is_raw else frozenset())

    async def here(host: str, port: int) -> Sequence[str]:
        raise OSError(f"{host}:{port}")

    with led_to(80, hosts=hosts, resolver=here, first=words) as (ours, client):
        if is_raw:
            with pytest.raises(ConnectionResetError):
                client.rest()
            (event,) = ours.recording.network
            assert (event["method"], event["denial_category"]) == ("CONNECT", "upstream_connect_failed")
        else:
            assert client.head()[0] == 501
            assert ours.recording.decisions() == [("deny", "unsupported_upgrade")]


@pytest.mark.parametrize(
    ("first", "status", "decision"),
    [
        (b"GET / HTTP/1.1\r\nHost: refused.test\r\n\r\n", 400, ("deny", None)),
        (b"GET http://refused.test/ HTTP/1.1\r\nHost: refused.test\r\n\r\n", 403, ("deny", "host_denied")),
        (b"CONNECT refused.test:80 HTTP/1.1\r\nHost: refused.test\r\n\r\n", 403, ("deny", "host_denied")),
        (b"GET / HTTP/1.1\r\nHost: host.test\r\n\r\n", 502, ("deny", "upstream_connect_failed")),
    ],
    ids=["field", "target", "tunnel", "its own"],
)
def test_no_request_on_port_80_reaches_a_host_that_is_refused(
    first: bytes, status: int, decision: tuple[str, str | None]
) -> None:
    async def here(host: str, port: int) -> Sequence[str]:
        assert (host, port) == (HOST, 80)
        raise OSError(f"{host}:{port}")

    hosts = Hosts(denied=frozenset({"refused.test"}))
    with led_to(80, hosts=hosts, resolver=here, first=first) as (ours, client):
        assert client.head()[0] == status
        assert ours.recording.decisions()[-1:] == [decision]


def test_what_is_neither_tls_nor_granted_as_it_is_never_leaves() -> None:
    with echoing() as port, led_to(port) as (ours, client):
        client.send(b"GET / HTTP/1.1\r\nHost: host.test\r\n\r\n")
        assert b"HTTP" not in client.rest()
        assert ours.recording.decisions()[-1] == ("deny", "host_denied")
        assert "is not a raw tunnel" in str(ours.recording.network[-1]["reason"])


def test_a_refused_host_resets_the_connection_without_a_word() -> None:
    with echoing() as port, led_to(port, hosts=Hosts(denied=frozenset({HOST}))) as (ours, client):
        with pytest.raises(ConnectionResetError):
            client.rest()
        assert ours.recording.decisions() == [("deny", "host_denied")]
        assert ours.names.asked == []


@pytest.mark.parametrize("port", [443, 80])
def test_a_program_that_has_taken_over_the_port_is_led_nowhere(port: int) -> None:
    """Between the command's connect and the proxy's accept a socket may be reset, and its port another's."""
    with led_to(port, is_the_commands=False) as (ours, client):
        if port == 443:
            with pytest.raises(ConnectionResetError):
                client.rest()
        else:
            assert client.head()[0] == 403
        assert [decision for decision, _ in ours.recording.decisions()] == ["deny"]
        assert ours.names.asked == []


def test_a_connection_for_which_there_is_no_place_is_reset() -> None:
    with (
        echoing() as port,
        led_to(port, hosts=Hosts(raw=frozenset({(HOST, port)})), max_connections=1) as (ours, first),
        connected(ours) as second,
    ):
        first.send(b"x")
        assert first.read_exactly(1) == b"x"
        with pytest.raises(ConnectionResetError):
            second.rest()
        refused = ours.recording.network[-1]
        assert (refused["decision"], refused["target"], refused["port"]) == ("deny", HOST, port)


def test_a_host_that_does_not_answer_resets_the_connection() -> None:
    with echoing() as port:
        pass
    with led_to(port) as (ours, client):
        with pytest.raises(ConnectionResetError):
            client.rest()
        wait_until(lambda: len(ours.recording.network) == 2)
        assert ours.recording.decisions()[-1] == ("deny", "upstream_connect_failed")


@pytest.mark.parametrize("answer", [YES, NO], ids=["yes", "no"])
def test_a_person_is_asked_about_its_host(answer: Answer) -> None:
    asked: list[Request] = []

    async def person(request: Request, /) -> Answer:
        asked.append(request)
        return answer

    live = LiveHosts(OnLoopback((), raw_tunnels=()))
    asking: dict[str, Any] = {"hosts": live, "live_hosts": live, "asks_hosts": True, "approver": person}
    part_of_a_hello = b"\x16\x03"
    with echoing() as port, led_to(port, first=part_of_a_hello, **asking) as (ours, client):
        if answer is YES:
            wait_until(lambda: ours.recording.decisions()[-1:] == [("allow", None)])
        else:
            with pytest.raises(ConnectionResetError):
                client.rest()
        assert asked == [HostRequest(HOST, port)]


@pytest.mark.parametrize("answer", [YES, NO], ids=["yes", "no"])
def test_a_person_is_asked_about_the_host_of_plain_http(answer: Answer) -> None:
    """What was allowed is judged again: by the host that was meant, not by a path that may be a service's."""
    asked: list[Request] = []

    async def person(request: Request, /) -> Answer:
        asked.append(request)
        return answer

    async def nowhere(host: str, port: int) -> Sequence[str]:
        return ()

    live = LiveHosts(OnLoopback(()))
    with led_to(80, resolver=nowhere, hosts=live, live_hosts=live, asks_hosts=True, approver=person) as (
        ours,
        client,
    ):
        client.send(b"GET /service/x HTTP/1.1\r\nHost: host.test\r\n\r\n")
        assert client.head()[0] == (502 if answer is YES else 403)
        assert {(event["target"], event["port"]) for event in ours.recording.network} == {(HOST, 80)}
        assert asked == [HostRequest(HOST, 80)]


def test_a_denial_made_while_its_host_is_looked_up_resets_the_connection() -> None:
    live = LiveHosts(OnLoopback((HostRule("*", None, "the test"),)))
    begun = threading.Event()

    async def slow(host: str, port: int) -> Sequence[str]:
        begun.set()
        await anyio.sleep_forever()
        return ()

    with led_to(443, hosts=live, live_hosts=live, resolver=slow) as (ours, client):
        assert begun.wait(TIMEOUT_S)
        assert ours.on_loop(ours.running.rules_changed) == 0
        live.put((), (HostRule(HOST, None, "nono deny"),))
        assert ours.on_loop(ours.running.rules_changed) == 1
        with pytest.raises(ConnectionResetError):
            client.rest()


def test_a_client_that_has_left_is_not_waited_for() -> None:
    given_up, begun = threading.Event(), threading.Event()

    async def slow(host: str, port: int) -> Sequence[str]:
        begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            given_up.set()
        return ()

    with led_to(443, resolver=slow, connect_timeout_s=10 * TIMEOUT_S) as (_, client):
        assert begun.wait(TIMEOUT_S)
        client.transport.close()
        assert given_up.wait(TIMEOUT_S)


@pytest.mark.parametrize(
    ("name", "asks", "may_be_looked_up"),
    [
        pytest.param(HOST, False, True, id="one port is granted"),
        pytest.param("route.test", False, True, id="of a route"),
        pytest.param("other.test", False, False, id="not granted"),
        pytest.param("other.test", True, True, id="a person is asked"),
        pytest.param("denied.test", True, False, id="a person is not asked"),
    ],
)
def test_a_name_may_be_looked_up_if_a_connect_may_be_allowed(
    name: str, asks: bool, may_be_looked_up: bool
) -> None:
    denied = HostRule("denied.test", None, "the test")
    hosts = HostFilter((HostRule(HOST, 5432, "the test"),), (denied,))
    route = a_route(443, host="route.test", scheme="https")
    with proxy(route, hosts=Hosts(), judge_look_up=hosts.judge_look_up, asks_hosts=asks) as ours:
        refusal = ours.on_loop(lambda: ours.running.judge_look_up(name))
        assert isinstance(refusal, Refuse) is not may_be_looked_up


@pytest.mark.parametrize(("name", "ports"), [(HOST, {5432}), ("route.test", {8443}), ("other.test", set())])
def test_the_ports_of_a_host_are_those_of_rules_and_of_routes(name: str, ports: set[int]) -> None:
    hosts = HostFilter((HostRule(HOST, 5432, "the test"),))
    route = a_route(8443, host="route.test", scheme="https")
    with proxy(route, hosts=Hosts(), ports_named=hosts.ports_named) as ours:
        assert ours.on_loop(lambda: ours.running.ports_named(name)) == ports
