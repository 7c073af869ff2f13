"""T20: what a client can make the proxy keep is bounded, and nothing of what exceeds it goes upstream."""

from __future__ import annotations

import pytest

from support.clients.wire import AUTHORISED, Steps, head, play, send
from support.nono_run import NonoRun
from support.servers.http1 import HttpUpstream

pytestmark = pytest.mark.any_user

KIB = 1024
ENDLESS: list[str | int] = ["repeat", (b"a" * 64 * KIB).hex(), 512]  # 32 MiB


def opening(server: HttpUpstream, method: bytes = b"GET", path: bytes = b"/") -> bytes:
    host = b"localhost:%d" % server.port
    return method + b" http://" + host + path + b" HTTP/1.1\r\nHost: " + host + b"\r\n" + AUTHORISED


def post(server: HttpUpstream, field: bytes) -> bytes:
    return opening(server, b"POST") + field + b"\r\n\r\n"


def play_one(sandbox: NonoRun, server: HttpUpstream, steps: Steps) -> tuple[int, list[int | None]]:
    """Return the first status, and the statuses of the refusals that were recorded."""
    profile = {"network": {"allow_domain": [f"localhost:{server.port}"]}}
    [answer], run = play(sandbox, [steps], profile=profile)
    return answer.status, [event["status"] for event in run.denied]


@pytest.mark.parametrize(
    ("start", "status"),
    [
        pytest.param(b"GET http://localhost/", 414, id="target"),
        pytest.param(b"GET / HTTP/1.1\r\nX: ", 431, id="value"),
        pytest.param(b"GET / HTTP/1.1\r\nX", 431, id="name"),
        pytest.param(b"", 400, id="method"),
    ],
)
def test_a_line_that_never_ends_is_answered_before_it_does(
    start: bytes, status: int, sandbox: NonoRun, server: HttpUpstream
) -> None:
    seen, recorded = play_one(sandbox, server, [send(start), ENDLESS, ["read"]])
    assert seen in (status, 431, 400)
    assert recorded == [seen]
    assert server.connections == []


@pytest.mark.parametrize(
    ("more", "status"),
    [
        pytest.param(b"".join(b"X-%d: y\r\n" % number for number in range(101)), 431, id="101 fields"),
        pytest.param(b"X: " + b"y" * 9 * KIB + b"\r\n", 431, id="line of 9 KiB"),
        pytest.param(
            b"".join(b"X: " + b"y" * 7 * KIB + b"\r\n" for _ in range(10)), 431, id="head of 70 KiB"
        ),
    ],
)
def test_a_head_that_is_too_large_is_refused(
    more: bytes, status: int, sandbox: NonoRun, server: HttpUpstream
) -> None:
    assert play_one(sandbox, server, [send(opening(server) + more + b"\r\n"), ["read"]]) == (status, [status])
    assert server.connections == []


def test_a_head_within_the_bounds_is_served(sandbox: NonoRun, server: HttpUpstream) -> None:
    more = b"X: " + b"y" * 7 * KIB + b"\r\n" + b"".join(b"X-%d: y\r\n" % number for number in range(90))
    assert play_one(sandbox, server, head(opening(server, path=b"/" + b"p" * 7 * KIB) + more + b"\r\n")) == (
        200,
        [],
    )
    [received] = server.requests
    assert received.value(b"x-89") == b"y"


@pytest.mark.parametrize(
    "field",
    [
        pytest.param(b"Content-Length: 18446744073709551616", id="above 64 bits"),
        pytest.param(b"Content-Length: 99999999999999999999999999999999", id="far above"),
        pytest.param(b"Content-Length: -1", id="negative"),
        pytest.param(b"Content-Length: +5", id="signed"),
        pytest.param(b"Content-Length: 0x10", id="hexadecimal"),
        pytest.param(b"Content-Length: 5, 6", id="two values"),
        pytest.param(b"Content-Length: 5\r\nContent-Length: 6", id="two fields"),
        pytest.param(b"Content-Length: 5\r\nTransfer-Encoding: chunked", id="and chunked"),
    ],
)
def test_a_length_that_is_none_is_refused(field: bytes, sandbox: NonoRun, server: HttpUpstream) -> None:
    assert play_one(sandbox, server, [send(post(server, field)), ["read"]]) == (400, [400])
    assert server.connections == []


def test_an_endless_chunk_size_line_is_refused(sandbox: NonoRun, server: HttpUpstream) -> None:
    start = post(server, b"Transfer-Encoding: chunked") + b"5;"
    seen, recorded = play_one(sandbox, server, [send(start), ENDLESS, ["read"]])
    assert seen in (0, 400)
    assert len(recorded) <= 2
    assert all(not received.body_complete for received in server.requests)


def test_a_body_of_known_length_is_passed_on(sandbox: NonoRun, server: HttpUpstream) -> None:
    message = post(server, b"Content-Length: 5") + b"hello"
    assert play_one(sandbox, server, head(message)) == (200, [])
    assert server.requests[0].body == b"hello"
