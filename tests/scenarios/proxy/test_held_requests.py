"""A request that waits for the end of a turn is sent if it may be, elsewhere if its connection closed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nono.proxy.client.http1 import ClientConnection
from nono.proxy.http2.session import Session
from nono.proxy.upstream.connection import UpstreamConnection
from support.proxy.http2_stage import KEY, Stage, h1_stage, h2_stage
from support.proxy.thread import PHANTOM, Client, FakeCredential, ProxyUnderTest, a_route, proxy
from support.servers.http1 import Received, answer_ok, upstream
from support.servers.http2 import Stream

HEAD = f" /alpha/ HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {PHANTOM}\r\n".encode()
GET = b"GET" + HEAD + b"\r\n"
POSTS = {
    "length": (b"Content-Length: 5\r\n", b"hello"),
    "chunked": (b"Transfer-Encoding: chunked\r\n", b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
    "large": (b"Content-Length: 40000\r\n", b"hello" * 8000),
}


class _Other:
    """The first to write in a turn, so that what others write waits for its end."""

    def send_held(self) -> None: ...


def _in_one_turn(p: ProxyUnderTest, request: bytes, then: Callable[[], object]) -> None:
    """Let the only client ask behind another one, and something else happen in the same turn of the loop."""

    def turn() -> None:
        context = p.running.serving().context
        (client,) = context.connections.members
        assert isinstance(client, ClientConnection)
        for _ in range(2):
            context.outbox.holds(_Other())
        client.data_received(request)
        then()

    p.on_loop(turn)


def _freeze(p: ProxyUnderTest) -> None:
    p.running.serving().context.admission.freeze("alpha", "an answer held it")


def test_a_request_whose_credential_is_frozen_in_its_turn_is_not_sent() -> None:
    with upstream() as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(GET)
        assert client.response().status == 200
        _in_one_turn(p, GET, lambda: _freeze(p))
        assert client.response().status == 403
    assert len(server.requests) == 1


@pytest.mark.parametrize("post", [None, b"hello"], ids=["GET", "POST"])
def test_a_stream_whose_credential_is_frozen_in_its_turn_is_not_opened(
    post: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with h2_stage(credential=FakeCredential()) as (stage, server), stage.client() as client:
        arm = _before_a_flush(monkeypatch, lambda: _freeze(stage.proxy))
        assert client.get(fields=[KEY]).status == 200
        arm()
        number = client.request(fields=[KEY], method="GET" if post is None else "POST", body=post or b"")
        assert client.answer(number).status == 403
    assert len(server.streams) == 1


def _before_a_flush(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> Callable[[], None]:
    """Let something happen once while an HTTP/2 request waits for the end of its turn, after the call."""
    flush, open_outbound = Session.flush, Session.open_outbound
    armed, waiting = list[bool](), list[bool]()

    def opening(session: Session, *arguments: object, **named: object) -> int:
        waiting.extend(armed)
        armed.clear()
        return open_outbound(session, *arguments, **named)  # type: ignore[arg-type]  # passed on

    def flushing(session: Session) -> None:
        if waiting and session._unopened:
            waiting.clear()
            happens()
        flush(session)

    monkeypatch.setattr(Session, "open_outbound", opening)
    monkeypatch.setattr(Session, "flush", flushing)
    return lambda: armed.append(True)


@pytest.mark.parametrize(("fields", "body"), POSTS.values(), ids=POSTS)
def test_a_post_on_a_connection_that_closes_in_its_turn_is_sent_on_another(
    fields: bytes, body: bytes
) -> None:
    bodies = list[bytes]()

    def handler(request: Received) -> None:
        bodies.append(request.read_body())
        answer_ok(request)

    with upstream(handler) as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(GET)
        assert client.response().status == 200
        _in_one_turn(p, b"POST" + HEAD + fields + b"\r\n" + body[:9], lambda: _close_upstreams(p))
        client.send(body[9:])
        assert client.response().status == 200
    whole = POSTS["large"][1] if len(body) > 100 else b"hello"
    assert bodies == [b"", whole]
    assert [request.method for request in server.requests] == [b"GET", b"POST"]


def _close_upstreams(p: ProxyUnderTest) -> None:
    for each in [*p.running.serving().context.pool.connections.members]:
        _abort(each)


def _abort(connection: object) -> None:
    assert isinstance(connection, UpstreamConnection)
    assert connection._transport is not None
    connection._transport.abort()


def test_a_post_of_an_http2_client_is_sent_on_another_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    bodies = list[bytes]()

    def handler(request: Received) -> None:
        bodies.append(request.read_body())
        answer_ok(request)

    with h1_stage(handler, credential=FakeCredential()) as (stage, _), stage.client() as client:
        assert client.get(fields=[KEY]).status == 200
        asked = _hold_all(monkeypatch, stage)
        number = client.request(fields=[KEY], method="POST", body=b"hello")
        assert client.answer(number).status == 200
    assert asked
    assert bodies == [b"", b"hello"]


def _hold_all(monkeypatch: pytest.MonkeyPatch, stage: Stage) -> list[bool]:
    """Let the next request wait for the end of its turn, and its connection close before."""
    context = stage.proxy.running.serving().context
    for each in context.pool.connections.members:
        assert isinstance(each, UpstreamConnection)
        each._outbox = context.outbox  # as on one that an HTTP/1.1 client has left
    holds = type(context.outbox).holds
    asked = list[bool]()

    def held(outbox: object, writer: object) -> bool:
        if not asked and writer in context.pool.connections.members:
            asked.append(True)
            holds(context.outbox, _Other())
            held = holds(context.outbox, writer)  # type: ignore[arg-type]  # a connection
            _abort(writer)
            return held
        return holds(context.outbox, writer)  # type: ignore[arg-type]  # a connection

    monkeypatch.setattr(type(context.outbox), "holds", held)
    return asked


def test_a_post_that_waits_as_a_stream_is_sent_on_another_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    bodies = list[bytes]()

    def handler(stream: Stream) -> None:
        bodies.append(stream.read_body())
        stream.head(200, end=True)

    with h2_stage(handler, credential=FakeCredential()) as (stage, server), stage.client() as client:
        arm = _before_a_flush(monkeypatch, lambda: _shut_down(stage))
        assert client.get(fields=[KEY]).status == 200
        arm()
        number = client.request(fields=[KEY], method="POST", body=b"hello")
        answer = client.answer(number)
        assert answer.status == 200, answer.body
    assert bodies == [b"", b"hello"]
    assert len(server.streams) == 2


def _shut_down(stage: Stage) -> None:
    """Cut the connections of HTTP/2 to the upstream."""
    for each in stage.connections():
        for connections in each.upstreams._open.values():
            for connection in connections:
                assert connection._transport is not None
                connection._transport.abort()
                connection.connection_lost(None)
