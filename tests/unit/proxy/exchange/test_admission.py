"""What must be had before a request is sent: approval, its turn, its credential, and all of its body."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import cast

import pytest

from nono.approval.backends import Backends
from nono.approval.broker import approval_broker
from nono.approval.request import Answer, EndpointRequest, LimitRequest, Question, Request
from nono.audit.event import Event
from nono.credentials.values.credential import Injected, Injection, LeakDetector, Outgoing, RequestFacts
from nono.credentials.values.errors import CredentialUnavailable
from nono.errors import CredentialError
from nono.policy.endpoints.policy import EndpointPolicy, EndpointRule
from nono.policy.schema.route_rules import RateLimit, UsageLimits
from nono.policy.services.approval import TERMINAL, Approval
from nono.proxy.exchange.admission import MAX_REASONS_TOLD
from nono.proxy.exchange.delivery import MAX_HELD_BYTES
from nono.proxy.usage.meter import Usage
from support.proxy.interception import intercepting
from support.proxy.thread import (
    PHANTOM,
    REAL_KEY,
    TIMEOUT_S,
    Client,
    FakeCredential,
    a_route,
    proxy,
    wait_until,
)
from support.servers.http1 import Received, upstream

BEARER = b"Authorization: Bearer " + PHANTOM.encode() + b"\r\n"


def get(path: str = "/alpha/v1", fields: bytes = BEARER, *, method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n".encode() + fields + b"\r\n"


def post(body: bytes, fields: bytes = BEARER) -> bytes:
    return get(fields=fields + b"Content-Length: %d\r\n" % len(body), method="POST") + body


class Gate:
    """Holds up what runs in the proxy's loop until a test opens it."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opened = asyncio.Event()
        self.waiting = threading.Semaphore(0)
        self.cancelled = threading.Event()

    async def passed(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.waiting.release()
        try:
            await self._opened.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    def wait_for_somebody(self) -> None:
        assert self.waiting.acquire(timeout=TIMEOUT_S)

    def open(self) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._opened.set)


# -- the rate limit


SCARCE = RateLimit(requests_per_minute=0.001, burst=2, max_delay_s=0.0)


def test_beyond_the_burst_requests_are_answered_429_on_both_ways_together() -> None:
    with upstream() as server:
        limited = a_route(server.port, host="localhost", rate_limit=SCARCE)
        free = a_route(server.port, service="beta", host="127.0.0.1", phantom="b")
        with intercepting(limited, free) as p, Client(p.port) as client:
            client.send(get())
            assert client.response().status == 200
            with p.inside("localhost", server.port) as inside:
                request = get("/v1").replace(b"127.0.0.1", b"localhost:%d" % server.port)
                inside.send(request)
                assert inside.response().status == 200
                inside.send(request)
                assert inside.response().status == 429
            client.send(get())
            response = client.response()
            assert response.status == 429
            assert int(response.value("retry-after") or 0) > 0
            assert json.loads(response.body)["rule"] == "rate_limit"
            client.send(get("/beta/v1", b"X-Api-Key: b\r\n"))
            assert client.response().status == 200
    assert len(server.requests) == 3
    assert [event["status"] for event in p.recording.network if event["decision"] == "deny"] == [429, 429]


def test_requests_that_are_refused_anyway_take_no_turn() -> None:
    rules = EndpointPolicy("deny", allow=(EndpointRule("GET", "/v1"),))
    with (
        upstream() as server,
        proxy(a_route(server.port, rate_limit=SCARCE, endpoints=rules)) as p,
        Client(p.port) as client,
    ):
        for _ in range(2):
            client.send(get(fields=b""))
            assert client.response().status == 401
            client.send(get("/alpha/other"))
            assert client.response().status == 403
        for expected in (200, 200, 429):
            client.send(get())
            assert client.response().status == expected


def test_a_request_that_may_wait_for_its_turn_waits() -> None:
    limit = RateLimit(requests_per_minute=300, burst=1, max_delay_s=5)
    with (
        upstream() as server,
        proxy(a_route(server.port, rate_limit=limit)) as p,
        Client(p.port) as client,
    ):
        begin = time.monotonic()
        for _ in range(3):
            client.send(get())
            assert client.response().status == 200
        assert time.monotonic() - begin > 0.3  # two turns of 0.2 s


