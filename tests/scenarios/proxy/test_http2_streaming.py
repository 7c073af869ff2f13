"""Bodies, trailers and resets of HTTP/2 streams pass as they come, and nobody's slowness fills the memory."""

from __future__ import annotations

import gzip
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import anyio
import h2.errors
import h2.settings
import pytest
from hyperframe.frame import DataFrame, GoAwayFrame, PingFrame

from nono.credentials.static import StaticCredential
from nono.credentials.values.injection import injection_of
from nono.credentials.values.tripwire import tripwire_for
from nono.policy.schema.route_rules import Inject
from nono.proxy.exchange import context
from nono.proxy.http2.places import MAX_OF_CLIENT
from nono.secret import Secret
from support.clients.http2 import Http2Client
from support.proxy.http2_stage import KEY, h1_stage, h2_stage
from support.proxy.thread import TIMEOUT_S, bounded_growth, wait_until
from support.servers.http1 import Gone, Received
from support.servers.http2 import Stream

BLOCK = bytes(range(256)) * 64  # 16 KiB
WINDOW = h2.settings.SettingCodes.INITIAL_WINDOW_SIZE
CANCEL = h2.errors.ErrorCodes.CANCEL


def test_both_directions_of_a_stream_run_at_the_same_time() -> None:
    def handler(stream: Stream) -> None:
        stream.head()
        for piece in stream.pieces():
            stream.send(b"<" + piece + b">")
        stream.end([("x-end", "1")])

    with h2_stage(handler) as (stage, _), stage.client() as client:
        number = client.request(method="POST", fields=[KEY], end=False)
        answer = client.answers[number]
        client.wait_until(lambda: answer.status == 200)
        for index in range(5):
            client.send(number, b"%d" % index)
            client.wait_until(lambda: answer.body.endswith(b"<%d>" % index))  # noqa: B023  # waited for at once
        client.send(number, b"", end=True)
        assert client.answer(number).body == b"<0><1><2><3><4>"
        assert answer.trailers == [("x-end", "1")]


def test_trailers_pass_unless_they_change_the_meaning_of_a_response() -> None:
    def handler(stream: Stream) -> None:
        stream.head()
        stream.send(b"x")
        stream.end(
            [("grpc-status", "0"), ("set-cookie", "s=1"), ("grpc-message", "fine"), ("content-length", "9")]
        )

    with h2_stage(handler) as (stage, _), stage.client() as client:
        answer = client.get(fields=[KEY])
    assert answer.trailers == [("grpc-status", "0"), ("grpc-message", "fine")]


def test_a_response_of_trailers_only_is_one_frame() -> None:
    def handler(stream: Stream) -> None:
        stream.head(200, [("grpc-status", "5"), ("grpc-message", "nothing here")], end=True)

    with h2_stage(handler) as (stage, _), stage.client() as client:
        answer = client.get(fields=[KEY])
    assert (answer.values("grpc-status"), answer.body, answer.trailers, answer.ended) == (
        ["5"],
        b"",
        [],
        True,
    )


def test_trailers_of_a_request_do_not_pass_a_credential_route() -> None:
    with h2_stage() as (stage, server), stage.client() as client:
        number = client.request(method="POST", fields=[KEY], body=b"x", end=False)
        client.h2.send_headers(number, [("x-sum", "1"), ("authorization", "Bearer other")], end_stream=True)
        client.flush()
        assert client.answer(number).status == 200
    assert server.streams[0].trailers == []


@pytest.mark.parametrize("name", ["x-end", "X-End"])
@pytest.mark.parametrize("started", [False, True], ids=["before the response", "behind its head"])
def test_malformed_trailers_of_a_request_never_let_it_look_complete(name: str, started: bool) -> None:
    is_well_formed = name.islower()
    ends: list[bytes | None] = []

    def handler(stream: Stream) -> None:
        if started:
            stream.head()
        try:
            ends.append(stream.read_body())
        except Gone:
            ends.append(None)
            raise
        if not started:
            stream.head()
        stream.end()

    with h2_stage(handler) as (stage, server), stage.client() as client:
        number = client.request(method="POST", fields=[KEY], body=b"x", end=False)
        server.received(1)
        answer = client.answers[number]
        if started:
            client.wait_until(lambda: answer.status == 200)
        client.h2.send_headers(number, [(name, "1")], end_stream=True)
        client.flush()
        client.answer(number)
        wait_until(lambda: len(ends) == 1)
        denied = [event["status"] for event in stage.proxy.recording.network if event["decision"] == "deny"]
    if is_well_formed:
        assert (answer.status, answer.ended, ends, denied) == (200, True, [b"x"], [])
    elif started:
        reset = h2.errors.ErrorCodes.PROTOCOL_ERROR
        assert (answer.status, answer.reset, ends, denied) == (200, reset, [None], [])
    else:
        assert (answer.status, answer.ended, ends, denied) == (400, True, [None], [400])


