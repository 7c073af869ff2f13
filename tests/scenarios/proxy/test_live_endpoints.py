"""Rules for the endpoints of a service that change while the proxy runs."""

from __future__ import annotations

import pytest

from nono.approval.request import Answer, Request
from nono.policy.capability import Access
from nono.policy.endpoints.policy import ALLOW_ALL, EndpointPolicy, EndpointRule
from nono.policy.live.endpoints import LiveEndpoints
from nono.policy.live.rule import Decision, LiveRule
from support.proxy.thread import PHANTOM, Client, ProxyUnderTest, a_route, proxy
from support.servers.http1 import upstream

ASKS = EndpointPolicy("approve", origin="the test")
LISTED = EndpointPolicy("deny", allow=(EndpointRule("GET", "/v1"),), origin="the test")
DENIES = EndpointPolicy("allow", deny=(EndpointRule("POST", "/v1"),), origin="the test")


def rule(decision: Decision, target: str) -> LiveRule:
    return LiveRule("0", decision, "endpoint", target, Access.READ, "a person", 0, None)


def changed(p: ProxyUnderTest, live: LiveEndpoints, *rules: LiveRule) -> None:
    def change() -> None:
        live.put(rules)
        p.running.rules_changed()

    p.on_loop(change)


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