def test_no_requests_per_minute_is_no_limit() -> None:
    limit = RateLimit(requests_per_minute=0, burst=1)
    with upstream() as server, proxy(a_route(server.port, rate_limit=limit)) as p, Client(p.port) as client:
        for _ in range(20):
            client.send(get())
            assert client.response().status == 200


def test_a_client_that_goes_away_while_it_waits_reaches_nothing() -> None:
    limit = RateLimit(requests_per_minute=1, burst=1, max_delay_s=120)
    with upstream() as server, proxy(a_route(server.port, rate_limit=limit)) as p:
        with Client(p.port) as client:
            client.send(get())
            assert client.response().status == 200
            client.send(get())
        wait_until(lambda: p.running.client_connections == 0)
        assert len(server.requests) == 1


# -- approval

GRANTED, DENIED = Answer("granted"), Answer("denied", "not today")


def approving(timeout_s: float | None = None) -> EndpointPolicy:
    rule = EndpointRule("POST", "/v1/pay", reason="it costs money", timeout_s=timeout_s)
    return EndpointPolicy("deny", approve=(rule,), allow=(EndpointRule("GET", "/v1/**"),))


@dataclass
class Person:
    """Answers what it is told to, and keeps what it was asked."""

    answer: Callable[[], object]
    asked: list[EndpointRequest] = field(default_factory=list)

    async def __call__(self, request: Request, /) -> Answer:
        assert isinstance(request, EndpointRequest)
        self.asked.append(request)
        return self.answer()  # type: ignore[return-value]  # anything may come back from a backend


PAY = get("/alpha/v1/pay?order=1", BEARER + b"Content-Length: 2\r\n", method="POST") + b"ok"


def test_each_request_that_needs_approval_goes_after_its_own_yes() -> None:
    person = Person(lambda: GRANTED)
    with (
        upstream() as server,
        proxy(a_route(server.port, endpoints=approving()), approver=person) as p,
        Client(p.port) as client,
    ):
        for _ in range(2):
            client.send(PAY)
            assert client.response().status == 200
        client.send(get("/alpha/v1/free"))
        assert client.response().status == 200
    assert [request.method for request in server.requests] == [b"POST", b"POST", b"GET"]
    assert server.requests[0].body == b"ok"
    assert len(person.asked) == 2
    asked = person.asked[0]
    assert (asked.host, asked.method, asked.route) == ("127.0.0.1", "POST", "alpha")
    assert "/v1/pay" in asked.path
    assert "order=1" not in asked.path
    assert asked.rule.reason == "it costs money"


def test_inside_a_connect_the_same_rule_asks() -> None:
    person = Person(lambda: DENIED)
    with (
        upstream() as server,
        intercepting(a_route(server.port, host="localhost", endpoints=approving()), approver=person) as p,
        p.inside("localhost", server.port) as client,
    ):
        request = PAY.replace(b"/alpha", b"").replace(b"127.0.0.1", b"localhost:%d" % server.port)
        client.send(request)
        assert client.response().status == 403
        person.answer = lambda: GRANTED
        client.send(request)
        assert client.response().status == 200
    assert len(server.requests) == 1


def fail() -> object:
    raise RuntimeError("the backend is broken")


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(lambda: DENIED, id="denied"),
        pytest.param(lambda: Answer("timeout"), id="too late"),
        pytest.param(lambda: Answer("error"), id="failed"),
        pytest.param(lambda: True, id="a truth"),
        pytest.param(lambda: None, id="no answer"),
        pytest.param(lambda: "yes", id="a word"),
        pytest.param(lambda: 1, id="a number"),
        pytest.param(fail, id="broken"),
    ],
)
def test_whatever_is_not_a_yes_is_a_no(answer: Callable[[], object]) -> None:
    with (
        upstream() as server,
        proxy(a_route(server.port, endpoints=approving()), approver=Person(answer)) as p,
        Client(p.port) as client,
    ):
        client.send(PAY)
        response = client.response()
        assert response.status == 403
        assert json.loads(response.body)["rule"] == "endpoint_policy.approve[POST /v1/pay]"
        client.send(get("/alpha/v1/x"))
        assert client.response().status == 200
    assert [request.method for request in server.requests] == [b"GET"]
    assert p.recording.decisions() == [("deny", "endpoint_policy"), ("allow", None)]


def on(way: str, path: str, port: int, method: str = "GET") -> bytes:
    """Return a request to the service by its name, or to its host inside a CONNECT."""
    if way == "reverse":
        return get(f"/alpha{path}", method=method)
    return get(path, method=method).replace(b"127.0.0.1", b"localhost:%d" % port)


