"""No answer and no request keeps the proxy's loop from its other clients for longer than 10 ms."""

from __future__ import annotations

import gzip
import json
import socket
import sys
import threading
import time
import zlib
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import wraps

import brotli
import pytest

from nono.credentials.static import StaticCredential
from nono.credentials.values.injection import injection_of
from nono.credentials.values.tripwire import tripwire_for
from nono.policy.endpoints.policy import EndpointPolicy, EndpointRule
from nono.policy.schema.route_rules import Inject
from nono.secret import Secret
from support.proxy.http2_stage import KEY, h2_stage
from support.proxy.interception import connect, intercepting
from support.proxy.thread import PHANTOM, TIMEOUT_S, Client, a_route, proxy
from support.running.pace import slowness
from support.servers.http1 import Received, upstream
from support.servers.http2 import Stream

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LIMIT_S = 0.010
SIZE = 1 << 18
PATH = "/v1/chat/completions"  # its answers are metered
EVENTS, JSON = "text/event-stream", "application/json"


def zlib_of(body: bytes) -> bytes:
    return zlib.compress(body, 1)


def gzip_of(body: bytes) -> bytes:
    return gzip.compress(body, 1)


def stored(count: int) -> bytes:
    """Return so many blocks of one byte (RFC 1951 section 3.2.4), the last of them final."""
    blocks = b"\0\1\0\xfe\xffx" * (count - 1) + b"\1\1\0\xfe\xffx"
    return b"\x78\x01" + blocks + zlib.adler32(b"x" * count).to_bytes(4)


