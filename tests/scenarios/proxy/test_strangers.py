"""Strangers take no place on the port that a client with a token needs."""

from __future__ import annotations

import socket
from contextlib import ExitStack, suppress

import pytest

from nono.proxy.client import entrance
from nono.proxy.client.entrance import STRANGERS_MAX
from support.proxy.thread import PHANTOM, Client, a_route, proxy, wait_until
from support.servers.http1 import upstream

GET = f"GET /alpha/x HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {PHANTOM}\r\n\r\n".encode()
Address = tuple[str, int]


def nobody_knows(peer: Address, local: Address) -> None:
    """Start a proxy where the kernel does not say whose a connection is."""


@pytest.mark.parametrize("count", [256, 600])
def test_silent_strangers_keep_nobody_out(count: int) -> None:
    with upstream() as server, proxy(a_route(server.port), is_ours=nobody_knows) as p, ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(socket.create_connection(("127.0.0.1", p.port)))
        for _ in range(20):
            with Client(p.port) as client:
                client.send(GET)
                assert client.response().status == 200


def test_other_users_keep_nobody_out() -> None:
    ours: set[Address] = set()
    with (
        upstream() as server,
        proxy(a_route(server.port), is_ours=lambda peer, local: peer in ours) as p,
        ExitStack() as stack,
    ):
        for _ in range(256):
            stack.enter_context(socket.create_connection(("127.0.0.1", p.port)))
        for _ in range(20):
            with p.standing_still():
                client = stack.enter_context(Client(p.port))
                ours.add(client.transport.getsockname())
            client.send(GET)
            assert client.response().status == 200


def test_another_user_is_refused_with_the_words_that_our_own_connection_began_with() -> None:
    """Heads that connections began with are kept for the next; see ADR 10."""
    owners = iter((True, False, True))
    with upstream() as server, proxy(a_route(server.port), is_ours=lambda *_: next(owners)) as p:
        for status in (200, 403, 200):
            with Client(p.port) as client:
                client.send(GET)
                assert client.response().status == status
        assert len(server.requests) == 2


@pytest.mark.parametrize(("ours", "status"), [(False, 403), (True, 200), (None, 200)])
def test_another_user_is_refused_whatever_it_shows(ours: bool | None, status: int) -> None:
    with upstream() as server, proxy(a_route(server.port), is_ours=lambda *_: ours) as p:
        with Client(p.port) as client:
            client.send(GET)
            assert client.response().status == status
        denied = ("deny", "authentication_failed")
        assert (denied in p.recording.decisions()) is (status == 403)
        assert len(server.requests) == (status == 200)


@pytest.mark.parametrize(("leaves", "count"), [(False, 2), (True, 1)])
def test_whoever_ends_a_connection_before_its_owner_is_known_is_not_served(leaves: bool, count: int) -> None:
    with upstream() as server, proxy(a_route(server.port), is_ours=nobody_knows) as p:
        with Client(p.port) as client:
            client.send(GET)
            assert client.response().status == 200  # an upstream connection is at hand now
        with p.standing_still():
            client = Client(p.port)
            client.send(GET)
            if leaves:
                client.transport.shutdown(socket.SHUT_WR)
        with client, suppress(ConnectionResetError):
            assert (client.receive() == b"") is leaves
        wait_until(lambda: p.running.client_connections == 0)
        assert len(server.requests) == count


def test_a_stranger_goes_when_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with upstream() as server, proxy(a_route(server.port), is_ours=nobody_knows) as p:
        known = Client(p.port)
        known.send(GET)
        assert known.response().status == 200
        monkeypatch.setattr(entrance, "STRANGER_S", 0.2)
        with Client(p.port) as silent, Client(p.port) as slow, suppress(ConnectionError):
            slow.send(GET[:20])
            assert silent.receive() == b""
            assert slow.receive() == b""
        wait_until(lambda: p.running.client_connections == 1)
        known.send(GET)
        assert known.response().status == 200
        known.transport.close()


def test_a_burst_of_clients_is_served() -> None:
    with upstream() as server, proxy(a_route(server.port), is_ours=nobody_knows) as p, ExitStack() as stack:
        with p.standing_still():
            clients = [stack.enter_context(Client(p.port)) for _ in range(STRANGERS_MAX + 16)]
            for client in clients:
                client.send(GET)
        assert {client.response().status for client in clients} == {200}


def test_strangers_do_not_count_among_the_connections_that_are_served() -> None:
    with (
        upstream() as server,
        proxy(a_route(server.port), is_ours=nobody_knows, max_connections=2) as p,
        ExitStack() as stack,
    ):
        for _ in range(8):
            stack.enter_context(socket.create_connection(("127.0.0.1", p.port)))
        statuses = []
        for _ in range(3):
            client = stack.enter_context(Client(p.port))
            client.send(GET)
            statuses.append(client.response().status)
        assert statuses == [200, 200, 503]