@pytest.mark.parametrize("way", ["reverse", "inside"])
def test_a_refusal_after_a_question_names_the_path_of_its_rule(way: str) -> None:
    route = partial(a_route, host="localhost", endpoints=approving())
    person = Person(lambda: DENIED)
    errors = []
    with (
        upstream() as server,
        intercepting(route(server.port), approver=person) as p,
        p.inside("localhost", server.port) if way == "inside" else Client(p.port) as client,
    ):
        for path in ("/v1/pay", "/v1/refund"):
            client.send(on(way, path, server.port, "POST"))
            errors.append(json.loads(client.response().body)["error"])
    assert errors == [
        "POST /v1/pay was not approved: not today",
        "POST /v1/refund is not allowed on localhost",
    ]


@pytest.mark.parametrize("way", ["reverse", "inside"])
def test_each_denial_at_the_name_of_a_service_has_port_0(way: str) -> None:
    route = partial(a_route, host="localhost", endpoints=approving(), rate_limit=SCARCE._replace(burst=1))
    asked = [("/v1/pay", "POST"), ("/v1/refund", "POST"), ("/v1/x", "GET"), ("/v1/y", "GET")]
    statuses = []
    with upstream() as server, intercepting(route(server.port), approver=Person(lambda: DENIED)) as p:
        with p.inside("localhost", server.port) if way == "inside" else Client(p.port) as client:
            for path, method in asked:
                client.send(on(way, path, server.port, method))
                statuses.append(client.response().status)
        ports = {
            event["path"]: event["port"] for event in p.recording.network if event["method"] != "CONNECT"
        }
    denied = 0 if way == "reverse" else server.port
    assert statuses == [403, 403, 200, 429]
    assert [*ports.values()] == [denied, denied, server.port, denied]


def test_where_nobody_can_be_asked_the_answer_is_no() -> None:
    with (
        upstream() as server,
        proxy(a_route(server.port, endpoints=approving())) as p,
        Client(p.port) as client,
    ):
        client.send(PAY)
        assert client.response().status == 403
    assert server.connections == []


def test_a_person_who_does_not_answer_in_time_has_said_no() -> None:
    gate = Gate()
    events: list[Event] = []

    class Silent:
        async def ask(self, question: Question, expires_s: float) -> Answer:
            await gate.passed()
            return GRANTED

    async def asks(request: Request, /) -> Answer:
        async with approval_broker(Backends(Approval(), {TERMINAL: Silent()}), events.append, "") as approver:
            return await approver(request)

    with (
        upstream() as server,
        proxy(a_route(server.port, endpoints=approving(timeout_s=0.05)), approver=asks) as p,
        Client(p.port) as client,
    ):
        client.send(PAY)
        response = client.response()
        assert response.status == 403
        assert b"nobody has answered within 0.05 s" in response.body
        assert gate.cancelled.is_set()
    assert server.connections == []
    decisions = [cast(Event, event["event"])["decision"] for event in events]
    assert decisions == ["approve_requested", "approve_timeout"]


@pytest.mark.parametrize("inside", [False, True], ids=["reverse", "inside"])
def test_a_client_that_goes_away_takes_its_question_with_it(inside: bool) -> None:
    gate = Gate()

    async def hang(request: Request, /) -> Answer:
        await gate.passed()
        return GRANTED

    with (
        upstream() as server,
        intercepting(a_route(server.port, host="localhost", endpoints=approving()), approver=hang) as p,
    ):
        request = PAY
        if inside:
            request = PAY.replace(b"/alpha", b"").replace(b"127.0.0.1", b"localhost:%d" % server.port)
        with p.inside("localhost", server.port) if inside else Client(p.port) as client:
            client.send(request)
            gate.wait_for_somebody()
        assert gate.cancelled.wait(TIMEOUT_S)
        wait_until(lambda: p.running.client_connections == 0)
        assert server.connections == []
        assert not any(
            event.get("path") == "/v1/pay" and event["decision"] == "allow" for event in p.recording.network
        )


def test_who_has_no_phantom_or_asks_for_a_denied_path_asks_nobody() -> None:
    person = Person(lambda: GRANTED)
    with (
        upstream() as server,
        proxy(a_route(server.port, endpoints=approving()), approver=person) as p,
        Client(p.port) as client,
    ):
        client.send(PAY.replace(BEARER, b""))
        assert client.response().status == 401
        client.send(PAY.replace(b"/pay", b"/refund"))
        assert client.response().status == 403
    assert person.asked == []
    assert server.connections == []