def test_interim_responses_pass_those_that_the_client_can_have() -> None:
    def handler(stream: Stream) -> None:
        stream.head(103, [("link", "</a>; rel=preload"), ("set-cookie", "s=1")])
        stream.head(100)
        stream.respond()

    with h2_stage(handler) as (stage, _), stage.client() as client:
        answer = client.get(fields=[KEY])
        assert (answer.status, answer.interim) == (200, [103])
        number = client.request(method="POST", fields=[KEY, ("expect", "100-continue")], end=False)
        client.wait_until(lambda: client.answers[number].interim == [103, 100])
        client.send(number, b"x", end=True)
        assert client.answer(number).status == 200


@pytest.mark.parametrize("count", [16, 17])
def test_a_flood_of_interim_responses_is_the_end_of_the_stream(count: int) -> None:
    def handler(stream: Stream) -> None:
        for _ in range(count):
            stream.head(103)
        stream.respond()

    with h2_stage(handler) as (stage, _), stage.client() as client:
        assert client.get(fields=[KEY]).status == (200 if count == 16 else 502)


@pytest.mark.parametrize("code", [0, 8], ids=["NO_ERROR", "CANCEL"])
def test_a_response_that_overtakes_its_request_ends_both(code: int) -> None:
    def handler(stream: Stream) -> None:
        stream.respond(body=b"enough")
        if stream.path == b"/stops":
            stream.reset(code)
        else:
            stream.read_body()

    with h2_stage(handler) as (stage, server), stage.client() as client:
        number = client.request("/stops", method="POST", fields=[KEY], body=b"x" * 1000, end=False)
        answer = client.answers[number]
        client.wait_until(lambda: answer.reset is not None)
        assert (answer.status, answer.body, answer.ended, answer.reset) == (200, b"enough", True, 0)
        number = client.request("/reads", method="POST", fields=[KEY], body=b"x" * 1000, end=False)
        answer = client.answers[number]
        client.wait_until(lambda: answer.ended)
        assert (answer.body, answer.reset) == (b"enough", None)
        client.send(number, b"y" * 1000, end=True)  # the upstream goes on reading, so the client may send
        wait_until(lambda: server.streams[1].arrived.empty() and not stage.connections()[0].session._owed)
        assert client.get(fields=[KEY]).status == 200


def test_an_early_response_from_an_upstream_of_http1_stops_the_request() -> None:
    def handler(request: Received) -> None:
        request.connection.respond(413, b"too much", [("Connection", "close")])
        request.connection.wait_gone()
        raise Gone

    with h1_stage(handler) as (stage, _), stage.client() as client:
        number = client.request(method="POST", fields=[KEY], body=b"x" * 1000, end=False)
        answer = client.answers[number]
        client.wait_until(lambda: answer.reset is not None)
        assert (answer.status, answer.body, answer.ended, answer.reset) == (413, b"too much", True, 0)


def test_a_client_that_resets_its_stream_stops_the_upstream() -> None:
    def handler(stream: Stream) -> None:
        if stream.path != b"/after":
            stream.head()
            assert stream.reset_by_client.wait(TIMEOUT_S)
        else:
            stream.respond()

    with h2_stage(handler) as (stage, server), stage.client() as client:
        number = client.request(fields=[KEY])
        client.wait_until(lambda: client.answers[number].status == 200)
        client.h2.reset_stream(number, CANCEL)
        client.flush()
        assert client.get("/after", fields=[KEY]).status == 200
        assert server.streams[0].reset_by_client.wait(TIMEOUT_S)
    assert len(server.connections) == 1


def test_a_client_that_goes_away_stops_the_upstream() -> None:
    def handler(stream: Stream) -> None:
        stream.head()
        assert isinstance(stream.arrived.get(timeout=TIMEOUT_S), int)  # the stream was reset

    with h2_stage(handler) as (stage, server):
        with stage.client() as client:
            number = client.request(method="POST", fields=[KEY], end=False)
            client.wait_until(lambda: client.answers[number].status == 200)
        wait_until(lambda: stage.proxy.running.upstream_connections == 0)
        wait_until(lambda: stage.proxy.running.client_connections == 0)
        assert server.connections[0].closed.wait(TIMEOUT_S)


