"""The windows of all bodies that are decoded have one limit together, and each body gives its share back."""

from __future__ import annotations

import threading
from contextlib import ExitStack

import brotli
import pytest

from nono.credentials.static import StaticCredential
from nono.credentials.values.injection import injection_of
from nono.credentials.values.tripwire import tripwire_for
from nono.policy.schema.route_rules import Inject
from nono.proxy.exchange import context
from nono.proxy.exchange.held import HeldBytes
from nono.proxy.http.content_coding import BROTLI_TABLES_BYTES
from nono.secret import Secret
from support.proxy.http2_stage import KEY, h2_stage
from support.proxy.thread import PHANTOM, TIMEOUT_S, Client, ProxyUnderTest, a_route, proxy, wait_until
from support.servers.http1 import Gone, Received, upstream
from support.servers.http2 import Stream

WINDOW = 1 << 20
WINDOWS = 2  # that there is memory for, and for the tables beside them
MEMORY = WINDOWS * (WINDOW + BROTLI_TABLES_BYTES)
_COMPRESSOR = brotli.Compressor(quality=5, lgwin=20)
START = _COMPRESSOR.process(bytes(WINDOW)) + _COMPRESSOR.flush()
REST = _COMPRESSOR.finish()
CODED = ("content-encoding", "br")
TOO_MUCH = ("blocked", "compressed bodies already use all the memory allowed for them")
LEFT = ("client", "the client went away")


@pytest.fixture(autouse=True)
def limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "MAX_DECODING_BYTES", MEMORY)


def searched() -> StaticCredential:
    secret = Secret("sk-canary-8Zq2LmT5vWx7Yb1Nc4Kd")
    return StaticCredential(injection_of(Inject(), secret), tripwire_for([secret]))


def budget(running: ProxyUnderTest) -> HeldBytes:
    return running.running.serving().context.decoding


def is_full(running: ProxyUnderTest) -> bool:
    return budget(running).free == 0


def is_free(running: ProxyUnderTest) -> bool:
    return budget(running).free == MEMORY


def failures(running: ProxyUnderTest) -> list[tuple[object, object]]:
    """Return (failure, reason) of each exchange that did not end with its response."""
    return [(end["failure"], end["reason"]) for end in running.recording.outcomes if "failure" in end]


def test_an_answer_beyond_the_memory_for_windows_is_broken_off() -> None:
    goes_on = threading.Event()

    def handler(request: Received) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nTransfer-Encoding: chunked\r\n\r\n"
        request.connection.send(head + b"%x\r\n%b\r\n" % (len(START), START))
        assert goes_on.wait(TIMEOUT_S)
        request.connection.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(REST), REST))

    ask = f"GET /alpha/x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {PHANTOM}\r\n\r\n".encode()
    with (
        upstream(handler) as server,
        proxy(a_route(server.port, credential=searched())) as running,
        ExitStack() as stack,
    ):
        clients = [stack.enter_context(Client(running.port)) for _ in range(WINDOWS)]
        for client in clients:
            client.send(ask)
        server.received(WINDOWS)
        wait_until(lambda: is_full(running))
        with Client(running.port) as late:
            late.send(ask)
            with pytest.raises((AssertionError, OSError)):
                late.response()
        wait_until(lambda: failures(running) == [TOO_MUCH])
        clients.pop().transport.close()  # what one gives back by going away, another may take
        wait_until(lambda: not is_full(running))
        goes_on.set()
        with Client(running.port) as again:
            again.send(ask)
            assert again.response().body == bytes(WINDOW)
        assert clients[0].response().body == bytes(WINDOW)
        wait_until(lambda: is_free(running) and LEFT in failures(running))


def test_a_stream_beyond_the_memory_for_windows_is_reset() -> None:
    goes_on = threading.Event()

    def handler(stream: Stream) -> None:
        stream.head(200, [CODED])
        stream.send(START)
        assert goes_on.wait(TIMEOUT_S)
        stream.send(REST)
        stream.end()

    with h2_stage(handler, credential=searched()) as (stage, _), stage.client() as client:
        streams = [client.request(fields=[KEY]) for _ in range(WINDOWS)]
        for number in streams:
            client.wait_until(lambda number=number: len(client.answers[number].body) > WINDOW // 2)  # type: ignore[misc]  # bound at once
        assert is_full(stage.proxy)
        assert client.get(fields=[KEY]).reset
        goes_on.set()
        assert [client.answer(number).body for number in streams] == [bytes(WINDOW)] * WINDOWS
        assert client.get(fields=[KEY]).body == bytes(WINDOW)
        wait_until(lambda: is_free(stage.proxy) and failures(stage.proxy) == [TOO_MUCH])


def test_an_upload_to_a_model_beyond_the_memory_for_windows_is_passed_on_unread() -> None:
    compressor = brotli.Compressor(quality=5, lgwin=20)
    body = b'{"messages":[{"role":"user","content":"' + b"x" * WINDOW
    start = compressor.process(body) + compressor.flush()

    def handler(request: Received) -> None:
        request.connection.wait_for(len(start))
        with pytest.raises(Gone):
            request.read_body()

    head = (
        f"POST /alpha/v1/messages HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {PHANTOM}\r\n"
        "Content-Encoding: br\r\nTransfer-Encoding: chunked\r\n\r\n"
    ).encode()
    upload = head + b"%x\r\n%b\r\n" % (len(start), start)

    def unread(running: ProxyUnderTest) -> list[object]:
        return [event["reason"] for event in running.recording.events if event["type"] == "turn_unclear"]

    with upstream(handler) as server, proxy(a_route(server.port)) as running, ExitStack() as stack:
        for _ in range(WINDOWS):
            stack.enter_context(Client(running.port)).send(upload)
        server.received(WINDOWS)
        wait_until(lambda: is_full(running))
        assert unread(running) == []
        with Client(running.port) as late:
            late.send(upload)
            wait_until(lambda: unread(running) == [TOO_MUCH[1]])
            server.received(WINDOWS + 1)
        stack.close()
        wait_until(lambda: is_free(running))