def test_a_pending_question_does_not_hold_up_others() -> None:
    gate = Gate()

    async def later(request: Request, /) -> Answer:
        await gate.passed()
        return GRANTED

    with (
        upstream() as server,
        proxy(a_route(server.port, endpoints=approving()), approver=later) as p,
        Client(p.port) as client,
        Client(p.port) as other,
    ):
        client.send(PAY)
        gate.wait_for_somebody()
        other.send(get("/alpha/v1/x"))
        assert other.response().status == 200
        gate.open()
        assert client.response().status == 200
    assert len(server.requests) == 2


def test_the_proxy_ends_while_a_question_is_pending() -> None:
    gate = Gate()

    async def hang(request: Request, /) -> Answer:
        await gate.passed()
        return GRANTED

    with upstream() as server:
        route = a_route(server.port, endpoints=approving())
        with proxy(route, approver=hang, close_grace_s=0.05) as p:
            client = Client(p.port)
            client.send(PAY)
            gate.wait_for_somebody()
        with client:
            assert client.is_closed()
        assert gate.cancelled.is_set()
    assert server.connections == []


# -- credentials that are not at hand


@dataclass
class SlowCredential:
    """One that has to be fetched, and may fail."""

    failure: Exception | None = None
    gate: Gate | None = None
    asked: list[RequestFacts] = field(default_factory=list)
    refused: list[RequestFacts] = field(default_factory=list)

    def at_hand(self, request: RequestFacts) -> Injection | None:
        return None

    async def acquire(self, request: RequestFacts) -> Injection:
        self.asked.append(request)
        if self.gate is not None:
            await self.gate.passed()
        if self.failure is not None:
            raise self.failure
        return FakeCredential()

    def rejected(self, request: RequestFacts) -> None:
        self.refused.append(request)

    def tripwire(self) -> LeakDetector | None:
        return None


def test_a_credential_that_is_fetched_first_is_told_where_it_goes() -> None:
    credential = SlowCredential()
    with (
        upstream() as server,
        proxy(a_route(server.port, base_path="/base", credential=credential)) as p,
        Client(p.port) as client,
    ):
        client.send(get("/alpha/v1?x=1"))
        assert client.response().status == 200
        client.send(get("/alpha/v1?x=1", b""))
        assert client.response().status == 401
    assert server.requests[0].values(b"authorization") == [b"Bearer " + REAL_KEY.encode()]
    (asked,) = credential.asked
    facts = RequestFacts("127.0.0.1", server.port, "GET", "/base/v1?x=1", "alpha")
    assert asked == facts._replace(recorded="/alpha/v1?x=[REDACTED]")
    assert p.recording.decisions() == [("allow", None), ("deny", "authentication_failed")]