def test_a_client_that_leaves_during_the_dial_leaves_nothing_behind() -> None:
    asked, proceed = threading.Event(), threading.Event()

    async def resolver(host: str, port: int) -> list[str]:
        asked.set()
        await anyio.to_thread.run_sync(proceed.wait, TIMEOUT_S, abandon_on_cancel=True)
        return ["127.0.0.1"]

    with h2_stage(options={"resolver": resolver}) as (stage, server):
        with stage.client() as client:
            client.request(fields=[KEY])
            assert asked.wait(TIMEOUT_S)
        wait_until(lambda: stage.proxy.running.client_connections == 0)
        proceed.set()
    assert server.streams == []


def test_a_reset_during_the_dial_leaves_other_waiting_streams_alone() -> None:
    asked, proceed = threading.Event(), threading.Event()

    async def resolver(host: str, port: int) -> list[str]:
        asked.set()
        await anyio.to_thread.run_sync(proceed.wait, TIMEOUT_S, abandon_on_cancel=True)
        return ["127.0.0.1"]

    with h2_stage(options={"resolver": resolver}) as (stage, server), stage.client() as client:
        first = client.request("/first", fields=[KEY])
        second = client.request("/second", fields=[KEY])
        assert asked.wait(TIMEOUT_S)
        client.h2.reset_stream(first, CANCEL)
        client.ping()
        proceed.set()
        assert client.answer(second).status == 200
    assert [stream.path for stream in server.streams] == [b"/second"]


@pytest.mark.parametrize("started", [False, True], ids=["before the head", "after it"])
def test_an_upstream_that_resets_a_stream_ends_only_that(started: bool) -> None:
    def handler(stream: Stream) -> None:
        if stream.path == b"/after":
            stream.respond()
            return
        if started:
            stream.head()
            stream.send(b"begun")
        stream.reset(h2.errors.ErrorCodes.ENHANCE_YOUR_CALM)

    with h2_stage(handler) as (stage, server), stage.client() as client:
        answer = client.get(fields=[KEY])
        if started:
            assert (answer.status, answer.ended, answer.reset) == (200, False, 11)
        else:
            assert (answer.status, answer.ended) == (502, True)
            assert b"ENHANCE_YOUR_CALM" in answer.body
        assert client.get("/after", fields=[KEY]).status == 200
    assert [stream.path for stream in server.streams] == [b"/v1/x", b"/after"]  # it may have been carried out


def test_a_stream_for_which_http1_is_required_is_reset_with_that() -> None:
    def handler(stream: Stream) -> None:
        stream.reset(h2.errors.ErrorCodes.HTTP_1_1_REQUIRED)

    with h2_stage(handler) as (stage, _), stage.client() as client:
        assert client.get(fields=[KEY]).reset == h2.errors.ErrorCodes.HTTP_1_1_REQUIRED


@pytest.mark.parametrize("body", [None, b"x"], ids=["without a body", "with one that was sent"])
def test_a_refused_stream_is_sent_once_more_when_that_is_safe(body: bytes | None) -> None:
    refused = threading.Event()

    def handler(stream: Stream) -> None:
        if not refused.is_set():
            stream.read_body()
            refused.set()
            stream.reset(h2.errors.ErrorCodes.REFUSED_STREAM)
        else:
            stream.respond()

    with h2_stage(handler) as (stage, server), stage.client() as client:
        answer = client.answer(client.request(method="POST", fields=[KEY], body=body))
    assert answer.status == (200 if body is None else 502)
    assert len(server.streams) == (2 if body is None else 1)
    assert len(stage.proxy.recording.decisions()) == (2 if body is None else 3)


def test_a_refusal_is_not_retried_for_ever() -> None:
    def handler(stream: Stream) -> None:
        stream.reset(h2.errors.ErrorCodes.REFUSED_STREAM)

    with h2_stage(handler) as (stage, server), stage.client() as client:
        assert client.get(fields=[KEY]).status == 502
    assert len(server.streams) == 2


