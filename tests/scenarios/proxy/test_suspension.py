"""While a machine is suspended, networks forget its connections: none that rested meanwhile is used again."""

from __future__ import annotations

import threading

import pytest

from nono.clock import boot_s
from nono.proxy.http2 import upstream as http2_upstream
from nono.proxy.http2 import upstreams
from nono.proxy.upstream import pool
from support.proxy.http2_stage import KEY, h2_stage
from support.proxy.thread import PHANTOM, TIMEOUT_S, Client, a_route, proxy
from support.servers.http1 import Received, upstream
from support.servers.http2 import Stream

GET = b"GET /alpha/x HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Api-Key: " + PHANTOM.encode() + b"\r\n\r\n"


@pytest.mark.parametrize(("suspended_s", "connections"), [(0.0, 1), (3600.0, 2)])
def test_a_connection_of_http1(suspended_s: float, connections: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def handler(request: Received) -> None:
        request.connection.respond()

    with upstream(handler) as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(GET)
        assert client.response().status == 200
        monkeypatch.setattr(pool, "boot_s", lambda: boot_s() + suspended_s)
        client.send(GET)
        assert client.response().status == 200
    assert len(server.connections) == connections


@pytest.mark.parametrize(("suspended_s", "connections"), [(0.0, 1), (3600.0, 2)])
def test_a_connection_of_http2(suspended_s: float, connections: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with h2_stage() as (stage, server), stage.client() as client:
        assert client.get(fields=[KEY]).status == 200
        monkeypatch.setattr(upstreams, "boot_s", lambda: boot_s() + suspended_s)
        assert client.get(fields=[KEY]).status == 200
    assert len(server.connections) == connections


def test_one_of_http2_that_is_used_again_and_again_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """It rests for a minute each time, less than it may."""
    passed_s = [0.0]
    for module in (upstreams, http2_upstream):
        monkeypatch.setattr(module, "boot_s", lambda: boot_s() + passed_s[0])
    with h2_stage() as (stage, server), stage.client() as client:
        for minutes in range(4):
            passed_s[0] = 60.0 * minutes
            assert client.get(fields=[KEY]).status == 200
    assert len(server.connections) == 1


def test_a_request_under_way_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on = threading.Event()

    def handler(stream: Stream) -> None:
        goes_on.wait(TIMEOUT_S)
        stream.respond()

    with h2_stage(handler) as (stage, server), stage.client() as client:
        first = client.request(fields=[KEY])
        server.received(1)
        monkeypatch.setattr(upstreams, "boot_s", lambda: boot_s() + 3600.0)
        second = client.request(fields=[KEY])
        server.received(2)
        goes_on.set()
        assert {client.answer(number).status for number in (first, second)} == {200}
    assert len(server.connections) == 1
