"""A request that begins a person's turn is recorded as that, and sent whole only when its mark is taken."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import anyio
import anyio.to_thread
import pytest

from nono.proxy.conversation import run_turns
from support.proxy.http2_stage import KEY, h2_stage
from support.proxy.thread import PHANTOM, TIMEOUT_S, Client, Recording, a_route, proxy, wait_until
from support.proxy.transports import WITH_CREDENTIAL, FiveTransports, Transport, five_transports
from support.servers.http1 import Received, upstream
from support.servers.http2 import Stream

TOOLS = [{"name": "Bash"}]
FIRST = {"role": "user", "content": "Do the work"}
USE = {"role": "assistant", "content": [{"type": "tool_use", "name": "Bash"}]}
RESULT = {"role": "user", "content": [{"type": "tool_result", "content": "compiled"}]}
SAID = {"role": "assistant", "content": "It printed compiled"}
MORE = {"role": "user", "content": "What is new?"}
ANSWER = json.dumps({"model": "m-1", "usage": {"input_tokens": 7, "output_tokens": 10}}).encode()


def body(*messages: Mapping[str, object], **more: object) -> bytes:
    return json.dumps({"model": "m-1", "messages": messages, "tools": TOOLS, **more}).encode()


def answer(request: Received) -> None:
    request.read_body()
    request.connection.respond(200, ANSWER, fields=[("content-type", "application/json")])


def ask(
    stage: FiveTransports, transport: Transport, sent: bytes, fields: Sequence[tuple[str, str]] = ()
) -> int:
    return stage.ask(transport, "/v1/messages", method="POST", body=sent, fields=fields).status


def events(recording: Recording, kind: str) -> list[dict[str, Any]]:
    return [event for event in recording.events if event["type"] == kind]


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
def test_each_turn_is_recorded_once(transport: Transport) -> None:
    with five_transports(answer) as stage:
        for sent in (body(FIRST), body(FIRST, USE, RESULT), body(FIRST, USE, RESULT, SAID, MORE)):
            assert ask(stage, transport, sent) == 200
        wait_until(lambda: len(events(stage.proxy.recording, "model_usage")) == 3)
    recording = stage.proxy.recording
    began = events(recording, "turn_began")
    assert [[*event] for event in began] == [
        ["type", "timestamp_unix_ms", "turn", "service", "model", "request"]
    ] * 2
    assert [(event["turn"], event["service"], event["model"]) for event in began] == [
        (1, "alpha", "m-1"),
        (2, "alpha", "m-1"),
    ]
    assert [event["turn"] for event in events(recording, "model_usage")] == [1, 1, 2]
    assert events(recording, "turn_unclear") == []


@pytest.mark.parametrize("path", ["/v1/messages/count_tokens", "/v1/models"])
def test_a_request_that_runs_no_model_begins_no_turn(path: str) -> None:
    with five_transports(answer) as stage:
        assert stage.ask(Transport.REVERSE, path, method="POST", body=body(FIRST)).status == 200
    assert events(stage.proxy.recording, "turn_began") == []


def test_a_coded_body_is_read() -> None:
    with five_transports(answer) as stage:
        sent = gzip.compress(body(FIRST))
        assert ask(stage, Transport.INSIDE, sent, [("content-encoding", "gzip")]) == 200
        assert stage.requests[-1].body == sent
    assert len(events(stage.proxy.recording, "turn_began")) == 1


UNREADABLE = {
    "its body is not JSON": (b"prompt=x", ()),
    "its Content-Encoding is not known": (body(FIRST), [("content-encoding", "aes128gcm")]),
    "its body is not what its Content-Encoding says": (body(FIRST), [("content-encoding", "gzip")]),
}


@pytest.mark.parametrize("reason", UNREADABLE)
def test_what_cannot_be_read_is_said_once(reason: str) -> None:
    sent, fields = UNREADABLE[reason]
    with five_transports(answer) as stage:
        for _ in range(2):
            assert ask(stage, Transport.REVERSE, sent, fields) == 200
        wait_until(lambda: bool(events(stage.proxy.recording, "turn_unclear")))
    recording = stage.proxy.recording
    assert [event["reason"] for event in events(recording, "turn_unclear")] == [reason]
    assert events(recording, "turn_began") == []


HANDSHAKE = (
    b"GET /alpha/v1/responses HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer "
    + PHANTOM.encode()
    + b"\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    + b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@pytest.mark.parametrize(("path", "said"), [("responses", 1), ("events", 0)])
def test_what_is_asked_on_a_websocket_is_said_to_be_unseen(path: str, said: int) -> None:
    with upstream(answer) as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(HANDSHAKE.replace(b"responses", path.encode()))
        client.response()
    assert len(events(p.recording, "turn_unclear")) == said


class Mark:
    """Takes marks; each waits until the test lets it go on."""

    def __init__(self) -> None:
        self.turns: list[int] = []
        self.goes_on = threading.Event()

    async def __call__(self, turn: int) -> None:
        self.turns.append(turn)
        await anyio.to_thread.run_sync(self.goes_on.wait, TIMEOUT_S)


HEAD = f"POST /alpha/v1/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {PHANTOM}\r\n".encode()


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_the_end_of_a_request_waits_for_the_mark(framing: str) -> None:
    mark, sent = Mark(), body(FIRST)
    ways = {
        "length": b"Content-Length: %d\r\n\r\n%b" % (len(sent), sent),
        "chunked": b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(sent), sent),
    }
    with (
        upstream(answer) as server,
        proxy(a_route(server.port), on_turn=mark) as p,
        Client(p.port) as client,
    ):
        client.send(HEAD + ways[framing])
        wait_until(lambda: bool(server.requests))  # the head goes ahead
        wait_until(lambda: mark.turns == [1])
        assert not server.requests[0].body_complete
        assert events(p.recording, "turn_began")
        mark.goes_on.set()
        assert client.response().status == 200
        assert server.requests[0].body == sent


@pytest.mark.parametrize("ends_apart", [False, True])
def test_the_end_of_a_stream_waits_for_the_mark(ends_apart: bool) -> None:
    mark, sent, heard = Mark(), body(FIRST), list[bytes]()

    def h2_answer(stream: Stream) -> None:
        heard.append(stream.read_body())
        stream.respond(body=ANSWER, fields=[("content-type", "application/json")])

    with h2_stage(h2_answer, options={"on_turn": mark}) as (stage, _), stage.client() as client:
        fields = [KEY, ("content-length", str(len(sent)))]
        number = client.request("/v1/messages", method="POST", fields=fields, end=False)
        client.h2.send_data(number, sent, end_stream=not ends_apart)
        client.flush()
        wait_until(lambda: mark.turns == [1])
        assert heard == []
        if ends_apart:
            client.h2.end_stream(number)
            client.flush()
        mark.goes_on.set()
        assert client.answer(number).status == 200
        assert heard == [sent]


def test_a_request_of_the_same_turn_does_not_wait() -> None:
    mark = Mark()
    mark.goes_on.set()
    with five_transports(answer, options={"on_turn": mark}) as stage:
        assert ask(stage, Transport.REVERSE, body(FIRST)) == 200
        mark.goes_on.clear()
        assert ask(stage, Transport.REVERSE, body(FIRST, USE, RESULT)) == 200
        mark.goes_on.set()
    assert mark.turns == [1]


def test_a_mark_that_fails_lets_the_request_go_on() -> None:
    async def failing(turn: int) -> None:
        raise OSError("disk full")

    with five_transports(answer, options={"on_turn": failing}) as stage:
        assert ask(stage, Transport.REVERSE, body(FIRST)) == 200


def test_a_mark_that_takes_long_lets_the_request_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_turns, "MAX_HELD_S", 0.01)
    mark = Mark()
    with five_transports(answer, options={"on_turn": mark}) as stage:
        assert ask(stage, Transport.REVERSE, body(FIRST)) == 200
        mark.goes_on.set()


def test_a_client_that_leaves_during_a_mark_is_not_answered_for() -> None:
    mark, sent = Mark(), body(FIRST)
    with upstream(answer) as server, proxy(a_route(server.port), on_turn=mark) as p:
        with Client(p.port) as client:
            client.send(HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(sent), sent))
            wait_until(lambda: mark.turns == [1])
        wait_until(lambda: p.running.client_connections == 0)
        mark.goes_on.set()
        wait_until(lambda: bool(p.recording.outcomes))
        assert p.recording.outcomes[0]["failure"] == "client"
        assert not server.requests or not server.requests[0].body_complete


def test_a_body_beyond_what_may_be_held_is_sent_unread() -> None:
    with upstream(answer) as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        context = p.on_loop(lambda: p.running.serving().context)
        free = context.held.free
        p.on_loop(lambda: context.held.take(free - 10))
        sent = body(FIRST)
        client.send(HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(sent), sent))
        assert client.response().status == 200
        assert context.held.free == 10
    [unclear] = events(p.recording, "turn_unclear")
    assert unclear["reason"] == "its body comes faster than it can be read"


@pytest.mark.parametrize("sent", [body(FIRST), b"[" * 100_000, b"{"])
def test_what_was_held_to_be_read_is_given_back(sent: bytes) -> None:
    with upstream(answer) as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        context = p.on_loop(lambda: p.running.serving().context)
        free = context.held.free
        client.send(HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(sent), sent))
        assert client.response().status == 200
        wait_until(lambda: context.held.free == free)
