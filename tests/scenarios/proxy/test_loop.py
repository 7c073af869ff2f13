"""No answer and no request keeps the proxy's loop from its other clients for longer than 10 ms."""

from __future__ import annotations

import gzip
import json
import sys
import zlib
from collections.abc import Callable

import brotli
import pytest

from support.proxy.http2_stage import KEY, h2_stage
from support.proxy.thread import PHANTOM, Client, a_route, proxy
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
    """So many blocks of one byte (RFC 1951 section 3.2.4), the last of them final."""
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


def worst_http1(kind: str, body: bytes, coding: str | None = None) -> float:
    """The longest turn while an HTTP/1.1 client gets this answer."""

    def answer(request: Received) -> None:
        request.read_body()
        request.connection.respond(body=body, fields=fields(kind, coding))

    head = f"POST /alpha{PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {PHANTOM}\r\n"
    with (
        upstream(answer) as server,
        proxy(a_route(server.port)) as p,
        Client(p.port) as client,
        p.clocked() as clock,
    ):
        client.send(head.encode() + b"Content-Length: 0\r\n\r\n")
        assert client.response().status == 200
    return clock.worst_s


def worst_http2(kind: str, body: bytes, coding: str | None = None) -> float:
    """The same over HTTP/2 to both sides."""

    def answer(stream: Stream) -> None:
        stream.read_body()
        stream.respond(body=body, fields=[(name.lower(), value) for name, value in fields(kind, coding)])

    with h2_stage(answer) as (stage, _), stage.client() as client, stage.proxy.clocked() as clock:
        assert client.post(b"", PATH, fields=[KEY]).status == 200
    return clock.worst_s


TRANSPORTS = pytest.mark.parametrize("worst", [worst_http1, worst_http2], ids=["HTTP/1.1", "HTTP/2"])


@TRANSPORTS
@pytest.mark.parametrize("name", BODIES)
def test_no_answer_takes_the_loop(name: str, worst: Worst) -> None:
    assert worst(*BODIES[name]) < LIMIT_S


@TRANSPORTS
@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("name", ["lines of data", "objects"])
def test_no_coded_answer_takes_the_loop(name: str, coding: str, worst: Worst) -> None:
    kind, body = BODIES[name]
    assert worst(kind, CODINGS[coding](body), coding) < LIMIT_S


@TRANSPORTS
@pytest.mark.parametrize("name", BOMBS)
def test_no_bomb_takes_the_loop(name: str, worst: Worst) -> None:
    coding, body = BOMBS[name]
    assert worst("text/plain", body, coding) < LIMIT_S
