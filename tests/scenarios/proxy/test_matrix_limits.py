"""Turns, approvals and the record, over every transport: bounded, and in doubt the answer is no."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import cast

import pytest
from anyio.abc import TaskGroup

from nono.approval import broker
from nono.approval.backends import Backends
from nono.approval.request import Answer, EndpointRequest, Question, Request
from nono.audit.event import Event
from nono.policy.endpoints.policy import EndpointPolicy, EndpointRule
from nono.policy.schema.route_rules import RateLimit, UsageLimits
from nono.policy.services.approval import TERMINAL, Approval
from nono.proxy.exchange.delivery import MAX_HELD_BYTES
from support.proxy.thread import PHANTOM, REAL_KEY, Client, Hosts, Recording
from support.proxy.transports import (
    KEY,
    READABLE,
    WITH_CREDENTIAL,
    FiveTransports,
    Transport,
    five_transports,
)
from support.servers.http1 import Received

ASKS = EndpointPolicy("approve", deny=(EndpointRule("*", "/never"),), allow=(EndpointRule("GET", "/free"),))


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
def test_requests_refused_beyond_the_burst_take_no_turn(transport: Transport) -> None:
    # One request an hour: within a test nothing is earned.
    limit = RateLimit(requests_per_minute=1 / 60, burst=3, max_delay_s=0)
    with five_transports(rate_limit=limit, hosts=Hosts(only_routes=True), endpoints=ASKS) as stage:
        for _ in range(5):
            assert stage.ask(transport, "/free", key=False).status == 401
            assert stage.ask(transport, "/never").status == 403
        assert [stage.ask(transport, "/free").status for _ in range(5)] == [200, 200, 200, 429, 429]
        assert len(stage.requests) == 3
        assert [event["status"] for event in stage.denials][-2:] == [429, 429]
        answer = stage.ask(transport, "/free")
        assert int(answer.values("retry-after")[0]) > 0


def test_streams_side_by_side_share_one_limit() -> None:
    limit = RateLimit(requests_per_minute=1 / 60, burst=4, max_delay_s=0)
    with five_transports(rate_limit=limit) as stage, stage.http2() as client:
        numbers = [client.request(fields=[KEY]) for _ in range(20)]
        answered = [client.answer(number).status for number in numbers]
        assert sorted(answered) == [200] * 4 + [429] * 16
        assert len(stage.requests) == 4


def test_the_ways_to_one_route_share_its_limit() -> None:
    limit = RateLimit(requests_per_minute=1 / 60, burst=3, max_delay_s=0)
    with five_transports(rate_limit=limit, limits=UsageLimits(requests=50)) as stage:
        assert [stage.ask(transport).status for transport in WITH_CREDENTIAL] == [200, 200, 200]
        assert [stage.ask(transport).status for transport in WITH_CREDENTIAL] == [429, 429, 429]
        assert len(stage.requests) == 3


def test_a_limit_of_requests_holds_for_all_ways_together() -> None:
    with five_transports(limits=UsageLimits(requests=3)) as stage:
        assert [stage.ask(transport).status for transport in WITH_CREDENTIAL] == [200, 200, 200]
        assert [stage.ask(transport).status for transport in WITH_CREDENTIAL] == [429, 429, 429]


class Person:
    """Answers as told, and keeps what was asked."""

    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.asked: list[EndpointRequest] = []

    async def __call__(self, request: Request, /) -> Answer:
        assert isinstance(request, EndpointRequest)
        self.asked.append(request)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer  # type: ignore[return-value]  # some answers are not what they should be


@contextmanager
def asking(answer: object) -> Iterator[tuple[FiveTransports, Person]]:
    person = Person(answer)
    options: dict[str, object] = {"approver": person}
    with five_transports(endpoints=ASKS, options=options, hosts=Hosts(only_routes=True)) as stage:
        yield stage, person


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
@pytest.mark.parametrize(
    "answer",
    [Answer("denied"), Answer("timeout"), None, "yes", True, OSError("gone"), RuntimeError("broken")],
    ids=lambda answer: repr(answer),
)
def test_whatever_is_not_a_yes_is_a_no(transport: Transport, answer: object) -> None:
    with asking(answer) as (stage, person):
        assert stage.ask(transport, "/asks").status == 403
        assert stage.is_untouched
        assert [event["denial_category"] for event in stage.denials] == ["endpoint_policy"]
        assert len(person.asked) == 1
        assert stage.ask(transport, "/free").status == 200


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
def test_a_yes_is_only_for_the_request_that_was_asked_about(transport: Transport) -> None:
    with asking(Answer("granted")) as (stage, person):
        assert stage.ask(transport, "/asks?x=1", method="POST", body=b"").status == 200
        assert stage.ask(transport, "/asks").status == 200
        assert stage.ask(transport, "/never").status == 403
        assert stage.ask(transport, "/asks", key=False).status == 401
        asked = [(request.method, request.path) for request in person.asked]
        below = "/alpha" if transport is Transport.REVERSE else ""
        assert asked == [("POST", f"{below}/asks?x=[REDACTED]"), ("GET", f"{below}/asks")]


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
def test_a_person_is_shown_the_query_that_is_sent(transport: Transport) -> None:
    with asking(Answer("granted")) as (stage, person):
        for query in ("name=old-draft", "name=main&force=true"):
            assert stage.ask(transport, f"/asks?{query}", method="DELETE").status == 200
        assert [request.target for request in person.asked] == [
            "/asks?name=old-draft",
            "/asks?name=main&force=true",
        ]
        assert [request.target.decode() for request in stage.requests] == [
            each.target for each in person.asked
        ]
        record = repr(stage.proxy.recording.events)
        assert "old-draft" not in record
        assert "[REDACTED]" in record


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
def test_a_person_is_shown_the_body_that_is_sent(transport: Transport) -> None:
    bodies = [b'{"pay": 1}', b'{"pay": 1000}', bytes(range(256)) * 300]
    with asking(Answer("granted")) as (stage, person):
        for body in bodies:
            fields = [("content-type", "application/json")]
            assert stage.ask(transport, "/asks", method="POST", body=body, fields=fields).status == 200
        shown = [request.body for request in person.asked]
        assert all(each is not None and each.media_type == "application/json" for each in shown)
        told = [(each.length, each.sha256, each.begins) for each in shown if each is not None]
        assert told == [(len(body), sha256(body).hexdigest(), body[:1024]) for body in bodies]
        assert [request.read_body() for request in stage.requests] == bodies
        assert "pay" not in repr(stage.proxy.recording.events)


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
def test_nobody_is_asked_before_the_body_is_whole(transport: Transport) -> None:
    with asking(Answer("granted")) as (stage, person):
        if transport is Transport.HTTP2:
            with stage.http2() as client:
                number = client.request("/asks", method="POST", fields=[KEY], body=b"ab", end=False)
                client.ping()
                assert person.asked == []
                client.send(number, b"c", end=True)
                assert client.answer(number).status == 200
        else:
            with stage.client(transport) as client, stage.client(transport) as other:
                client.send(stage.head(transport, "/asks", method="POST") + b"content-length: 3\r\n\r\nab")
                other.send(stage.head(transport, "/free") + b"\r\n")
                assert other.response().status == 200
                assert person.asked == []
                client.send(b"c")
                assert client.response().status == 200
        assert [request.body and request.body.begins for request in person.asked] == [b"abc"]
        assert stage.requests[-1].read_body() == b"abc"


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
def test_a_refused_body_reaches_nobody(transport: Transport) -> None:
    with asking(Answer("denied")) as (stage, person):
        assert stage.ask(transport, "/asks", method="POST", body=b"x" * 100_000).status == 403
        assert len(person.asked) == 1
        assert stage.is_untouched
        assert [event["denial_category"] for event in stage.denials] == ["endpoint_policy"]


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
def test_a_body_too_long_to_be_approved_is_refused_unasked(transport: Transport) -> None:
    with asking(Answer("granted")) as (stage, person):
        fields = [("content-length", str(MAX_HELD_BYTES + 1))]
        if transport is Transport.HTTP2:
            with stage.http2() as client:
                number = client.request("/asks", method="POST", fields=[KEY, *fields], end=False)
                assert client.answer(number).status == 413
        else:
            assert stage.ask(transport, "/asks", method="POST", fields=fields).status == 413
        assert person.asked == []
        assert stage.is_untouched
        assert [event["status"] for event in stage.denials] == [413]


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
def test_a_person_is_shown_no_phantom_in_a_body(transport: Transport) -> None:
    with asking(Answer("granted")) as (stage, person):
        body = f'{{"key": "{PHANTOM}", "x": 1}}'.encode()
        assert stage.ask(transport, "/asks", method="POST", body=body).status == 200
        (asked,) = person.asked
        assert asked.body is not None
        assert asked.body.begins == b'{"key": "[PHANTOM]", "x": 1}'
        assert stage.requests[0].read_body() == body


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
def test_a_person_is_shown_neither_control_characters_nor_secrets(transport: Transport) -> None:
    with asking(Answer("denied")) as (stage, person):
        for path in ("/a%1b%5b2J", "/a%0d%0aYes", "/a?k=%1b[2J", "/a%e2%80%aeb", "/a?secret=1234"):
            stage.ask(transport, path)
        shown = json.dumps([(*request[:3], request.target) for request in person.asked], ensure_ascii=False)
        assert person.asked
        assert all(character.isprintable() for character in shown)
        assert REAL_KEY not in shown
        assert PHANTOM not in shown
        assert "1234" not in json.dumps([request[:3] for request in person.asked])
        assert stage.is_untouched


class Spawned:
    """A task group as wide as the loop that it is used on."""

    def __init__(self) -> None:
        self.tasks: set[asyncio.Future[object]] = set()

    def start_soon(self, work: Callable[..., Coroutine[object, object, object]], *args: object) -> None:
        self.tasks.add(asyncio.ensure_future(work(*args)))


class Phone:
    """A backend that says yes to each question, and keeps them."""

    def __init__(self) -> None:
        self.asked: list[Question] = []

    async def ask(self, question: Question, expires_s: float) -> Answer:
        self.asked.append(question)
        return Answer("granted")


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
def test_of_a_flood_of_questions_most_are_refused_unasked(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One question an hour: within a test nothing is earned.
    monkeypatch.setattr(broker, "QUESTIONS", RateLimit(requests_per_minute=1 / 60, burst=3, max_delay_s=0))
    phone, events = Phone(), list[Event]()
    backends = Backends(Approval(), {TERMINAL: phone})
    approver = broker.ApprovalBroker(backends, events.append, "", cast(TaskGroup, Spawned()))
    with five_transports(endpoints=ASKS, options={"approver": approver}) as stage:
        assert [stage.ask(transport, "/asks").status for _ in range(8)] == [200] * 3 + [403] * 5
        assert len(phone.asked) == len(stage.requests) == 3
        assert [event["denial_category"] for event in stage.denials] == ["endpoint_policy"] * 5
        assert "rate limit" in str(stage.denials[0]["reason"])
        assert stage.ask(transport, "/free").status == 200


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
def test_without_anybody_to_ask_the_answer_is_no(transport: Transport) -> None:
    with five_transports(endpoints=ASKS) as stage:
        assert stage.ask(transport, "/asks").status == 403
        assert stage.is_untouched
        assert len(stage.denials) == 1


@pytest.mark.parametrize("transport", Transport)
def test_what_cannot_be_recorded_is_not_done(transport: Transport) -> None:
    recording = Recording()
    with five_transports(options={"recording": recording}) as stage:
        recording.failing = True
        assert stage.ask(transport).status == 503
        assert stage.is_untouched
        recording.failing = False
        assert stage.ask(transport).status == 200


@pytest.mark.parametrize("transport", READABLE)
def test_the_record_holds_neither_control_characters_nor_query_values(transport: Transport) -> None:
    with five_transports() as stage:
        for path in ("/a%0aforged?password=hunter2&x", "/a%1b[2J", "/\xe2\x80\xae", "/a b", "/a?\x7f=1"):
            stage.ask(transport, path)
        text = repr(stage.proxy.recording.events)
        assert text.isprintable()
        assert "hunter2" not in text
        assert len(stage.proxy.recording.network) >= 5


@pytest.mark.parametrize("transport", Transport)
def test_the_answer_of_a_refusal_says_the_same_as_its_record(transport: Transport) -> None:
    with five_transports(hosts=Hosts(denied=frozenset(("site.test", "api.test")))) as stage:
        answer = stage.ask(transport)
        assert answer.values("content-type") == ["application/json"]
        told = json.loads(answer.body)
        (event,) = stage.denials
        assert set(told) == {"error", "host", "rule", "origin", "hint"}
        assert (told["error"], told["rule"], told["origin"]) == (
            event["reason"],
            event["rule"],
            event["origin"],
        )
        assert event["status"] == answer.status == 403


@pytest.mark.parametrize("transport", Transport)
def test_only_a_client_beyond_the_limit_is_refused(transport: Transport) -> None:
    with five_transports(options={"max_connections": 1}) as stage, stage.client(transport) as first:
        with Client(stage.proxy.port) as second:
            assert second.response().status == 503
        assert stage.requests == []
        if transport is not Transport.HTTP2:
            first.send(stage.head(transport) + b"\r\n")
            assert first.response().status == 200


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
def test_an_endless_answer_to_one_does_not_hold_up_another(transport: Transport) -> None:
    end = threading.Event()

    def handler(request: Received) -> None:
        if request.target == b"/endless":
            request.connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while not end.wait(0.01):
                request.connection.send(b"7\r\ndata:x\n\r\n")
        else:
            request.connection.respond()

    with five_transports(handler) as stage, stage.client(Transport.INSIDE) as listening:
        listening.send(stage.head(Transport.INSIDE, "/endless") + b"\r\n")
        assert listening.head()[0] == 200
        try:
            assert [stage.ask(transport).status for _ in range(3)] == [200, 200, 200]
        finally:
            end.set()