def filled(pattern: bytes, size: int = SIZE) -> bytes:
    return pattern * (size // len(pattern))


# Each took the loop for 0.05 to 40 s.
BODIES = {
    "lines of data": (EVENTS, filled(b'data: "",\n', 8 * SIZE)),
    "events": (EVENTS, filled(b'data: {"a":1}\n\n')),
    "events with counts": (EVENTS, filled(b'data: {"usage": {"input_tokens": 1, "output_tokens": 2}}\n\n')),
    "blank lines": (EVENTS, filled(b"\n", 2 * SIZE)),
    "comments": (EVENTS, filled(b":\n")),
    "braces in an event": (EVENTS, b"data: " + filled(b"{}", SIZE // 2)),
    "colons in an event": (EVENTS, b"data: " + filled(b":", SIZE // 2)),
    "open braces": (JSON, filled(b"{", SIZE)),
    "objects": (JSON, b"[" + filled(b'{"a":{"b":[]}},', 2 * SIZE)),
    "members": (JSON, b"{" + filled(b'"a":1,', SIZE)),
    "commas": (JSON, b"{" + filled(b",", SIZE)),
    "escapes": (JSON, b'{"' + filled(b"\\u0041", SIZE)),
    "texts": (JSON, b'{"usage":{' + filled(b'"",', SIZE)),
    "an ordinary answer": (JSON, json.dumps({"usage": {"prompt_tokens": 1}}).encode()),
}
CODED = {"lines of data": 2 * SIZE, "objects": SIZE}  # octets, decoded: without turns 60 to 330 ms at once
CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip_of,
    "deflate": zlib_of,
    "br": lambda body: bytes(brotli.compress(body, quality=1)),
    "zstd": lambda body: zstd.compress(body, 1),
}
BOMBS = {
    **{f"{coding} bomb": (coding, code(bytes(32 * SIZE))) for coding, code in CODINGS.items()},
    "members of one byte": ("gzip", gzip.compress(b"x", 1) * 8000),
    "frames of one byte": ("zstd", zstd.compress(b"x", 1) * 8000),
    "blocks of one byte": ("deflate", stored(40000)),
}


Worst = Callable[..., float]


def fields(kind: str, coding: str | None) -> list[tuple[str, str]]:
    return [("Content-Type", kind), *([] if coding is None else [("Content-Encoding", coding)])]


def worst_http1(
    kind: str, body: bytes, coding: str | None = None, credential: StaticCredential | None = None
) -> float:
    """Return the longest turn while an HTTP/1.1 client gets this answer."""

    def answer(request: Received) -> None:
        request.read_body()
        request.connection.respond(body=body, fields=fields(kind, coding))

    path = "/x" if credential else PATH
    head = f"POST /alpha{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {PHANTOM}\r\n"
    with (
        upstream(answer) as server,
        proxy(a_route(server.port, credential=credential)) as p,
        Client(p.port) as client,
        p.clocked() as clock,
    ):
        client.send(head.encode() + b"Content-Length: 0\r\n\r\n")
        assert client.response().status == 200
    return clock.worst_s


def worst_http2(kind: str, body: bytes, coding: str | None = None) -> float:
    """Return the longest turn over HTTP/2 to both sides."""

    def answer(stream: Stream) -> None:
        stream.read_body()
        stream.respond(body=body, fields=[(name.lower(), value) for name, value in fields(kind, coding)])

    with h2_stage(answer) as (stage, _), stage.client() as client, stage.proxy.clocked() as clock:
        assert client.post(b"", PATH, fields=[KEY]).status == 200
    return clock.worst_s


class SlowTurnError(AssertionError):
    """A turn of the loop took longer than it may."""


def judge(worst_s: float) -> None:
    if worst_s >= LIMIT_S and worst_s >= LIMIT_S * (slower := slowness()):
        raise SlowTurnError(f"{worst_s * 1000:.1f} ms of CPU time in one turn, {slower:.1f} times as slow")


def tried_again(test: Callable[..., None]) -> Callable[..., None]:
    """Try up to ten times: a busy neighbour on the core makes a turn longer, nothing makes it shorter."""

    @wraps(test)
    def trying(*arguments: object, **named: object) -> None:
        for _ in range(9):
            with suppress(SlowTurnError):
                return test(*arguments, **named)
        return test(*arguments, **named)

    return trying


TRANSPORTS = pytest.mark.parametrize("worst", [worst_http1, worst_http2], ids=["HTTP/1.1", "HTTP/2"])


@TRANSPORTS
@pytest.mark.parametrize("name", BODIES)
@tried_again
def test_no_answer_takes_the_loop(name: str, worst: Worst) -> None:
    judge(worst(*BODIES[name]))


ESCAPES = [b"\\\\", b"%41", b"%25252541 ", b"=41", b"&amp;\n"]


@pytest.mark.parametrize("escape", ESCAPES, ids=bytes.decode)
@tried_again
def test_no_search_of_escapes_takes_the_loop(escape: bytes) -> None:
    """Each took it for 0.2 to 0.7 s: an uncoded body was searched as it came, in 32 reads of 256 KB."""
    key = "ghp_Zk3vQ9xTb7LmW2cRf8NdYs5HjA1uPg6EoKi0"
    credential = StaticCredential(injection_of(Inject(), Secret(key)), tripwire_for([Secret(key)]))
    judge(worst_http1("text/plain", filled(escape, 16 * SIZE), credential=credential))


@TRANSPORTS
@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("name", CODED)
@tried_again
def test_no_coded_answer_takes_the_loop(name: str, coding: str, worst: Worst) -> None:
    kind, body = BODIES[name]
    judge(worst(kind, CODINGS[coding](body[: CODED[name]]), coding))


@TRANSPORTS
@pytest.mark.parametrize("name", BOMBS)
@tried_again
def test_no_bomb_takes_the_loop(name: str, worst: Worst) -> None:
    coding, body = BOMBS[name]
    judge(worst("text/plain", body, coding))


HEAD = f"Host: 127.0.0.1\r\nAuthorization: Bearer {PHANTOM}\r\n".encode()
CHUNKS = b"1\r\nx\r\n" * 50_000 + b"0\r\n\r\n"
REQUESTS = {
    "many refused ones": b"GET /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 4000,
    "many good ones": (b"GET /alpha/x HTTP/1.1\r\n" + HEAD + b"\r\n") * 200,
    "chunks of one byte": b"POST /alpha/x HTTP/1.1\r\n"
    + HEAD
    + b"Transfer-Encoding: chunked\r\n\r\n"
    + CHUNKS,
    "half a phantom in each field": b"GET /alpha/x HTTP/1.1\r\n"
    + HEAD
    + b"".join(b"x-%d: %b\r\n" % (number, PHANTOM[:-1].encode() * 30) for number in range(90))
    + b"\r\n",
    "marks of logins": b"GET /alpha/x HTTP/1.1\r\n"
    + HEAD
    + b"Cookie: %b\r\n" % (b"nono_0a" * 1100) * 7
    + b"\r\n",
    "many segments": b"GET /alpha/" + b"abc/" * 2000 + b"x HTTP/1.1\r\n" + HEAD + b"\r\n",
    "many numbers": b"GET /alpha/" + b"+1/" * 2700 + b" HTTP/1.1\r\n" + HEAD + b"\r\n",
    "as many numbers as pass": b"GET /alpha/" + b"+1.0_1/" * 990 + b" HTTP/1.1\r\n" + HEAD + b"\r\n",
    "many escapes": b"GET /alpha/" + b"%41" * 2600 + b" HTTP/1.1\r\n" + HEAD + b"\r\n",
    "many parameters": b"GET /alpha/?" + b"a=%41&" * 1300 + b" HTTP/1.1\r\n" + HEAD + b"\r\n",
}
STARS = tuple(EndpointRule("*", "/" + f"**/*a*b*c{number}/" * 3 + "**") for number in range(4))


@pytest.mark.parametrize("name", REQUESTS)
@tried_again
def test_no_request_takes_the_loop(name: str) -> None:
    rules = EndpointPolicy("allow", deny=STARS, is_explicit=True)
    with (
        upstream() as server,
        proxy(a_route(server.port, endpoints=rules)) as p,
        Client(p.port) as client,
        p.clocked() as clock,
    ):
        client.send(REQUESTS[name])
        for _ in range(REQUESTS[name].count(b" HTTP/1.1")):
            client.response()
    judge(clock.worst_s)


ASKED = {
    "brackets": (None, b'{"messages":[' + filled(b"{}", SIZE)),
    "objects in what is said": (None, b'{"messages":[{"content":[' + filled(b'{"a":{"b":[]}},', 2 * SIZE)),
    "short texts": (None, b'{"messages":[{"content":[' + filled(b'"\\n",', 2 * SIZE)),
    "members": (None, b"{" + filled(b'"a":1,', SIZE)),
    "deep arrays": (None, b'{"text":' + filled(b"[", SIZE)),
    "one long text": (None, b'{"messages":[{"content":"' + filled(b"word \\n", 8 * SIZE)),
    "a bomb": ("gzip", gzip_of(b'{"messages":[' + filled(b"{}", 16 * SIZE))),
}


@pytest.mark.parametrize("name", ASKED)
@tried_again
def test_no_request_to_a_model_takes_the_loop(name: str) -> None:
    coding, body = ASKED[name]
    fields_ = HEAD + b"Content-Length: %d\r\n" % len(body)
    if coding is not None:
        fields_ += b"Content-Encoding: %b\r\n" % coding.encode()

    def answer(request: Received) -> None:
        request.read_body()
        request.connection.respond()

    with (
        upstream(answer) as server,
        proxy(a_route(server.port)) as p,
        Client(p.port) as client,
        p.clocked() as clock,
    ):
        client.send(f"POST /alpha{PATH} HTTP/1.1\r\n".encode() + fields_ + b"\r\n" + body)
        assert client.response().status == 200
    judge(clock.worst_s)


MANY_CHUNKS = 500_000  # the loop reads up to 32 times 256 KB in one turn
LAST_CHUNK = b"0\r\n\r\n"


def answered_in_chunks(
    body: bytes, then: Callable[[Received], object] = lambda _: None
) -> tuple[bytes, float]:
    """Send `body`, as it is on the wire. Returns what the client got of it, and the longest turn."""

    def answer(request: Received) -> None:
        request.connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
        then(request)

    with (
        upstream(answer) as server,
        proxy(a_route(server.port)) as p,
        Client(p.port) as client,
        p.clocked() as clock,
    ):
        for _ in range(2):
            client.send(b"GET /alpha/x HTTP/1.1\r\n" + HEAD + b"\r\n")
            got = client.response().body
    return got, clock.worst_s


@pytest.mark.parametrize("count", [50_000, MANY_CHUNKS])
@tried_again
def test_no_read_of_tiny_chunks_takes_the_loop(count: int) -> None:
    """32 of 256 KB in one turn took it for 0.2 s."""
    got, worst_s = answered_in_chunks(b"1\r\nx\r\n" * count + LAST_CHUNK)
    assert got == b"x" * count
    judge(worst_s)


def test_tiny_chunks_arrive_whole_if_the_upstream_closes_behind_them() -> None:
    def close(request: Received) -> None:
        request.connection.transport.shutdown(socket.SHUT_RDWR)

    got, _ = answered_in_chunks(b"1\r\nx\r\n" * 200_000 + LAST_CHUNK, close)
    assert got == b"x" * 200_000


def test_what_follows_tiny_chunks_is_no_answer_to_the_next_request() -> None:
    forged = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"
    got, _ = answered_in_chunks(b"1\r\nx\r\n" * 200_000 + LAST_CHUNK + forged)
    assert got == b"x" * 200_000


def test_tiny_and_large_chunks_keep_their_order() -> None:
    pieces = [bytes([65 + number % 26]) * (1 if number % 4000 else 40_000) for number in range(20_000)]
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    assert answered_in_chunks(body + LAST_CHUNK)[0] == b"".join(pieces)


@tried_again
def test_no_upload_in_tiny_chunks_takes_the_loop() -> None:
    def answer(request: Received) -> None:
        request.connection.respond(body=b"%d" % len(request.read_body()))

    with (
        upstream(answer) as server,
        proxy(a_route(server.port)) as p,
        Client(p.port) as client,
        p.clocked() as clock,
    ):
        client.send(b"POST /alpha/x HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        client.send(b"1\r\nx\r\n" * MANY_CHUNKS + LAST_CHUNK)
        assert client.response().body == b"%d" % MANY_CHUNKS
    judge(clock.worst_s)


@tried_again
def test_no_read_of_tiny_frames_from_an_upstream_takes_the_loop() -> None:
    def answer(stream: Stream) -> None:
        stream.read_body()
        stream.head()
        with stream.connection.locked() as h2_connection:
            for _ in range(20_000):
                h2_connection.send_data(stream.number, b"x")
        stream.end()

    with h2_stage(answer) as (stage, _), stage.client() as client, stage.proxy.clocked() as clock:
        assert len(client.get(fields=[KEY]).body) == 20_000
    judge(clock.worst_s)


@tried_again
def test_no_read_of_tiny_frames_from_a_client_takes_the_loop() -> None:
    with h2_stage() as (stage, _), stage.client() as client, stage.proxy.clocked() as clock:
        number = client.request(method="POST", fields=[KEY], end=False)
        for _ in range(20_000):
            client.h2.send_data(number, b"x")
        client.h2.end_stream(number)
        client.flush()
        assert client.answer(number).status == 200
    judge(clock.worst_s)


@tried_again
def test_no_reads_of_tiny_frames_from_many_clients_take_the_loop() -> None:
    with h2_stage() as (stage, _), ExitStack() as stack:
        clients = [stack.enter_context(stage.client()) for _ in range(8)]
        for client in clients:
            client.get(fields=[KEY])  # a handshake with the upstream takes milliseconds too
        with stage.proxy.clocked() as clock:
            with stage.proxy.standing_still():
                numbers = [client.request(method="POST", fields=[KEY], end=False) for client in clients]
                for client, number in zip(clients, numbers, strict=True):
                    for _ in range(2_000):
                        client.h2.send_data(number, b"x")
                    client.h2.end_stream(number)
                    client.flush()
            answers = [client.answer(number) for client, number in zip(clients, numbers, strict=True)]
            assert {answer.status for answer in answers} == {200}
    judge(clock.worst_s)


@tried_again
def test_no_hellos_in_tiny_records_take_the_loop() -> None:
    hello = b"\x01\x00\x3f\xf0" + bytes(2_600)
    records = b"".join(b"\x16\x03\x01\x00\x01%c" % octet for octet in hello)
    route = a_route(443, host="api.test", scheme="https")
    with intercepting(route) as p, ExitStack() as stack:
        clients = [stack.enter_context(Client(p.port)) for _ in range(20)]
        for client in clients:
            client.send(connect("api.test:443"))
            assert client.head()[0] == 200
        with p.clocked() as clock:
            with p.standing_still():
                for client in clients:
                    client.send(records)
            assert all(client.rest()[:1] == b"\x15" for client in clients)  # an alert
        with p.inside("api.test", 443):  # which is recorded too, if it leaves without a word
            assert p.recording.decisions().count(("deny", "intercept_handshake_failed")) == len(clients)
    judge(clock.worst_s)


@tried_again
def test_no_read_of_many_streams_takes_the_loop() -> None:
    with h2_stage() as (stage, _), stage.client() as client, stage.proxy.clocked() as clock:
        numbers = [client.request(fields=[KEY], flush=False) for _ in range(100)]
        client.flush()
        assert {client.answer(number).status for number in numbers} == {200}
    judge(clock.worst_s)


@pytest.mark.parametrize("name", ["lines of data", "blank lines", "objects"])
def test_the_end_of_the_proxy_waits_for_no_body(name: str) -> None:
    kind, body = BODIES[name]
    is_asked = threading.Event()

    def answer(request: Received) -> None:
        request.read_body()
        fields_ = "".join(f"{field}: {value}\r\n" for field, value in fields(kind, "gzip"))
        request.connection.send(f"HTTP/1.1 200 OK\r\n{fields_}Transfer-Encoding: chunked\r\n\r\n".encode())
        coded = gzip_of(body)
        is_asked.set()
        while True:  # until the proxy goes
            request.connection.send(b"%x\r\n%b\r\n" % (len(coded), coded))

    def read(client: Client) -> None:
        with suppress(OSError):
            while client.transport.recv(1 << 20):
                pass

    head = f"POST /alpha{PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {PHANTOM}\r\n"
    with ExitStack() as stack:
        server = stack.enter_context(upstream(answer))
        with proxy(a_route(server.port), close_grace_s=1.0) as p:
            client = stack.enter_context(Client(p.port))
            client.send(head.encode() + b"Content-Length: 0\r\n\r\n")
            reader = threading.Thread(target=read, args=(client,))
            reader.start()
            assert is_asked.wait(TIMEOUT_S)
            began = time.monotonic()
        took_s = time.monotonic() - began
        reader.join(TIMEOUT_S)
    assert took_s < 2