def test_a_goaway_moves_only_streams_that_have_not_begun() -> None:
    proceed = threading.Event()

    def handler(stream: Stream) -> None:
        connection = stream.connection
        if stream.path == b"/first":
            stream.head()
            assert proceed.wait(TIMEOUT_S)
            stream.send(b"all of it")
            stream.end()
        elif stream.path == b"/second" and stream.number != 1:
            connection.send_raw(GoAwayFrame(0, last_stream_id=1, error_code=0).serialize())
        else:
            stream.respond(body=b"elsewhere")

    with h2_stage(handler) as (stage, server), stage.client() as client:
        first = client.request("/first", fields=[KEY])
        client.wait_until(lambda: client.answers[first].status == 200)
        second = client.request("/second", fields=[KEY])
        assert client.answer(second).body == b"elsewhere"
        third = client.request("/third", fields=[KEY])
        assert client.answer(third).body == b"elsewhere"
        proceed.set()
        assert client.answer(first).body == b"all of it"
        assert server.connections[0].closed.wait(TIMEOUT_S)
    assert len(server.connections) == 2


@pytest.mark.parametrize("started", [False, True], ids=["before the head", "after it"])
def test_an_upstream_that_breaks_off_is_told_apart_from_one_that_ends(started: bool) -> None:
    def handler(stream: Stream) -> None:
        if started:
            stream.head()
            stream.send(b"begun")
        stream.connection.transport.shutdown(2)

    with h2_stage(handler) as (stage, server), stage.client() as client:
        answer = client.get(fields=[KEY])
        assert (answer.status, answer.reset) == ((200, 2) if started else (502, None))
    assert len(server.streams) == 1  # the connection was new, so it was no time limit that ended it


@pytest.mark.parametrize("is_kept", [False, True])
def test_a_request_is_sent_again_only_if_a_kept_connection_of_http1_ends(is_kept: bool) -> None:
    def handler(request: Received) -> None:
        if request.target == b"/ends" and request.connection.number == 0:
            request.connection.reset()
        else:
            request.connection.respond()

    with h1_stage(handler) as (stage, server), stage.client() as client:
        if is_kept:
            assert client.get("/before", fields=[KEY]).status == 200
        assert client.get("/ends", fields=[KEY]).status == (200 if is_kept else 502)
    assert len(server.connections) == (2 if is_kept else 1)


def test_no_answer_of_http2_switches_to_another_protocol() -> None:
    def handler(stream: Stream) -> None:
        stream.head(101)
        stream.respond()

    with h2_stage(handler) as (stage, _), stage.client() as client:
        answer = client.get(fields=[KEY])
        assert (answer.status, answer.interim) == (502, [])


