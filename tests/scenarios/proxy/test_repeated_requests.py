"""A request that repeats an earlier one is judged, limited, recorded and answered like the first."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest

from nono.approval.request import Answer, Request
from nono.policy.endpoints.policy import EndpointPolicy
from nono.policy.schema.route_rules import RateLimit, UsageLimits
from nono.proxy.verdict.routes import Route
from support.proxy.thread import PHANTOM, Client, a_route, proxy
from support.servers.http1 import upstream

KEY = b"X-Api-Key: " + PHANTOM.encode() + b"\r\n"


def post(body: bytes, *, path: bytes = b"/alpha/x", fields: bytes = KEY) -> bytes:
    length = b"Content-Length: %d\r\n" % len(body)
    return b"POST " + path + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n" + fields + length + b"\r\n" + body


def test_a_request_of_another_length_is_sent_with_its_own_body() -> None:
    bodies = [b"one", b"another", b"", b"one"]
    with upstream() as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        for body in bodies:
            client.send(post(body))
            assert client.response().status == 200
        assert [request.body for request in server.requests] == bodies
        assert p.recording.decisions() == [("allow", None)] * len(bodies)


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        pytest.param(post(b"", fields=b""), 401, id="without the phantom"),
        pytest.param(post(b"", fields=KEY.replace(b"sk-", b"sk_")), 401, id="another key"),
        pytest.param(post(b"", fields=KEY + b"Authorization: Bearer mine\r\n"), 403, id="a second key"),
        pytest.param(post(b"", path=b"/alpha/x/../y"), 400, id="another path"),
        pytest.param(post(b"", path=b"/beta/x"), 404, id="another service"),
        pytest.param(b"TRACE" + post(b"")[4:], 405, id="another method"),
    ],
)
@pytest.mark.parametrize("is_first", [False, True], ids=["behind it", "on another connection"])
def test_a_request_that_differs_in_anything_else_is_judged_anew(
    changed: bytes, status: int, is_first: bool
) -> None:
    with upstream() as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(post(b""))
        assert client.response().status == 200
        with Client(p.port) as other:
            second = other if is_first else client
            second.send(changed)
            assert second.response().status == status
        assert len(server.requests) == 1


def test_a_request_like_one_that_was_refused_is_refused() -> None:
    with upstream() as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        for _ in range(3):
            client.send(post(b"", fields=b""))
            assert client.response().status == 401
        assert server.requests == []


def test_each_repetition_is_recorded_with_its_own_time_in_front(monkeypatch: pytest.MonkeyPatch) -> None:
    times = itertools.count(1)
    monkeypatch.setattr("nono.audit.event.unix_ms", lambda: next(times))
    with upstream() as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        for _ in range(3):
            client.send(post(b"", path=b"/alpha/timed"))
            assert client.response().status == 200
        recorded = [[*event.items()] for event in p.recording.network]
    assert [fields[0][0] for fields in recorded] == ["timestamp_unix_ms"] * 3
    assert recorded[0][0][1] < recorded[1][0][1] < recorded[2][0][1]  # type: ignore[operator]  # numbers
    assert recorded[0][1:] == recorded[1][1:] == recorded[2][1:]


def test_a_person_is_asked_each_time() -> None:
    answers = [Answer("granted"), Answer("denied"), Answer("granted")]

    async def approver(request: Request) -> Answer:
        return answers.pop(0)

    endpoints = EndpointPolicy(default="approve")
    with (
        upstream() as server,
        proxy(a_route(server.port, endpoints=endpoints), approver=approver) as p,
        Client(p.port) as client,
    ):
        seen = []
        for _ in range(3):
            client.send(post(b""))
            seen.append(client.response().status)
        assert seen == [200, 403, 200]


def limited_to_two_requests(route: Route) -> Route:
    return replace(route, limits=UsageLimits(requests=2))


def slowed_after_two_requests(route: Route) -> Route:
    return replace(route, rate_limit=RateLimit(requests_per_minute=0.001, burst=2, max_delay_s=0.0))


@pytest.mark.parametrize("limited", [limited_to_two_requests, slowed_after_two_requests])
def test_each_repetition_counts_towards_a_limit(limited: Callable[[Route], Route]) -> None:
    with upstream() as server, proxy(limited(a_route(server.port))) as p, Client(p.port) as client:
        seen = []
        for _ in range(3):
            client.send(post(b""))
            seen.append(client.response().status)
        assert seen == [200, 200, 429]


def test_a_frozen_credential_is_not_used_for_a_repetition() -> None:
    with (
        upstream() as server,
        proxy(
            a_route(server.port), a_route(server.port + 1, service="other", phantom="sk-of-the-other")
        ) as p,
        Client(p.port) as client,
    ):
        client.send(post(b""))
        assert client.response().status == 200
        client.send(post(b"", path=b"/other/x"))  # alpha's phantom, where it does not belong
        assert client.response().status == 403
        client.send(post(b""))
        assert client.response().status == 403
        assert len(server.requests) == 1


def test_a_repetition_that_cannot_be_recorded_is_not_sent() -> None:
    with upstream() as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(post(b""))
        assert client.response().status == 200
        p.recording.failing = True
        client.send(post(b""))
        assert client.response().status >= 500
        assert len(server.requests) == 1
