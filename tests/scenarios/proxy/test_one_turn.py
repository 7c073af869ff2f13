"""What several clients ask in one turn of the loop is answered whole and in order, at its end."""

from __future__ import annotations

from contextlib import ExitStack

from support.proxy.interception import connect, intercepting
from support.proxy.thread import PHANTOM, Client, ProxyUnderTest, a_route, proxy
from support.servers.http1 import Received, upstream

CLIENTS = 6
KEY = f"Authorization: Bearer {PHANTOM}\r\n"


def echo(request: Received) -> None:
    request.connection.respond(body=request.target)


def clients(stack: ExitStack, p: ProxyUnderTest) -> list[Client]:
    """Return clients whose connections the proxy has accepted."""
    made = [stack.enter_context(Client(p.port)) for _ in range(CLIENTS)]
    for client in made:
        client.send(b"GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n")
        assert client.response().status == 404
    return made


def test_an_answer_that_ends_its_connection_arrives_whole() -> None:
    with proxy() as p, ExitStack() as stack:
        made = clients(stack, p)
        with p.standing_still():
            for client in made:
                client.send(b"GET /nothing HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        assert [client.response().status for client in made] == [404] * CLIENTS
        assert all(client.is_closed() for client in made)
        assert p.recording.decisions() == [("deny", None)] * 2 * CLIENTS


def test_each_request_of_a_turn_gets_its_own_answer() -> None:
    with upstream(echo) as server, proxy(a_route(server.port)) as p, ExitStack() as stack:
        made = clients(stack, p)
        for times in range(3):  # over new connections, then over kept ones
            with p.standing_still():
                for number, client in enumerate(made):
                    client.send(f"GET /alpha/{number} HTTP/1.1\r\nHost: h\r\n{KEY}\r\n".encode())
            assert [client.response().body for client in made] == [b"/%d" % n for n in range(CLIENTS)]
            assert p.recording.decisions().count(("allow", None)) == (times + 1) * CLIENTS


def test_a_held_answer_comes_before_the_bytes_of_the_next_protocol() -> None:
    with upstream() as server, intercepting(a_route(server.port)) as p, ExitStack() as stack:
        made = clients(stack, p)
        with p.standing_still():
            for client in made:
                client.send(b"GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n" + connect(f"127.0.0.1:{server.port}"))
        for client in made:
            assert client.response().status == 404
            assert client.head()[0] == 200
