"""A limit of tokens fails closed: what cannot be counted counts at its worst, or is refused."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import anyio
import anyio.to_thread
import pytest

from nono.approval.request import Answer, Request
from nono.policy.schema.constraints import OnLimit
from nono.policy.schema.route_rules import RateLimit, UpgradeRule, UsageLimits
from nono.proxy.exchange import admission
from nono.proxy.upstream.dial import Resolver
from nono.proxy.usage.ledger import Reached
from support.proxy.http2_stage import h2_stage
from support.proxy.thread import TIMEOUT_S, FakeCredential, wait_until
from support.proxy.transports import KEY, WITH_CREDENTIAL, FiveTransports, Transport, five_transports
from support.servers.http1 import Gone, Received
from support.servers.http2 import Stream

LIMIT = UsageLimits(output_tokens=1000)
START: dict[str, object] = {
    "type": "message_start",
    "message": {"model": "m", "usage": {"input_tokens": 7, "output_tokens": 1}},
}
DELTA: dict[str, object] = {"type": "message_delta", "usage": {"output_tokens": 10}}
STOP: dict[str, object] = {"type": "message_stop"}
WHOLE = json.dumps({"model": "m", "usage": {"input_tokens": 7, "output_tokens": 10}}).encode()


def events(*each: dict[str, object]) -> bytes:
    return b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in each)


class Model:
    """Answers whole, or begins a stream and holds the rest of it back until it may go on."""

    def __init__(
        self,
        body: bytes = WHOLE,
        *,
        status: int = 200,
        held: bytes | None = None,
        coding: str = "",
        kind: str = "application/json",
    ) -> None:
        self._body, self._status, self._held, self._coding, self._kind = body, status, held, coding, kind
        self.goes_on = threading.Event()

    def __call__(self, request: Received) -> None:
        request.read_body()
        send = request.connection.send
        if self._held is None:
            coded = [("content-encoding", self._coding)] if self._coding else []
            fields = [("content-type", self._kind), *coded]
            request.connection.respond(self._status, self._body, fields=fields)
            return
        send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        send(b"%x\r\n%b\r\n" % (len(self._body), self._body))
        self.goes_on.wait(TIMEOUT_S)
        with suppress(Gone):
            send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(self._held), self._held) if self._held else b"0\r\n\r\n")


def ask(stage: FiveTransports, transport: Transport, path: str = "/v1/messages", **more: object) -> int:
    return stage.ask(transport, path, method="POST", body=b"{}", **more).status  # type: ignore[arg-type]  # passed on


def leave(stage: FiveTransports, transport: Transport, mark: bytes, path: str = "/v1/messages") -> None:
    """Ask, and go away once `mark` has arrived; b"" goes away as soon as the upstream has the request."""
    before = len(stage.requests)
    if transport is Transport.HTTP2:
        with stage.http2() as client:
            number = client.request(path, method="POST", fields=[KEY], body=b"{}")
            if mark:
                client.wait_until(lambda: mark in client.answers[number].body)
            else:
                wait_until(lambda: len(stage.requests) > before and stage.requests[-1].body_complete)
    else:
        with stage.client(transport) as client:
            client.send(stage.head(transport, path, method="POST") + b"content-length: 2\r\n\r\n{}")
            if mark:
                client.read_until(mark)
            else:
                wait_until(lambda: len(stage.requests) > before and stage.requests[-1].body_complete)


def told(stage: FiveTransports) -> list[tuple[object, object]]:
    return [(event["status"], event["rule"]) for event in stage.denials]


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
def test_a_stream_left_before_its_last_state_uses_up_the_limit(transport: Transport) -> None:
    model = Model(events(START), held=events(DELTA, STOP))
    with five_transports(model, limits=LIMIT) as stage:
        leave(stage, transport, b"message_start")
        try:
            assert ask(stage, transport) == 429
        finally:
            model.goes_on.set()
        assert told(stage) == [(429, "limits")]
        assert len(stage.requests) == 1


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
def test_a_stream_left_after_its_last_state_is_counted(transport: Transport) -> None:
    model = Model(events(START, DELTA, STOP), held=b"")
    with five_transports(model, limits=LIMIT) as stage:
        leave(stage, transport, b"message_stop")
        model.goes_on.set()
        assert ask(stage, transport) == 200
        assert stage.denials == []


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
@pytest.mark.parametrize(("words", "status"), [(1000, 429), (100, 200)])
def test_a_stream_left_before_its_last_state_costs_what_has_come_of_it(
    words: int, status: int, transport: Transport
) -> None:
    start: dict[str, object] = {
        "type": "message_start",
        "message": {"model": "claude-sonnet-4-5", "usage": {"input_tokens": 7, "output_tokens": 1}},
    }
    word: dict[str, object] = {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "word"}}
    model = Model(events(start, *[word] * words, {"type": "content_block_stop"}), held=events(DELTA, STOP))
    with five_transports(model, limits=UsageLimits(cost_usd=0.01)) as stage:  # 666 tokens, each in an event
        leave(stage, transport, b"content_block_stop")
        wait_until(lambda: bool(stage.proxy.running.usage_lines))
        model.goes_on.set()
        assert ask(stage, transport) == status
        assert told(stage) == ([] if status == 200 else [(429, "limits")])


@pytest.mark.parametrize(("tokens", "status"), [(2000, 429), (10, 200)])
def test_a_body_that_is_held_back_until_the_limit_of_costs_is_reached_is_not_sent(
    tokens: int, status: int
) -> None:
    """A request to be signed is admitted at its head, and any number of them could be kept for later."""
    usage = {"input_tokens": 7, "output_tokens": tokens}
    model = Model(json.dumps({"model": "claude-sonnet-4-5", "usage": usage}).encode())
    limits, signing = UsageLimits(cost_usd=0.01), FakeCredential(needs_body=True)
    with five_transports(model, limits=limits, credential=signing) as stage:
        inside = Transport.INSIDE
        with stage.client(inside) as held:
            head = stage.head(inside, "/v1/messages", method="POST")
            held.send(head + b"expect: 100-continue\r\ncontent-length: 2\r\n\r\n")
            held.read_until(b"100 Continue\r\n\r\n")
            assert ask(stage, inside) == 200
            held.send(b"{}")
            held.read_until(b"HTTP/1.1 %d " % status)
        assert told(stage) == ([] if status == 200 else [(429, "limits")])
        assert len(stage.requests) == (2 if status == 200 else 1)


@contextmanager
def slow_look_up() -> Iterator[tuple[Resolver, threading.Event, threading.Event]]:
    """Yield a resolver whose first look-up takes long, what is set when it begins, and what ends it."""
    begun, ends = threading.Event(), threading.Event()

    async def resolver(host: str, port: int) -> list[str]:
        if not begun.is_set():
            begun.set()
            assert await anyio.to_thread.run_sync(ends.wait, TIMEOUT_S)
        return ["127.0.0.1"]

    try:
        yield resolver, begun, ends
    finally:
        ends.set()


@contextmanager
def held_back(
    stage: FiveTransports, transport: Transport, *, announced: bool, ends: bool = True
) -> Iterator[Callable[[], int]]:
    """Send all of a request but the end of its JSON. Yields what sends that and returns the status.

    ends: With that, the body has ended.
    """
    octets = "2" if ends else "3"
    if transport is Transport.HTTP2:
        length = [("content-length", octets)] if announced else []
        with stage.http2() as over_http2:
            number = over_http2.request("/v1/messages", method="POST", fields=[KEY, *length], end=False)
            over_http2.send(number, b"{")

            def rest() -> int:
                over_http2.send(number, b"}", end=ends)
                return over_http2.answer(number).status

            yield rest
        return
    length = [("content-length", octets)] if announced else [("transfer-encoding", "chunked")]
    first, last = (b"{", b"}") if announced else (b"1\r\n{\r\n", b"1\r\n}\r\n")
    last += b"0\r\n\r\n" if ends and not announced else b""
    with stage.client(transport) as client:
        client.send(stage.head(transport, "/v1/messages", method="POST", fields=length) + b"\r\n" + first)

        def rest_of_http1() -> int:
            client.send(last)
            return int(client.read_until(b"\r\n").split()[1])

        yield rest_of_http1


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
@pytest.mark.parametrize("announced", [True, False], ids=["announced", "chunked"])
@pytest.mark.parametrize(("tokens", "status"), [(700, 429), (10, 200)])
def test_a_body_that_ends_after_the_limit_of_costs_is_reached_never_arrives_whole(
    tokens: int, status: int, announced: bool, transport: Transport
) -> None:
    """The model cannot answer it yet, and any number of them could be kept for later."""
    usage = {"input_tokens": 7, "output_tokens": tokens}
    model = Model(json.dumps({"model": "claude-sonnet-4-5", "usage": usage}).encode())
    with (
        five_transports(model, limits=UsageLimits(cost_usd=0.01)) as stage,
        held_back(stage, transport, announced=announced) as rest,
    ):
        wait_until(lambda: [each.body_complete for each in stage.requests] == [False])
        assert ask(stage, transport) == 200
        assert rest() == status
        assert told(stage) == ([] if status == 200 else [(429, "limits")])
        wait_until(lambda: sum(each.body_complete for each in stage.requests) == (2 if status == 200 else 1))
        serving = stage.proxy.running.serving().context
        (route,) = serving.dispatcher.routes.routes
        serving.admission.state(route).limiter.extend(Reached("", "costs"))
        assert ask(stage, transport) == 200  # what never arrived whole has no cost that is unknown


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
@pytest.mark.parametrize("announced", [True, False], ids=["announced", "chunked"])
@pytest.mark.parametrize(("tokens", "status"), [(700, 429), (10, 200)])
def test_json_that_would_be_whole_after_the_limit_of_costs_is_reached_never_is(
    tokens: int, status: int, announced: bool, transport: Transport
) -> None:
    """A server may answer before the body ends, once it has a value of JSON, as with Go's json.Decoder."""
    usage = {"input_tokens": 7, "output_tokens": tokens}
    answer = json.dumps({"model": "claude-sonnet-4-5", "usage": usage}).encode()

    def eager(request: Received) -> None:
        with suppress(Gone):
            for _ in request.pieces():
                if request.body == b"{}":
                    request.connection.respond(200, answer, fields=[("content-type", "application/json")])

    with (
        five_transports(eager, limits=UsageLimits(cost_usd=0.01)) as stage,
        held_back(stage, transport, announced=announced, ends=False) as rest,
    ):
        wait_until(lambda: [each.body for each in stage.requests] == [b"{"])
        assert ask(stage, transport) == 200
        assert rest() == status
        assert told(stage) == ([] if status == 200 else [(429, "limits")])
        held = b"{}" if status == 200 else b"{"
        assert sorted(each.body for each in stage.requests) == [held, b"{}"]


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "not"])
@pytest.mark.parametrize(("tokens", "is_cut"), [(700, True), (10, False)])
def test_over_http2_upstream_its_stream_is_reset_before_that_end(
    tokens: int, is_cut: bool, announced: bool
) -> None:
    usage = {"input_tokens": 7, "output_tokens": tokens}
    body = json.dumps({"model": "claude-sonnet-4-5", "usage": usage}).encode()

    def model(stream: Stream) -> None:
        with suppress(Gone):
            stream.read_body()
            stream.head(200, [("content-type", "application/json")])
            stream.send(body)
            stream.end()

    length = [("content-length", "2")] if announced else []
    with h2_stage(model, limits=UsageLimits(cost_usd=0.01)) as (stage, server), stage.client() as client:
        number = client.request("/v1/messages", method="POST", fields=[KEY, *length], end=False)
        client.send(number, b"{")
        wait_until(lambda: len(server.streams) == 1)
        assert client.post(b"{}", "/v1/messages", fields=[KEY]).status == 200
        client.send(number, b"}", end=True)
        assert client.answer(number).status == (429 if is_cut else 200)
        if is_cut:
            assert server.streams[0].reset_by_client.wait(TIMEOUT_S)


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
@pytest.mark.parametrize(("on_limit", "said", "then"), [("ask", [], 200), ("refuse", ["false"], 429)])
def test_what_comes_too_late_may_be_sent_again_where_a_person_is_asked(
    on_limit: OnLimit, said: list[str], then: int, transport: Transport
) -> None:
    """It was sent before the person could be asked, so the client is not told that no retry helps."""
    usage = {"input_tokens": 7, "output_tokens": 700}
    model = Model(json.dumps({"model": "claude-sonnet-4-5", "usage": usage}).encode())
    limits, asked = UsageLimits(cost_usd=0.01, on_limit=on_limit), list[Request]()

    async def person(request: Request, /) -> Answer:
        asked.append(request)
        return Answer("granted")

    with (
        slow_look_up() as (resolver, begun, ends),
        five_transports(model, limits=limits, options={"resolver": resolver, "approver": person}) as stage,
        ThreadPoolExecutor(1) as pool,
    ):
        late = pool.submit(stage.ask, transport, "/v1/messages", method="POST", body=b"{}")
        assert begun.wait(TIMEOUT_S)
        assert ask(stage, transport) == 200
        ends.set()
        answer = late.result(TIMEOUT_S)
        assert (answer.status, answer.values("x-should-retry"), asked) == (429, said, [])
        assert ask(stage, transport) == then
        assert len(asked) == (1 if then == 200 else 0)


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
@pytest.mark.parametrize(("tokens", "status"), [(700, 429), (10, 200)])
def test_what_waits_for_its_connection_until_the_limit_of_costs_is_reached_is_not_sent(
    tokens: int, status: int, transport: Transport
) -> None:
    usage = {"input_tokens": 7, "output_tokens": tokens}
    model = Model(json.dumps({"model": "claude-sonnet-4-5", "usage": usage}).encode())
    with (
        slow_look_up() as (resolver, begun, ends),
        five_transports(model, limits=UsageLimits(cost_usd=0.01), options={"resolver": resolver}) as stage,
        ThreadPoolExecutor(1) as pool,
    ):
        waiting = pool.submit(ask, stage, transport)
        assert begun.wait(TIMEOUT_S)
        assert ask(stage, transport) == 200
        ends.set()
        assert waiting.result(TIMEOUT_S) == status
        assert told(stage) == ([] if status == 200 else [(429, "limits")])
        assert len(stage.requests) == (2 if status == 200 else 1)


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
def test_a_question_left_before_its_answer_began_uses_up_the_limit(transport: Transport) -> None:
    answers = threading.Event()

    def slow(request: Received) -> None:
        request.read_body()
        answers.wait(TIMEOUT_S)
        request.connection.respond(200, WHOLE)

    with five_transports(slow, limits=LIMIT) as stage:
        leave(stage, transport, b"")
        try:
            assert ask(stage, transport) == 429
        finally:
            answers.set()
        assert told(stage) == [(429, "limits")]


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
def test_a_stream_that_ends_without_its_last_state_uses_up_the_limit(transport: Transport) -> None:
    model = Model(events(START), held=b"")
    model.goes_on.set()
    with five_transports(model, limits=LIMIT) as stage:
        assert ask(stage, transport) == 200
        assert ask(stage, transport) == 429


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
@pytest.mark.parametrize(
    "path", ["/v1/messages/", "/V1/Messages", "/v1/m%65ssages", "/v1/messages;x=1", "/v1/messages."]
)
def test_no_spelling_of_a_call_goes_uncounted(transport: Transport, path: str) -> None:
    with five_transports(Model(), limits=UsageLimits(output_tokens=15)) as stage:
        assert [ask(stage, transport, path) for _ in range(3)] == [200, 200, 429]


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
def test_an_escaped_gemini_call_is_counted(transport: Transport) -> None:
    body = json.dumps({"usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 10}}).encode()
    with five_transports(Model(body), limits=UsageLimits(output_tokens=15)) as stage:
        path = "/v1beta/models/g%3AgenerateContent"
        assert [ask(stage, transport, path) for _ in range(3)] == [200, 200, 429]


GEMINI = "/v1beta/models/g:generateContent"
SPOKEN = json.dumps({"usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1}}).encode()


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
@pytest.mark.parametrize(("kind", "then"), [("application/x-protobuf", 429), ("application/json", 200)])
def test_no_words_of_a_model_pass_for_its_counts_in_another_format(
    transport: Transport, kind: str, then: int
) -> None:
    """Google answers ?alt=proto in protobuf, where the text of the answer stands as it is."""
    with five_transports(Model(SPOKEN, kind=kind), limits=LIMIT) as stage:
        assert [ask(stage, transport, f"{GEMINI}?alt=proto") for _ in range(2)] == [200, then]


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
@pytest.mark.parametrize("query", ["fields=usageMetadata.promptTokenCount", "alt=json&%24Fields=candidates"])
@pytest.mark.parametrize("limits", [LIMIT, UsageLimits(cost_usd=1)], ids=["tokens", "costs"])
def test_a_response_is_not_asked_for_without_its_counts(
    transport: Transport, query: str, limits: UsageLimits
) -> None:
    with five_transports(Model(), limits=limits) as stage:
        asked_for = [("x-goog-fieldmask", "candidates")]
        assert ask(stage, transport, f"{GEMINI}?{query}") == 403
        assert stage.ask(transport, GEMINI, method="POST", body=b"{}", fields=asked_for).status == 403
        assert told(stage) == [(403, "limits")] * 2
        assert stage.is_untouched
        assert ask(stage, transport, f"{GEMINI}?alt=json") == 200
    with five_transports(Model(), limits=UsageLimits(requests=2)) as stage:
        assert ask(stage, transport, f"{GEMINI}?{query}") == 200


UNKNOWN = [
    "/v1/messages/batches",
    "/v1/batches",
    "/v1beta/models/g:batchGenerateContent",
    "/v1/fine_tuning/jobs",
    "/v1/threads/t/runs",
    "/model/m/invoke",
]


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
@pytest.mark.parametrize("path", UNKNOWN)
def test_a_call_that_nobody_can_count_is_refused_under_a_limit_of_tokens(
    transport: Transport, path: str
) -> None:
    with five_transports(Model(), limits=LIMIT) as stage:
        assert ask(stage, transport, path) == 403
        assert [(event["denial_category"], event["rule"]) for event in stage.denials] == [
            ("endpoint_policy", "limits")
        ]
        assert stage.is_untouched
        assert stage.ask(transport, path).status == 200


@pytest.mark.parametrize("path", UNKNOWN)
def test_the_same_call_passes_under_a_limit_of_requests(path: str) -> None:
    with five_transports(Model(), limits=UsageLimits(requests=1)) as stage:
        assert ask(stage, Transport.INSIDE, path) == 200
        assert ask(stage, Transport.INSIDE, path) == 429


@pytest.mark.parametrize(
    "path",
    ["/v1/messages/count_tokens", "/v1/files", "/v1/responses/r/cancel", "/v1beta/models/g:countTokens"],
)
def test_a_call_that_uses_no_tokens_passes_uncounted(path: str) -> None:
    with five_transports(Model(b"{}"), limits=LIMIT) as stage:
        assert [ask(stage, Transport.INSIDE, path) for _ in range(2)] == [200, 200]


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
def test_no_parameter_makes_a_call_of_what_runs_no_model(transport: Transport) -> None:
    with five_transports(Model(), limits=LIMIT) as stage:
        assert stage.ask(transport, "/v1/batches?_method=POST").status == 403
        assert stage.ask(transport, "/v1/batches", fields=[("x-http-method-override", "POST")]).status == 403
        assert stage.is_untouched


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
def test_compressed_answers_are_counted(transport: Transport) -> None:
    model = Model(gzip.compress(WHOLE), coding="gzip")
    with five_transports(model, limits=UsageLimits(output_tokens=15)) as stage:
        answered = [ask(stage, transport) for _ in range(3)]
    assert answered == [200, 200, 429]


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
@pytest.mark.parametrize(("status", "then"), [(400, 400), (429, 429), (500, 500), (529, 529)])
def test_an_error_uses_nothing(transport: Transport, status: int, then: int) -> None:
    with five_transports(Model(b"{}", status=status), limits=LIMIT) as stage:
        assert [ask(stage, transport) for _ in range(2)] == [status, then]
        assert len(stage.requests) == 2
        assert stage.denials == []


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
def test_a_client_is_told_that_no_retry_helps_beyond_the_limit(transport: Transport) -> None:
    """The SDKs of OpenAI and Anthropic, and Claude Code, ask again after any other 429: for minutes."""
    with five_transports(Model(), limits=UsageLimits(requests=1)) as stage:
        within, beyond = (stage.ask(transport, "/v1/messages", method="POST", body=b"{}") for _ in range(2))
        assert [within.values("x-should-retry"), beyond.values("x-should-retry")] == [[], ["false"]]


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
def test_what_was_never_sent_uses_nothing(transport: Transport) -> None:
    names: dict[str, object] = {"resolver": no_address}
    with five_transports(Model(), limits=LIMIT, options=names) as stage:
        assert [ask(stage, transport) for _ in range(2)] == [502, 502]
        assert stage.is_untouched


async def no_address(host: str, port: int) -> list[str]:
    raise OSError("no such name")


@pytest.mark.parametrize("status", [201, 504])
def test_an_answer_that_does_not_say_what_it_used_uses_up_the_limit(status: int) -> None:
    with five_transports(Model(b"{}", status=status), limits=LIMIT) as stage:
        assert [ask(stage, Transport.INSIDE) for _ in range(2)] == [status, 429]
        assert told(stage) == [(429, "limits")]


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
def test_requests_at_once_do_not_pass_the_limit_together(transport: Transport) -> None:
    with (
        five_transports(Model(), limits=UsageLimits(output_tokens=5)) as stage,
        ThreadPoolExecutor(6) as pool,
    ):
        answered = list(pool.map(lambda _: ask(stage, transport), range(6)))
        assert sorted(answered) == [200] + [429] * 5
        assert len(stage.requests) == 1


def test_a_request_waits_only_so_long_for_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model(events(START), held=events(DELTA, STOP))
    with five_transports(model, limits=LIMIT) as stage, stage.client(Transport.REVERSE) as client:
        head = stage.head(Transport.REVERSE, "/v1/messages", method="POST")
        client.send(head + b"content-length: 2\r\n\r\n{}")
        client.read_until(b"message_start")
        with monkeypatch.context() as changed:
            changed.setattr(admission, "MAX_TURN_S", 0.01)
            assert ask(stage, Transport.REVERSE) == 429
        model.goes_on.set()
        client.read_until(b"message_stop")
        assert ask(stage, Transport.REVERSE) == 200
        assert told(stage) == [(429, "limits")]
        assert len(stage.requests) == 2


def test_requests_at_once_all_pass_without_a_limit_of_tokens() -> None:
    begun = threading.Barrier(3, timeout=TIMEOUT_S)

    def together(request: Received) -> None:
        request.read_body()
        begun.wait()
        request.connection.respond(200, WHOLE)

    with five_transports(together, limits=UsageLimits(requests=9)) as stage, ThreadPoolExecutor(3) as pool:
        assert list(pool.map(lambda _: ask(stage, Transport.INSIDE), range(3))) == [200] * 3


UPGRADE = (
    ("upgrade", "websocket"),
    ("connection", "upgrade"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA=="),
)
RARE = RateLimit(requests_per_minute=2, burst=2)


@contextmanager
def websocket_stage(**changes: object) -> Iterator[FiveTransports]:
    with five_transports(**changes) as stage:  # type: ignore[arg-type]  # fields of Route
        yield stage


@pytest.mark.parametrize("transport", [Transport.INSIDE, Transport.REVERSE])
@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"limits": UsageLimits(requests=2)}, "limits"),
        ({"limits": UsageLimits(input_tokens=2)}, "limits"),
        ({"rate_limit": RARE}, "rate_limit"),
    ],
    ids=["requests", "tokens", "rate"],
)
def test_a_websocket_is_refused_where_its_messages_would_go_uncounted(
    transport: Transport, changes: dict[str, object], rule: str
) -> None:
    with websocket_stage(**changes) as stage:
        refused = stage.ask(transport, "/live", fields=UPGRADE)
        assert (refused.status, refused.values("upgrade")) == (426, ["HTTP/1.1"])  # Codex goes over to HTTP
        assert [(event["denial_category"], event["rule"]) for event in stage.denials] == [
            ("unsupported_upgrade", rule)
        ]
        assert stage.is_untouched
        assert stage.ask(transport, "/live").status == 200


@pytest.mark.parametrize("transport", [Transport.INSIDE, Transport.REVERSE])
@pytest.mark.parametrize(
    "changes", [{}, {"rate_limit": RARE, "upgrades": (UpgradeRule("/live"),)}], ids=["free", "listed"]
)
def test_any_other_websocket_passes(transport: Transport, changes: dict[str, object]) -> None:
    with websocket_stage(**changes) as stage:
        # The upstream does not switch.
        assert stage.ask(transport, "/live", fields=UPGRADE).status == 200
        assert len(stage.requests) == 1