@pytest.mark.parametrize(
    "failure",
    [
        CredentialUnavailable(f"no {REAL_KEY}", hint=REAL_KEY),
        CredentialError(REAL_KEY),
        OSError(REAL_KEY),
        ValueError(REAL_KEY),
        TimeoutError(REAL_KEY),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_an_unavailable_credential_answers_503_without_its_text(failure: Exception) -> None:
    credential = SlowCredential(failure)
    with (
        upstream() as server,
        proxy(a_route(server.port, credential=credential)) as p,
        Client(p.port) as client,
    ):
        client.send(get())
        response = client.response()
        assert (response.status, response.value("retry-after")) == (503, "1")
        assert REAL_KEY.encode() not in response.body
        credential.failure = None
        client.send(get())
        assert client.response().status == 200
    assert len(server.requests) == 1
    assert p.recording.decisions() == [("deny", "managed_credential_unavailable"), ("allow", None)]
    assert REAL_KEY not in json.dumps(p.recording.events)


def test_each_reason_is_told_once_to_the_person_only() -> None:
    told: list[str] = []
    credential = SlowCredential()
    reasons = ["idp.test answered 400", "idp.test answered 400", "idp.test\x1b[2J did not answer"]
    with (
        upstream() as server,
        proxy(a_route(server.port, credential=credential), alarm=told.append) as p,
        Client(p.port) as client,
    ):
        for reason in reasons:
            credential.failure = CredentialUnavailable(reason, hint="look at client_id")
            client.send(get())
            response = client.response()
            assert response.status == 503
            assert b"idp.test" not in response.body
            assert b"on its own standard error, unless it is --silent" in response.body
        credential.failure = ValueError("whose words are not nono's")
        client.send(get())
        assert client.response().status == 503
        credential.failure = None
        client.send(get())
        assert client.response().status == 200
    assert told == [
        "idp.test answered 400; requests to 'alpha' answer 503\n    hint: look at client_id",
        "idp.test [2J did not answer; requests to 'alpha' answer 503\n    hint: look at client_id",
    ]
    refused = ("deny", "managed_credential_unavailable")
    assert p.recording.decisions() == [refused] * 4 + [("allow", None)]


def test_varied_credential_failures_do_not_flood_the_terminal() -> None:
    told: list[str] = []
    credential = SlowCredential()
    with (
        upstream() as server,
        proxy(a_route(server.port, credential=credential), alarm=told.append) as p,
        Client(p.port) as client,
    ):
        for number in range(20):
            credential.failure = CredentialUnavailable(f"exit status {number}")
            client.send(get())
            assert client.response().status == 503
    assert len(told) == MAX_REASONS_TOLD


def test_a_bug_in_a_credential_ends_its_own_connection_only(caplog: pytest.LogCaptureFixture) -> None:
    credential = SlowCredential(KeyError("a bug"))
    with upstream() as server, proxy(a_route(server.port, credential=credential)) as p:
        with Client(p.port) as client:
            client.send(get())
            assert client.is_closed()
        credential.failure = None
        with Client(p.port) as client:
            client.send(get())
            assert client.response().status == 200
    assert "a connection of the proxy failed" in caplog.text


def test_a_client_that_leaves_ends_only_its_own_credential_fetch() -> None:
    gate = Gate()
    with upstream() as server:
        slow = a_route(server.port, credential=SlowCredential(gate=gate))
        with proxy(slow, a_route(server.port, service="beta", phantom="b")) as p:
            with Client(p.port) as client, Client(p.port) as other:
                client.send(post(b"body"))
                gate.wait_for_somebody()
                other.send(get("/beta/v1", b"X-Api-Key: b\r\n"))
                assert other.response().status == 200
            assert gate.cancelled.wait(TIMEOUT_S)
            wait_until(lambda: p.running.client_connections == 0)
    assert len(server.requests) == 1


def test_a_client_leaving_as_its_credential_arrives_leaves_nothing_behind() -> None:
    with upstream() as server:
        for _ in range(10):
            gate = Gate()
            with proxy(a_route(server.port, credential=SlowCredential(gate=gate))) as p:
                client = Client(p.port)
                client.send(get())
                gate.wait_for_somebody()
                with p.standing_still():
                    gate.open()
                    client.transport.close()
                wait_until(lambda: p.running.client_connections == 0)


def test_the_body_waits_until_the_credential_is_there() -> None:
    gate = Gate()
    body = bytes(range(256)) * 4096
    with (
        upstream() as server,
        proxy(a_route(server.port, credential=SlowCredential(gate=gate))) as p,
        Client(p.port) as client,
    ):
        sender = threading.Thread(target=client.send, args=(post(body),))
        sender.start()
        gate.wait_for_somebody()
        assert server.connections == []
        gate.open()
        assert client.response().status == 200
        sender.join(TIMEOUT_S)
    assert server.requests[0].body == body


@pytest.mark.parametrize(("status", "told"), [(401, 1), (403, 0), (200, 0)])
def test_a_credential_is_told_when_the_upstream_answers_401(status: int, told: int) -> None:
    credential = SlowCredential()
    with (
        upstream(lambda request: request.connection.respond(status)) as server,
        proxy(a_route(server.port, credential=credential)) as p,
        Client(p.port) as client,
    ):
        client.send(get())
        assert client.response().status == status
    assert len(credential.refused) == told


# -- injections that need the whole body


@dataclass
class Signing:
    """Writes the length of the body it was shown, and keeps what it saw."""

    seen: list[Outgoing] = field(default_factory=list)

    needs_body = True
    header_names = frozenset((b"x-signature", b"authorization"))

    def inject(self, request: Outgoing) -> Injected:
        assert request.body is not None
        self.seen.append(request)
        return Injected(request.target, [(b"X-Signature", b"%d" % len(request.body))])

    def at_hand(self, request: RequestFacts) -> Injection | None:
        return self

    async def acquire(self, request: RequestFacts) -> Injection:
        return self

    def rejected(self, request: RequestFacts) -> None:
        pass

    def tripwire(self) -> LeakDetector | None:
        return None


def chunked(pieces: list[bytes]) -> bytes:
    head = get(fields=BEARER + b"Transfer-Encoding: chunked\r\n", method="POST")
    return head + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@pytest.mark.parametrize(
    ("request_", "body"),
    [
        pytest.param(get(), b"", id="no body"),
        pytest.param(post(b""), b"", id="an empty one"),
        pytest.param(post(b"abc"), b"abc", id="with a length"),
        pytest.param(chunked([b"ab", b"c"]), b"abc", id="in chunks"),
        pytest.param(chunked([]), b"", id="no chunk"),
        pytest.param(post(bytes(1 << 20)), bytes(1 << 20), id="a megabyte"),
        pytest.param(chunked([b"x"] * 100_000), b"x" * 100_000, id="many small chunks"),
    ],
)
def test_exactly_the_signed_body_is_sent_with_its_length(request_: bytes, body: bytes) -> None:
    signing = Signing()
    with (
        upstream() as server,
        proxy(a_route(server.port, credential=signing)) as p,
        Client(p.port) as client,
    ):
        for _ in range(2):
            sender = threading.Thread(target=client.send, args=(request_,))
            sender.start()
            assert client.response().status == 200
            sender.join(TIMEOUT_S)
    assert [request.body for request in signing.seen] == [body, body]
    for received in server.requests:
        assert received.body == body
        assert received.values(b"x-signature") == [b"%d" % len(body)]
        if body:
            assert received.values(b"content-length") == [b"%d" % len(body)]
            assert received.values(b"transfer-encoding") == []
        assert received.values(b"authorization") == []


def send_quietly(client: Client, piece: bytes) -> threading.Thread:
    """Send in a thread; that nobody reads it to the end is no fault."""

    def send() -> None:
        with suppress(OSError):
            client.send(piece)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def test_a_held_body_is_at_most_16_mebibytes() -> None:
    signing = Signing()
    with upstream() as server, proxy(a_route(server.port, credential=signing)) as p:
        with Client(p.port) as client:
            sender = send_quietly(client, post(bytes(MAX_HELD_BYTES)))
            assert client.response().status == 200
            sender.join(TIMEOUT_S)
        with Client(p.port) as client:  # announced, and refused before a byte of it is sent
            client.send(get(fields=BEARER + b"Content-Length: %d\r\n" % (MAX_HELD_BYTES + 1), method="POST"))
            response = client.response()
            assert (response.status, response.value("connection")) == (413, "close")
        with Client(p.port) as client:
            sender = send_quietly(client, chunked([bytes(1 << 20)] * 16 + [b"x"]))
            response = client.response()
            assert (response.status, response.value("connection")) == (413, "close")
            sender.join(TIMEOUT_S)
        wait_until(lambda: p.running.client_connections == 0)
    assert len(server.requests) == 1
    assert [event["status"] for event in p.recording.network if event["decision"] == "deny"] == [413, 413]


def test_an_expectation_is_met_by_the_proxy_alone() -> None:
    with (
        upstream() as server,
        proxy(a_route(server.port, credential=Signing())) as p,
        Client(p.port) as client,
    ):
        client.send(get(fields=BEARER + b"Content-Length: 3\r\nExpect: 100-continue\r\n", method="POST"))
        assert client.read_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert server.connections == []
        client.send(b"abc")
        assert client.response().status == 200
        client.send(
            get(
                fields=BEARER + b"Content-Length: %d\r\nExpect: 100-continue\r\n" % (MAX_HELD_BYTES + 1),
                method="POST",
            )
        )
        response = client.response()
        assert (response.status, response.interim) == (413, [])
    assert server.requests[0].values(b"expect") == []


def test_a_body_that_breaks_off_is_never_signed() -> None:
    signing = Signing()
    with upstream() as server, proxy(a_route(server.port, credential=signing)) as p:
        with Client(p.port) as client:
            client.send(get(fields=BEARER + b"Content-Length: 5\r\n", method="POST") + b"ab")
        wait_until(lambda: p.running.client_connections == 0)
        with Client(p.port) as client:
            client.send(get(fields=BEARER + b"Transfer-Encoding: chunked\r\n", method="POST") + b"zz\r\n")
            assert client.response().status == 400
    assert signing.seen == []
    assert server.connections == []


@pytest.mark.parametrize(("request_", "status"), [(get(), 200), (post(b"abc"), 502)], ids=["GET", "POST"])
def test_only_an_idempotent_request_is_retried_on_a_new_connection(request_: bytes, status: int) -> None:
    def handler(request: Received) -> None:
        request.read_body()
        if request.connection.number == 0 and len(server.requests) == 2:
            request.connection.reset()
        else:
            request.connection.respond()

    with (
        upstream(handler) as server,
        proxy(a_route(server.port, credential=Signing())) as p,
        Client(p.port) as client,
    ):
        client.send(get())
        assert client.response().status == 200
        client.send(request_)
        assert client.response().status == status
    assert server.requests[0].values(b"x-signature") == [b"0"]
    assert len(server.requests) == (3 if status == 200 else 2)


def test_an_empty_body_in_chunks_counts_as_sent_with_its_end() -> None:
    def handler(request: Received) -> None:
        request.read_body()
        if request.method == b"POST":
            request.connection.reset()
        else:
            request.connection.respond()

    with upstream(handler) as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(get())
        assert client.response().status == 200
        client.send(get(fields=BEARER + b"Transfer-Encoding: chunked\r\n", method="POST") + b"0\r\n\r\n")
        assert client.response().status == 502
    assert [request.method for request in server.requests] == [b"GET", b"POST"]


# -- a credential that is frozen


def test_a_request_approved_before_a_freeze_gets_no_credential_after_it() -> None:
    gate, told = Gate(), list[str]()

    async def later(request: Request, /) -> Answer:
        await gate.passed()
        return GRANTED

    with upstream() as server:
        routes = (
            a_route(server.port, endpoints=approving()),
            a_route(server.port, service="beta", phantom="sk-phantom-of-beta"),
        )
        with (
            proxy(*routes, approver=later, alarm=told.append) as p,
            Client(p.port) as client,
            Client(p.port) as traitor,
        ):
            client.send(PAY)
            gate.wait_for_somebody()
            for _ in range(2):
                traitor.send(get("/beta/v1"))
                assert traitor.response().status == 403
            gate.open()
            response = client.response()
            assert (response.status, json.loads(response.body)["rule"]) == (403, "tripwire")
            client.send(PAY)  # and nobody is asked any more
            assert client.response().status == 403
            traitor.send(get("/beta/v1", b"X-Api-Key: sk-phantom-of-beta\r\n"))
            assert traitor.response().status == 200
    assert len(server.requests) == 1
    assert len(told) == 1
    assert "alpha" in told[0]
    assert not gate.waiting.acquire(blocking=False)


def test_a_route_without_a_tripwire_refuses_only_the_request() -> None:
    with upstream() as server:
        routes = (
            a_route(server.port, watched=False),
            a_route(server.port, service="beta", phantom="sk-phantom-of-beta"),
        )
        with proxy(*routes) as p, Client(p.port) as client:
            client.send(get("/beta/v1"))
            assert client.response().status == 403
            client.send(get())
            assert client.response().status == 200


# -- a limit at which somebody is asked


class AboutLimits:
    """Answers each question about a limit in turn, and keeps them."""

    def __init__(self, *outcomes: str) -> None:
        self.outcomes = [*outcomes]
        self.asked: list[Request] = []

    async def __call__(self, request: Request, /) -> Answer:
        self.asked.append(request)
        outcome = self.outcomes.pop(0)
        return Answer("granted") if outcome == "granted" else Answer("denied", "a person said no")


ASKING = UsageLimits(requests=1, on_limit="ask")


def statuses(client: Client, count: int) -> list[int]:
    found = []
    for _ in range(count):
        client.send(get())
        found.append(client.response().status)
    return found


def test_at_a_limit_a_yes_allows_as_much_again() -> None:
    person = AboutLimits("granted", "denied")
    with (
        upstream() as server,
        proxy(a_route(server.port, limits=ASKING), approver=person) as p,
        Client(p.port) as client,
    ):
        assert statuses(client, 3) == [200, 200, 429]
    assert len(server.requests) == 2
    assert [cast(LimitRequest, each).service for each in person.asked] == ["alpha"] * 2
    assert "1 request is reached" in cast(LimitRequest, person.asked[0]).reason
    assert [event["status"] for event in p.recording.network if event["decision"] == "deny"] == [429]


def test_at_a_limit_nobody_is_asked_unless_the_route_says_so() -> None:
    person = AboutLimits("granted")
    with (
        upstream() as server,
        proxy(a_route(server.port, limits=UsageLimits(requests=1)), approver=person) as p,
        Client(p.port) as client,
    ):
        assert statuses(client, 2) == [200, 429]
    assert person.asked == []


def test_at_a_limit_silence_is_a_no() -> None:
    with (
        upstream() as server,
        proxy(a_route(server.port, limits=ASKING)) as p,
        Client(p.port) as client,
    ):
        assert statuses(client, 2) == [200, 429]


def test_several_requests_that_wait_at_a_limit_raise_it_once() -> None:
    gate, asked = Gate(), list[Request]()

    async def person(request: Request, /) -> Answer:
        asked.append(request)
        await gate.passed()
        return Answer("granted")

    with upstream() as server, proxy(a_route(server.port, limits=ASKING), approver=person) as p:
        with Client(p.port) as first:
            assert statuses(first, 1) == [200]
        with Client(p.port) as one, Client(p.port) as two:
            for client in (one, two):
                client.send(get())
                gate.wait_for_somebody()
            gate.open()
            # Whoever comes second asks once more; here it gets the same answer.
            assert [one.response().status, two.response().status] == [200, 200]
    assert len(server.requests) == len(asked) == 3


UNPRICED = Usage("own-model", 1, 1)
A_DOLLAR = Usage("gpt-4o-mini", 0, 2_000_000)  # and some cents


@pytest.mark.parametrize(
    ("before", "meanwhile", "asked"),
    [
        (UNPRICED, UNPRICED, ["no list price of own-model is known"]),
        (UNPRICED, Usage("dear-model", 1, 1), ["no list price of own-", "no list price of dear-"]),
        (UNPRICED, A_DOLLAR, ["no list price of own-", "the limit of $1.00 is reached"]),
        (UNPRICED, None, ["no list price of own-", "a response did not say"]),
        (None, None, ["a response did not say"]),
        (None, A_DOLLAR, ["a response did not say", "the limit of $1.00 is reached"]),
        (A_DOLLAR, UNPRICED, ["the limit of $1.00 is reached", "no list price of own-"]),
    ],
)
def test_a_yes_grants_nothing_that_was_reached_while_a_person_thought(
    before: Usage | None, meanwhile: Usage | None, asked: list[str]
) -> None:
    questions: list[str] = []

    async def person(request: Request, /) -> Answer:
        questions.append(cast(LimitRequest, request).reason)
        if len(questions) == 1:
            limiter.add(meanwhile)
        return Answer("granted") if len(questions) < 3 else Answer("denied", "a person said no")

    limits = UsageLimits(cost_usd=1.0, on_limit="ask")
    with (
        upstream() as server,
        proxy(a_route(server.port, limits=limits), approver=person) as p,
        Client(p.port) as client,
    ):
        assert statuses(client, 1) == [200]
        context = p.running.serving().context
        (route,) = context.dispatcher.routes.routes
        limiter = context.admission.state(route).limiter
        limiter.add(before)
        assert statuses(client, 1) == [200]
    assert [each[: len(start)] for each, start in zip(questions, asked, strict=True)] == asked


def test_a_credential_acquired_before_a_question_is_acquired_anew_after_it() -> None:
    # A login may be renewed while a person thinks, and responses are searched for its newest values.
    gate = Gate()

    class Renewed(SlowCredential):
        async def acquire(self, request: RequestFacts) -> Injection:
            self.asked.append(request)
            number = len(self.asked)
            if number < 3:
                await gate.passed()
            return FakeCredential(content=b"Bearer acquired-as-number-%d" % number)

    person, credential = AboutLimits("granted"), Renewed()
    with (
        upstream() as server,
        proxy(a_route(server.port, limits=ASKING, credential=credential), approver=person) as p,
        Client(p.port) as one,
        Client(p.port) as two,
    ):
        for client in (one, two):
            client.send(get())
            gate.wait_for_somebody()
        gate.open()
        assert [one.response().status, two.response().status] == [200, 200]
    # Sorted, because each request is sent on a connection of its own and either may arrive first.
    before, after = sorted(request.values(b"authorization")[0] for request in server.requests)
    assert before in {b"Bearer acquired-as-number-1", b"Bearer acquired-as-number-2"}
    assert after == b"Bearer acquired-as-number-3"
    assert len(person.asked) == 1
