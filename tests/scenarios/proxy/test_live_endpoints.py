"""Rules for the endpoints of a service that change while the proxy runs."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

import anyio
import pytest

from nono.approval.request import Answer, Request
from nono.policy.capability import Access
from nono.policy.endpoints.policy import ALLOW_ALL, EndpointPolicy, EndpointRule
from nono.policy.live.endpoints import LiveEndpoints
from nono.policy.live.rule import Decision, LiveRule
from support.proxy.thread import PHANTOM, TIMEOUT_S, Client, ProxyUnderTest, a_route, proxy, wait_until
from support.servers.http1 import upstream

ASKS = EndpointPolicy("approve", origin="the test")
LISTED = EndpointPolicy("deny", allow=(EndpointRule("GET", "/v1"),), origin="the test")
DENIES = EndpointPolicy("allow", deny=(EndpointRule("POST", "/v1"),), origin="the test")


def rule(decision: Decision, target: str) -> LiveRule:
    return LiveRule("0", decision, "endpoint", target, Access.READ, "a person", 0, None)


def changed(p: ProxyUnderTest, live: LiveEndpoints, *rules: LiveRule) -> int:
    """Put rules in force. Returns how many connections that has cut."""

    def change() -> int:
        live.put(rules)
        return p.running.rules_changed()

    return p.on_loop(change)


def status(client: Client, method: str = "POST", path: str = "/v1", service: str = "alpha") -> int:
    client.send(
        f"{method} /{service}{path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {PHANTOM}\r\nContent-Length: 0\r\n\r\n".encode()
    )
    return client.response().status


async def nobody(request: Request, /) -> Answer:
    return Answer("denied", "a person said no")


@pytest.mark.parametrize("policy", [ASKS, LISTED], ids=["asks", "denies"])
def test_an_endpoint_is_allowed_until_that_is_taken_back(policy: EndpointPolicy) -> None:
    live = LiveEndpoints()
    with (
        upstream() as server,
        proxy(a_route(server.port, endpoints=policy), live_endpoints=live, approver=nobody) as p,
        Client(p.port) as client,
    ):
        assert status(client) == 403
        changed(p, live, rule("allow", "alpha:POST:/v1"))
        assert [status(client), status(client, path="/v2"), status(client, "PUT")] == [200, 403, 403]
        changed(p, live)
        assert status(client) == 403
    assert len(server.requests) == 1


@pytest.mark.parametrize("policy", [ALLOW_ALL, LISTED], ids=["everything", "a list"])
def test_a_denied_endpoint_is_refused_although_it_was_granted(policy: EndpointPolicy) -> None:
    live = LiveEndpoints()
    with (
        upstream() as server,
        proxy(a_route(server.port, endpoints=policy), live_endpoints=live) as p,
        Client(p.port) as client,
    ):
        # Twice: a head that was judged before is remembered.
        assert [status(client, "GET"), status(client, "GET")] == [200, 200]
        changed(p, live, rule("deny", "alpha:GET:/v1"))
        assert [status(client, "GET"), status(client, "GET", "/V1;x")] == [403, 403]
        changed(p, live)
        assert status(client, "GET") == 200
    assert ("deny", "endpoint_policy") in p.recording.decisions()


@pytest.mark.parametrize(
    ("policy", "target", "hint"),
    [
        pytest.param(ALLOW_ALL, "POST:/v*", "nono deny 'alpha:POST:/v*' --undo", id="of now, alone"),
        pytest.param(LISTED, "POST:/v1", "nono deny alpha:POST:/v1 --undo", id="of now"),
        pytest.param(DENIES, "GET:/v1", "remove endpoint_policy.deny[POST /v1] from the test", id="before"),
    ],
)
def test_a_refusal_says_how_to_take_back_the_denial_that_decided(
    policy: EndpointPolicy, target: str, hint: str
) -> None:
    live = LiveEndpoints()
    with (
        upstream() as server,
        proxy(a_route(server.port, endpoints=policy), live_endpoints=live) as p,
        Client(p.port) as client,
    ):
        changed(p, live, rule("deny", f"alpha:{target}"))
        assert status(client) == 403
    assert [event["hint"] for event in p.recording.network] == [hint]


@pytest.mark.parametrize(
    ("policy", "rules"),
    [
        (DENIES, (rule("allow", "alpha:POST:/v1"),)),
        (ASKS, (rule("allow", "alpha:POST:/v1"), rule("deny", "alpha:POST:/**"))),
    ],
    ids=["of the start", "of now"],
)
def test_a_denial_beats_an_allowed_endpoint(policy: EndpointPolicy, rules: tuple[LiveRule, ...]) -> None:
    live = LiveEndpoints()
    with (
        upstream() as server,
        proxy(a_route(server.port, endpoints=policy), live_endpoints=live, approver=nobody) as p,
        Client(p.port) as client,
    ):
        changed(p, live, *rules)
        assert status(client) == 403
    assert server.requests == []


def test_another_service_of_the_same_host_opens_nothing_that_is_denied() -> None:
    live = LiveEndpoints()
    with (
        upstream() as server,
        proxy(
            a_route(server.port),
            a_route(server.port, service="beta", phantom=PHANTOM + "b"),
            live_endpoints=live,
        ) as p,
        Client(p.port) as client,
    ):
        changed(p, live, rule("deny", "alpha:POST:/v1"))
        client.send(
            f"POST /beta/v1 HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {PHANTOM}b\r\n"
            "Content-Length: 0\r\n\r\n".encode()
        )
        assert client.response().status == 403
    assert server.requests == []


# -- what is under way


def head(method: str, path: str, *fields: str) -> bytes:
    lines = [
        f"{method} /alpha{path} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {PHANTOM}",
        *fields,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


class Standing(NamedTuple):
    """A request to /v1 under way. client, upstream: both ends of it."""

    p: ProxyUnderTest
    live: LiveEndpoints
    client: Client
    upstream: socket.socket


OF_V1 = (rule("allow", "alpha:POST:/v1"), rule("allow", "alpha:GET:/v1"))


@contextmanager
def begun(
    asked: bytes, answered: bytes, policy: EndpointPolicy = ALLOW_ALL, rules: Sequence[LiveRule] = OF_V1
) -> Iterator[Standing]:
    live = LiveEndpoints()
    live.put(rules)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(TIMEOUT_S)
        route = a_route(listener.getsockname()[1], endpoints=policy)
        with proxy(route, live_endpoints=live, approver=yes) as p, Client(p.port) as client:
            client.send(asked)
            server, _ = listener.accept()
            with server:
                server.settimeout(TIMEOUT_S)
                received = b""
                while not received.endswith(asked[-4:]):
                    received += server.recv(4096)
                server.sendall(answered)
                if answered:
                    client.read_until(answered[-3:])  # all of it: what is left would look like an answer
                yield Standing(p, live, client, server)


async def yes(request: Request, /) -> Answer:
    return Answer("granted", "")


CHUNKED = "Transfer-Encoding: chunked"
UPGRADE = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
UNFINISHED = (head("POST", "/v1", CHUNKED) + b"1\r\nx\r\n", b"")
STREAM = (head("GET", "/v1"), b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
SOCKET = (
    head("GET", "/v1", *UPGRADE, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nhello",
)
UNDER_WAY = pytest.mark.parametrize(
    ("asked", "answered"), [UNFINISHED, STREAM, SOCKET], ids=["its body", "its answer", "a WebSocket"]
)


def is_cut(end: Client | socket.socket) -> bool:
    with suppress(ConnectionError):
        return (end.receive() if isinstance(end, Client) else end.recv(10)) == b""
    return True


@UNDER_WAY
def test_a_denial_cuts_what_is_under_way_to_its_endpoint(asked: bytes, answered: bytes) -> None:
    method = asked[:4].decode().strip()
    with begun(asked, answered) as (p, live, client, server):
        assert changed(p, live, rule("deny", f"alpha:{method}:/v2"), rule("deny", "beta:*:/v1")) == 0
        assert changed(p, live, rule("deny", f"alpha:{method}:/v1")) == 1
        with suppress(ConnectionError):
            client.send(b"0\r\n\r\n")  # the end of the body, which comes too late
        assert is_cut(client)
        assert is_cut(server)
        wait_until(lambda: bool(p.recording.outcomes))
        (outcome,) = p.recording.outcomes
        assert [event["decision"] for event in p.recording.network] == ["allow"]  # it was carried out
    assert outcome["failure"] == "blocked"
    reason = f"the rules changed: {method} /v1 is denied by endpoint_policy.deny[{method} /v1]"
    assert outcome["reason"] == reason


@UNDER_WAY
@pytest.mark.parametrize("policy", [ASKS, LISTED._replace(allow=())], ids=["asks", "denies"])
def test_the_end_of_a_rule_cuts_what_it_alone_allowed(
    asked: bytes, answered: bytes, policy: EndpointPolicy
) -> None:
    with begun(asked, answered, policy) as (p, live, client, server):
        assert changed(p, live, *OF_V1, rule("allow", "alpha:GET:/v2")) == 0
        assert changed(p, live) == 1
        assert is_cut(client)
        assert is_cut(server)


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        (head("POST", "/v1", CHUNKED, "X-HTTP-Method-Override: DELETE"), "X-HTTP-Method-Override"),
        (head("POST", "/v1?_method=DELETE", CHUNKED), "the query parameter _method"),
        (head("POST", "/v1", CHUNKED, "X-HTTP-Method-Underride: DELETE"), None),
    ],
    ids=["a field", "a parameter", "another field"],
)
def test_a_denial_cuts_what_may_mean_another_request(asked: bytes, what: str | None) -> None:
    """Without rules it passes; where there are some, it is refused whatever they say of its own method."""
    with begun(asked + b"1\r\nx\r\n", b"", rules=()) as (p, live, client, server):
        assert changed(p, live, rule("deny", "beta:DELETE:/v1")) == 0
        assert changed(p, live, rule("deny", "alpha:DELETE:/v1")) == (0 if what is None else 1)
        if what is None:
            return
        assert is_cut(client)
        assert is_cut(server)
        wait_until(lambda: bool(p.recording.outcomes))
        (outcome,) = p.recording.outcomes
    said = f"{what} makes another request of one that is judged by its method and path"
    assert outcome["reason"] == f"the rules changed: {said}"


@pytest.mark.parametrize("path", ["/V1;x", "/%761"])
def test_a_denial_cuts_a_spelling_that_passed_while_there_were_no_rules(path: str) -> None:
    asked = head("POST", path, CHUNKED) + b"1\r\nx\r\n"
    with begun(asked, b"", rules=()) as (p, live, client, _server):
        assert changed(p, live, rule("deny", "alpha:POST:/v1")) == 1
        assert is_cut(client)


def test_what_a_person_agreed_to_goes_on_where_others_would_be_asked_about() -> None:
    live = LiveEndpoints()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        route = a_route(listener.getsockname()[1], endpoints=ASKS)
        with proxy(route, live_endpoints=live, approver=yes) as p, Client(p.port) as client:
            client.send(STREAM[0])
            server, _ = listener.accept()
            with server:
                server.recv(4096)
                server.sendall(STREAM[1])
                client.read_until(b"x\r\n")
                assert changed(p, live, rule("allow", "alpha:GET:/v2")) == 0
                assert changed(p, live) == 0
                assert changed(p, live, rule("deny", "alpha:GET:/v1")) == 1
                assert is_cut(client)


def test_a_denial_cuts_the_request_that_a_person_is_asked_about() -> None:
    live, asked = LiveEndpoints(), threading.Event()

    async def thinks(request: Request, /) -> Answer:
        asked.set()
        await anyio.sleep_forever()
        return Answer("granted", "")

    with (
        upstream() as server,
        proxy(a_route(server.port, endpoints=ASKS), live_endpoints=live, approver=thinks) as p,
        Client(p.port) as client,
    ):
        client.send(STREAM[0])
        assert asked.wait(TIMEOUT_S)
        assert changed(p, live, rule("deny", "alpha:GET:/v2")) == 0
        assert changed(p, live, rule("deny", "alpha:GET:/v1")) == 1
        assert is_cut(client)
        (event,) = p.recording.network
    assert (event["decision"], event["denial_category"]) == ("deny", "endpoint_policy")
    assert event["reason"] == "the rules changed: GET /v1 is denied by endpoint_policy.deny[GET /v1]"
    assert server.requests == []