@pytest.mark.parametrize(
    "garbage", [b"\x00" * 64, b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00\xff\xff\x00\x00\x00\x00\x00\x01"]
)
def test_an_upstream_that_speaks_nonsense_is_a_502(garbage: bytes) -> None:
    def handler(stream: Stream) -> None:
        stream.connection.send_raw(garbage)

    with h2_stage(handler) as (stage, _), stage.client() as client:
        assert client.get(fields=[KEY]).status == 502


def test_an_upstream_of_single_streams_gets_more_connections() -> None:
    meet = threading.Barrier(4)

    def handler(stream: Stream) -> None:
        meet.wait(TIMEOUT_S)
        stream.respond()

    settings = {h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 1}
    with h2_stage(handler, settings=settings) as (stage, server), stage.client() as client:
        numbers = [client.request(fields=[KEY]) for _ in range(4)]
        assert {client.answer(number).status for number in numbers} == {200}
    assert len(server.connections) == 4
    assert [len(connection.streams) for connection in server.connections] == [1, 1, 1, 1]


@pytest.mark.parametrize("last_word", ["goaway", "end", "ping"])
def test_no_request_is_lost_on_a_closed_upstream_connection(last_word: str) -> None:
    """The end is here before the request, whose body cannot be sent twice."""

    def post(client: Http2Client) -> int:
        number = client.request(method="POST", fields=[KEY], end=False, flush=False)
        client.h2.send_data(number, b"x", end_stream=True)
        client.flush()  # all of it in one piece, to be read at once
        return client.answer(number).status

    with h2_stage() as (stage, server), stage.client() as client:
        statuses = []
        for _ in range(10):
            statuses.append(post(client))
            last = server.connections[-1]
            match last_word:
                case "goaway":
                    last.send_raw(GoAwayFrame(0, last_stream_id=max(last.streams)).serialize())
                case "end":
                    with suppress(OSError):
                        last.transport.shutdown(socket.SHUT_RDWR)
                case "ping":
                    last.send_raw(PingFrame(0, b"12345678").serialize())
    assert statuses == [200] * 10
    if last_word != "ping":
        assert len(server.connections) == 10


# -- how much is held


def test_only_a_response_that_nobody_reads_is_held_up() -> None:
    sent = [0]
    standing = threading.Event()

    def handler(stream: Stream) -> None:
        if stream.path != b"/endless":
            stream.respond(body=b"")
            return
        stream.head()
        while not stream.reset_by_client.is_set():
            with stream.connection.locked() as h2_connection:
                room = h2_connection.local_flow_control_window(stream.number)
            if room < len(BLOCK):
                standing.set()
                if stream.reset_by_client.wait(0.05):
                    return
                continue
            stream.send(BLOCK)
            sent[0] += len(BLOCK)

    with (
        h2_stage(handler) as (stage, _),
        stage.client(acknowledges=False, settings={WINDOW: 65535}) as client,
        bounded_growth(32),
    ):
        number = client.request("/endless", fields=[KEY])
        client.wait_until(lambda: len(client.answers[number].body) == 65535)
        assert standing.wait(TIMEOUT_S)
        for _ in range(20):
            assert client.get("/empty", fields=[KEY]).status == 200
        assert sent[0] <= 2 * 1024 * 1024
        client.h2.reset_stream(number, CANCEL)
        client.flush()


@pytest.mark.parametrize("coding", [None, "gzip"])
@pytest.mark.parametrize("is_searched", [False, True], ids=["passed on", "searched"])
def test_a_response_in_frames_of_one_byte_is_kept_no_larger_than_it_is(
    is_searched: bool, coding: str | None
) -> None:
    """Of each frame a few hundred bytes were kept, up to a window of them on every stream."""
    body = gzip.compress(os.urandom(100_000), 0) if coding else b"x" * 100_000
    secret = Secret("sk-canary-8Zq2LmT5vWx7Yb1Nc4Kd")
    searched = StaticCredential(injection_of(Inject(), secret), tripwire_for([secret]))
    has_sent = threading.Event()

    def handler(stream: Stream) -> None:
        if stream.path == b"/tiny":
            stream.head(200, [("content-encoding", coding)] if coding else [])
            for start in range(0, len(body), 1000):
                pieces = [body[at : at + 1] for at in range(start, min(start + 1000, len(body)))]
                frames = [DataFrame(stream.number, piece).serialize() for piece in pieces]
                stream.connection.send_raw(b"".join(frames))
            has_sent.set()
        else:
            assert stream.path == b"/warm" or has_sent.wait(TIMEOUT_S)
            stream.respond(204, b"")

    with (
        h2_stage(handler, credential=searched if is_searched else None) as (stage, _),
        stage.client(settings={WINDOW: 0}) as client,
    ):
        assert client.get("/warm", fields=[KEY]).status == 204
        with bounded_growth(6):
            client.request("/tiny", fields=[KEY])
            assert client.get("/behind", fields=[KEY]).status == 204


def test_a_coded_response_goes_on_arriving_while_the_first_of_it_is_taken() -> None:
    """Or its upstream would stand still for a round trip behind each window of it."""
    body, window = gzip.compress(os.urandom(1_200_000), 0), 1 << 20  # of the upstream
    secret = Secret("sk-canary-8Zq2LmT5vWx7Yb1Nc4Kd")
    searched = StaticCredential(injection_of(Inject(), secret), tripwire_for([secret]))
    is_full, has_sent = threading.Event(), threading.Event()

    def handler(stream: Stream) -> None:
        stream.head(200, [("content-encoding", "gzip")])
        stream.send(body[:window])
        is_full.set()
        stream.send(body[window:])
        has_sent.set()
        stream.end()

    with (
        h2_stage(handler, credential=searched) as (stage, _),
        stage.client(settings={WINDOW: 0}, acknowledges=False) as client,
    ):
        number = client.request(fields=[KEY])
        assert is_full.wait(TIMEOUT_S)
        client.h2.increment_flow_control_window(2_000_000)
        client.h2.increment_flow_control_window(800_000, number)
        client.flush()
        client.wait_until(lambda: len(client.answers[number].body) == 800_000)
        assert has_sent.wait(TIMEOUT_S)
        client.h2.increment_flow_control_window(800_000, number)
        client.flush()
        assert len(client.answer(number).body) == 1_200_000


def test_only_an_upload_that_nobody_reads_is_held_up() -> None:
    proceed = threading.Event()

    def handler(request: Received) -> None:
        if request.target == b"/stands":
            assert proceed.wait(TIMEOUT_S)
        request.read_body()
        request.connection.respond()

    with h1_stage(handler) as (stage, _), stage.client() as client, bounded_growth(48):
        number = client.request("/stands", method="POST", fields=[KEY], end=False)
        sent = 0
        while sent < 64 * 1024 * 1024:
            room = min(client.h2.local_flow_control_window(number), 16384)
            if room <= 0:
                client.ping()  # whatever the proxy grants for what it has passed on has come by now
                client.get("/other", fields=[KEY])
                if client.h2.local_flow_control_window(number) <= 0:
                    break
                continue
            client.h2.send_data(number, bytes(room))
            client.flush()
            sent += room
        assert sent < 32 * 1024 * 1024
        proceed.set()
        client.send(number, b"", end=True)
        assert client.answer(number).status == 200


def test_a_request_in_frames_of_two_bytes_that_waits_is_kept_no_larger_than_it_is() -> None:
    """Of each frame sixty bytes were kept while the request waited for its upstream."""
    asked, proceed = threading.Event(), threading.Event()

    async def resolver(host: str, port: int) -> list[str]:
        asked.set()
        await anyio.to_thread.run_sync(proceed.wait, TIMEOUT_S, abandon_on_cancel=True)
        return ["127.0.0.1"]

    received: list[bytes] = []

    def handler(stream: Stream) -> None:
        received.append(stream.read_body())
        stream.respond()

    body = BLOCK * 12
    with h2_stage(handler, options={"resolver": resolver}) as (stage, _), stage.client() as client:
        numbers = [client.request(method="POST", fields=[KEY], end=False) for _ in range(2)]
        assert asked.wait(TIMEOUT_S)
        client.ping()
        with bounded_growth(6):
            for number in numbers:
                for start in range(0, len(body), 2048):
                    pieces = [body[at : at + 2] for at in range(start, start + 2048, 2)]
                    frames = [DataFrame(number, piece).serialize() for piece in pieces]
                    client.send_raw(b"".join(frames))
            client.ping()
        proceed.set()
        for number in numbers:
            client.send_raw(DataFrame(number, b"", flags=["END_STREAM"]).serialize())
            assert client.answer(number).status == 200
    assert received == [body, body]


@pytest.mark.parametrize("is_much", [True, False], ids=["beyond the budget", "within it"])
def test_only_a_client_whose_uploads_fill_the_memory_is_cut_off(
    is_much: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The windows of one client came to 32 MiB, and there may be 256 clients."""
    monkeypatch.setattr(context, "MAX_OWED_BYTES", 1 << 20)

    def handler(stream: Stream) -> None:
        if stream.method == b"GET":
            stream.respond(204, b"")
        else:
            stream.reset_by_client.wait(TIMEOUT_S)

    with h2_stage(handler, settings={WINDOW: 0}) as (stage, _), stage.client() as other:
        for _ in range(2):  # what was taken is free again
            with stage.client() as client:
                client.ping()  # the windows of the proxy are known then
                numbers = [client.request(method="POST", fields=[KEY], end=False) for _ in range(6)]
                with suppress(OSError):
                    for number in numbers if is_much else numbers[:4]:
                        for _ in range(16):
                            client.h2.send_data(number, BLOCK)
                            client.flush()
                if is_much:
                    client.wait_closed()
                    assert client.goaway in (h2.errors.ErrorCodes.ENHANCE_YOUR_CALM, None)
                else:
                    assert client.get(fields=[KEY]).status == 204
            assert other.get(fields=[KEY]).status == 204
            wait_until(lambda: len(stage.connections()) == 1)


@pytest.mark.parametrize(("count", "passes"), [(4, False), (1, True)])
def test_only_responses_that_fill_the_memory_unread_are_cut_off(
    count: int, passes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context, "MAX_OWED_BYTES", 1 << 20)
    sent = threading.Event()

    def handler(stream: Stream) -> None:
        stream.head()
        if stream.path == b"/large":
            for _ in range(64):  # 1 MiB, the window of a stream
                stream.send(BLOCK)
            sent.set()
        stream.end()

    with (
        h2_stage(handler) as (stage, _),
        stage.client(settings={WINDOW: 0}) as client,
        stage.client() as other,
    ):
        numbers = [client.request("/large", fields=[KEY]) for _ in range(count)]
        if passes:
            assert sent.wait(TIMEOUT_S)
            client.ping()
            assert client.answers[numbers[0]].reset is None
        else:
            client.wait_until(lambda: any(client.answers[number].reset is not None for number in numbers))
        assert other.get(fields=[KEY]).status == 200
        assert client.get(fields=[KEY]).status == 200


@pytest.mark.parametrize("waiting_last", [True, False], ids=["waiting last", "waiting first"])
def test_uploads_that_wait_for_others_do_not_hold_these_up(waiting_last: bool) -> None:
    def handler(request: Received) -> None:
        request.read_body()
        request.connection.respond()

    with h1_stage(handler) as (stage, server), stage.client() as client:
        numbers = [client.request("/u", method="POST", fields=[KEY], end=False) for _ in range(128)]
        wait_until(lambda: len(server.requests) == MAX_OF_CLIENT)
        client.ping()  # the windows of the proxy are known then
        window = client.h2.local_flow_control_window
        for number in numbers if waiting_last else reversed(numbers):
            client.send(number, bytes(window(number)))
        left = [*numbers]
        while left:
            free = [number for number in left if window(number)]  # what was sent there has been passed on
            for number in free:
                client.send(number, b"end", end=True)
                left.remove(number)
            assert free or client.receive()
        assert {client.answer(number).status for number in numbers} == {200}


@pytest.mark.parametrize("version", ["h2", "http/1.1"])
def test_a_large_body_passes_whole_both_ways_in_bounded_memory(version: str) -> None:
    count = 1024  # 16 MiB
    good: list[bool] = []

    def check(pieces: Iterator[bytes]) -> None:
        total = 0
        for piece in pieces:
            good.append(piece == (BLOCK * 6)[total % 256 :][: len(piece)])
            total += len(piece)
        good.append(total == count * len(BLOCK))

    def on_h2(stream: Stream) -> None:
        check(stream.pieces())
        stream.head()
        for _ in range(count):
            stream.send(BLOCK)
        stream.end()

    def on_h1(request: Received) -> None:
        def pieces() -> Iterator[bytes]:
            for piece in request.pieces():
                request.forget_body()
                yield piece

        check(pieces())
        request.connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (count * len(BLOCK)))
        for _ in range(count):
            request.connection.send(BLOCK)

    staged = h2_stage(on_h2) if version == "h2" else h1_stage(on_h1)
    with staged as (stage, _), stage.client() as client, bounded_growth(24):
        number = client.request(method="POST", fields=[KEY], end=False)
        for _ in range(count):
            client.send(number, BLOCK)
        client.send(number, b"", end=True)
        total = download(client, number)
    assert total == count * len(BLOCK)
    assert all(good)


def download(client: Http2Client, number: int) -> int:
    """Return the size of the rest of a body, which is checked and not kept."""
    answer, total = client.answers[number], 0
    while not answer.is_over:
        assert client.receive()
        body, answer.body = answer.body, b""
        assert body == (BLOCK * (len(body) // len(BLOCK) + 2))[total % 256 :][: len(body)]
        total += len(body)
    return total


def test_abandoned_streams_do_not_use_up_the_connection_window() -> None:
    def handler(stream: Stream) -> None:
        if stream.path == b"/after":
            stream.read_body()
        else:
            stream.reset_by_client.wait(TIMEOUT_S)
        if not stream.reset_by_client.is_set():
            stream.respond()

    with h2_stage(handler, settings={WINDOW: 1000}) as (stage, _), stage.client() as client:
        for index in range(100):  # 20 MiB that were sent and not passed on; the window has 16
            number = client.request("/given-up", method="POST", fields=[KEY], end=False)
            client.send(number, BLOCK * 13)
            if index % 10 == 0:
                client.ping()
            client.h2.reset_stream(number, CANCEL)
            client.flush()
        assert client.post(b"x" * 500_000, "/after", fields=[KEY]).status == 200


def test_abandoned_responses_do_not_use_up_the_upstream_window() -> None:
    def handler(stream: Stream) -> None:
        stream.head()
        for _ in range(20 if stream.path == b"/after" else 60):
            stream.send(BLOCK)
        stream.end()

    with h2_stage(handler) as (stage, server), stage.client(settings={WINDOW: 1000}) as client:
        for _ in range(25):  # of each, nearly a MiB arrives at the proxy; the window has 16
            number = client.request("/given-up", fields=[KEY])
            client.wait_until(lambda: client.answers[number].body != b"")  # noqa: B023  # waited for at once
            client.h2.reset_stream(number, CANCEL)
            client.flush()
        assert len(client.get("/after", fields=[KEY]).body) == 20 * len(BLOCK)
    assert len(server.connections) == 1


def test_a_client_with_the_smallest_window_still_gets_everything() -> None:
    def handler(stream: Stream) -> None:
        stream.head()
        stream.send(b"x" * 300)
        stream.end([("x-end", "1")])

    with h2_stage(handler) as (stage, _), stage.client(settings={WINDOW: 1}, acknowledges=False) as client:
        number = client.request(fields=[KEY])
        answer = client.answers[number]
        while not answer.is_over:
            seen = len(answer.body)
            assert client.receive()
            if len(answer.body) > seen and not answer.is_over:
                client.h2.increment_flow_control_window(1, number)
                client.flush()
    assert (answer.body, answer.trailers) == (b"x" * 300, [("x-end", "1")])


@pytest.mark.parametrize("first", ["nothing", "interim"])
def test_a_502_replaces_a_body_that_precedes_its_head(first: str) -> None:
    def handler(stream: Stream) -> None:
        if first == "interim":
            stream.head(103)
        if stream.path.endswith(b"/forged"):
            stream.send(b"forged")
        stream.respond(body=b"ok")

    with h2_stage(handler) as (stage, _), stage.client() as client:
        answers = [client.get(path, fields=[KEY]) for path in ("/v1/forged", "/v1/x")]
    assert [answer.status for answer in answers] == [502, 200]
    assert b"forged" not in answers[0].body
    assert answers[1].body == b"ok"


@pytest.mark.parametrize("window", [100, 50], ids=["none", "less than none"])
def test_a_window_that_a_setting_makes_negative_only_holds_the_stream_up(window: int) -> None:
    """RFC 9113 section 6.9.2. What is held back of a body leaves a mark of nothing in the queue."""
    secret = "sk-canary-8Zq2LmT5vWx7Yb1Nc4Kd"
    credential = StaticCredential(injection_of(Inject(), Secret(secret)), tripwire_for([Secret(secret)]))
    is_shut, has_begun, is_seen = threading.Event(), threading.Event(), threading.Event()

    def handler(stream: Stream) -> None:
        if stream.path == b"/held":
            stream.head()
            stream.send(b" " * 100)
            assert is_shut.wait(TIMEOUT_S)
            stream.send(secret[:5].encode())
            has_begun.set()
            assert is_seen.wait(TIMEOUT_S)
            stream.send(b" and no more of it")
            stream.end()
        else:
            assert has_begun.wait(TIMEOUT_S)
            stream.respond()

    with (
        h2_stage(handler, credential=credential) as (stage, _),
        stage.client(settings={WINDOW: 200}, acknowledges=False) as client,
    ):
        held = client.request("/held", fields=[KEY])
        client.wait_until(lambda: len(client.answers[held].body) == 100)
        client.h2.update_settings({WINDOW: window})
        client.ping()
        is_shut.set()
        assert client.get("/other", fields=[KEY]).body == b"ok"
        client.h2.update_settings({WINDOW: 1000})
        client.ping()
        is_seen.set()
        assert client.answer(held).body == b" " * 100 + secret[:5].encode() + b" and no more of it"


@pytest.mark.parametrize(
    ("body", "announced"),
    [(b"", 0), (b"", 60), (b"abc", 3), (b"abc", 60)],
    ids=["nothing", "nothing of 60", "three", "three of 60"],
)
def test_a_response_that_ends_before_its_length_does_not_look_complete(body: bytes, announced: int) -> None:
    """The end may come with fields, behind which h2 does not compare the lengths."""

    def handler(stream: Stream) -> None:
        stream.head(200, [("content-length", str(announced))], end=not body)
        if body:
            stream.send(body)
            stream.end([("x-end", "1")])

    with h2_stage(handler) as (stage, _), stage.client() as client:
        answer = client.get(fields=[KEY])
    if announced == len(body):
        assert (answer.status, answer.body, answer.ended) == (200, body, True)
    elif body:
        assert (answer.status, answer.ended) == (200, False)
    else:
        assert answer.status == 502


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 304), ("GET", 200)])
def test_a_length_of_what_is_not_sent_passes_where_it_says_no_more(method: str, status: int) -> None:
    def handler(stream: Stream) -> None:
        stream.head(status, [("content-length", "60")], end=True)

    with h2_stage(handler) as (stage, _), stage.client() as client:
        answer = client.answer(client.request(method=method, fields=[KEY]))
    if (method, status) == ("GET", 200):
        assert answer.status == 502
    else:
        assert (answer.status, answer.values("content-length"), answer.ended) == (status, ["60"], True)
