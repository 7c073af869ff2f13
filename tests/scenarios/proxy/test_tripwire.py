"""A real secret that an upstream sends back: the client never reads it, and it is not used again."""

from __future__ import annotations

import asyncio
import base64
import gzip
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf
from types import SimpleNamespace
from typing import cast

import brotli
import pytest

from nono.credentials.static import StaticCredential
from nono.credentials.values.credential import Outgoing
from nono.credentials.values.injection import injection_of
from nono.credentials.values.tripwire import tripwire_for
from nono.policy.schema.route_rules import Inject
from nono.proxy.exchange.client_side import ClientSide
from nono.proxy.exchange.held import HeldBytes
from nono.proxy.exchange.inspection import Inspection
from nono.proxy.exchange.relay import Relay
from nono.proxy.http.message import request_head, response_head
from nono.proxy.transport.turns import Turns
from nono.proxy.verdict.verdict import Entry, Forward
from nono.secret import Secret
from support.proxy.http2_stage import KEY as H2_KEY
from support.proxy.http2_stage import h2_stage
from support.proxy.thread import PHANTOM, TIMEOUT_S, Client, Hosts, ProxyUnderTest, a_route, proxy, wait_until
from support.servers.http1 import HttpUpstream, Received, upstream
from support.servers.http2 import Stream

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

KEY = "sk-canary-8Zq2LmT5vWx7Yb1Nc4Kd"
GET = b"GET /alpha/x HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer " + PHANTOM.encode() + b"\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"


def unfit(reason: str, failure: str) -> None:
    pytest.fail(f"{failure}: {reason}")


def credential() -> StaticCredential:
    return StaticCredential(injection_of(Inject(), Secret(KEY)), tripwire_for([Secret(KEY)]))


@dataclass
class Stage:
    server: HttpUpstream
    proxy: ProxyUnderTest
    client: Client
    alarms: list[str] = field(default_factory=list)


@contextmanager
def stage(handler: Callable[[Received], None], *, watched: bool = True) -> Iterator[Stage]:
    alarms: list[str] = []
    with (
        upstream(handler) as server,
        proxy(a_route(server.port, credential=credential(), watched=watched), alarm=alarms.append) as p,
        Client(p.port) as client,
    ):
        yield Stage(server, p, client, alarms)


def chunks(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


ECHO = b'{"you sent": "' + KEY.encode() + b'"}'
MASKED = b'{"you sent": "' + b"*" * len(KEY) + b'"}'
CODED = {
    "plain": (b"", ECHO),
    "gzip": (b"gzip", gzip.compress(ECHO)),
    "deflate": (b"deflate", zlib.compress(ECHO)),
    "br": (b"br", brotli.compress(ECHO)),
    "zstd": (b"zstd", zstd.compress(ECHO)),
}


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize(("coding", "body"), CODED.values(), ids=CODED)
def test_a_masked_secret_in_a_body_freezes_its_credential(coding: bytes, body: bytes, framing: str) -> None:
    def handler(request: Received) -> None:
        head = b"HTTP/1.1 200 OK\r\n" + (b"Content-Encoding: " + coding + b"\r\n" if coding else b"")
        if framing == "length":
            request.connection.send(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        else:
            pieces = [body[at : at + 1] for at in range(len(body))]
            request.connection.send(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks(*pieces))

    with stage(handler) as s:
        s.client.send(GET)
        response = s.client.response()
        assert response.body == MASKED
        assert response.value("content-encoding") is None
        s.client.send(GET)
        refused = s.client.response()
        assert refused.status == 403
        assert b"frozen" in refused.body
        assert len(s.server.requests) == 1
        assert [event["type"] for event in s.proxy.recording.events] == [
            "network",
            "credential_frozen",
            "network",
        ]
        assert s.alarms == [
            "the credential of 'alpha' is frozen for the rest of this session: 127.0.0.1 sent the real "
            "secret back in a response body"
        ]


def test_a_clean_response_freezes_nothing() -> None:
    def handler(request: Received) -> None:
        request.connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Near: sk-canary\r\n\r\nhello")

    with stage(handler) as s:
        for _ in range(2):
            s.client.send(GET)
            response = s.client.response()
            assert (response.status, response.body) == (200, b"hello")
            assert response.value("x-near") == "sk-canary"
            assert response.value("content-length") == "5"
        assert not s.alarms


SPELLED = {
    "base64": base64.b64encode(b"token=" + KEY.encode()),
    "percent": b"".join(b"%%%02x" % octet for octet in KEY.encode()),
    "hex": KEY.encode().hex().encode(),
}


@pytest.mark.parametrize("spelled", SPELLED.values(), ids=SPELLED)
def test_a_secret_in_another_spelling_is_found_across_every_cut(spelled: bytes) -> None:
    body = b"<" + spelled + b">"
    cuts = [0, len(body) // 3, len(body) // 2, len(body)]

    def handler(request: Received) -> None:
        pieces = [body[start:end] for start, end in pairwise(cuts)]
        request.connection.send(CHUNKED + b"\r\n" + chunks(*pieces))

    with stage(handler) as s:
        s.client.send(GET)
        assert spelled[-12:] not in s.client.response().body
        assert len(s.alarms) == 1


@pytest.mark.parametrize("status", [b"200 OK", b"302 Found", b"401 Unauthorized"])
def test_a_secret_in_a_response_header_is_masked(status: bytes) -> None:
    def handler(request: Received) -> None:
        location = b"Location: https://elsewhere.test/?key=" + KEY.encode()
        request.connection.send(b"HTTP/1.1 " + status + b"\r\n" + location + b"\r\nContent-Length: 0\r\n\r\n")

    with stage(handler) as s:
        s.client.send(GET)
        assert s.client.response().value("location") == "https://elsewhere.test/?key=" + "*" * len(KEY)
        s.client.send(GET)
        assert s.client.response().status == 403


def test_a_secret_in_an_interim_response_or_a_trailer_is_masked() -> None:
    def handler(request: Received) -> None:
        request.connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </" + KEY.encode() + b">\r\n\r\n")
        request.connection.send(CHUNKED + b"\r\n2\r\nok\r\n0\r\nX-Trace: " + KEY.encode() + b"\r\n\r\n")

    with stage(handler) as s:
        s.client.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        received = b""
        while piece := s.client.receive():
            received += piece
        assert received.count(b"*" * len(KEY)) == 2
        assert KEY.encode() not in received
        assert len(s.alarms) == 1


def test_a_body_that_cannot_be_searched_is_not_relayed() -> None:
    def handler(request: Received) -> None:
        coded = gzip.compress(brotli.compress(ECHO))
        fields = b"Content-Encoding: br, gzip\r\nContent-Length: %d\r\n\r\n" % len(coded)
        request.connection.send(b"HTTP/1.1 200 OK\r\n" + fields + coded)

    with stage(handler) as s:
        s.client.send(GET)
        response = s.client.response()
        assert response.status == 502
        assert b"content coding" in response.body


def test_a_coded_body_that_breaks_off_breaks_the_response_off() -> None:
    def handler(request: Received) -> None:
        cut = gzip.compress(b"a" * 100_000)[:-9]
        fields = b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(cut)
        request.connection.send(b"HTTP/1.1 200 OK\r\n" + fields + cut)

    with stage(handler) as s:
        s.client.send(GET)
        received = b""
        while piece := s.client.receive():
            received += piece
        assert not received.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize(
    ("accepts", "sent"),
    [
        (b"gzip, br", b"gzip, br"),
        (b"gzip;q=0.5, compress", b"gzip;q=0.5"),
        (b"compress", b"identity"),
        (None, b"identity"),
    ],
    ids=["known", "weight kept", "unknown", "none"],
)
def test_only_codings_that_can_be_undone_are_asked_for(accepts: bytes | None, sent: bytes) -> None:
    with stage(lambda request: request.connection.respond()) as s:
        field_line = b"" if accepts is None else b"Accept-Encoding: " + accepts + b"\r\n"
        s.client.send(GET[:-2] + field_line + b"\r\n")
        s.client.response()
        assert s.server.requests[0].values(b"accept-encoding") == [sent]


@pytest.mark.parametrize(
    "charset", ["utf-16le", "UTF-16", "utf-32", "utf-7", "cp037", "IBM1047", "x-unheard-of", "rot13"]
)
@pytest.mark.parametrize("template", ["application/json;charset={}", 'text/plain; Charset="{}"'])
def test_an_answer_in_a_charset_that_hides_ascii_is_refused(template: str, charset: str) -> None:
    kind = template.format(charset)

    def handler(request: Received) -> None:
        request.connection.respond(body=KEY.encode("utf-16-le"), fields=[("Content-Type", kind)])

    with stage(handler) as s:
        s.client.send(GET)
        response = s.client.response()
        assert response.status == 502
        assert b"charset" in response.body
        assert KEY.encode("utf-16-le") not in response.body
        denied = [event for event in s.proxy.recording.network if event["decision"] == "deny"]
        assert len(denied) == 1
        assert "charset" in str(denied[0]["reason"])


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "text/html; charset=utf-8",
        "text/html;charset=ISO-8859-15",
        "text/x;charset=Shift_JIS",
    ],
)
def test_an_answer_in_a_charset_that_holds_ascii_passes(kind: str) -> None:
    def handler(request: Received) -> None:
        request.connection.respond(fields=[("Content-Type", kind)])

    with stage(handler) as s:
        s.client.send(GET)
        response = s.client.response()
        assert (response.status, response.value("content-type"), response.body) == (200, kind, b"ok")


@pytest.mark.parametrize("name", ["grpc-encoding", "connect-content-encoding"])
@pytest.mark.parametrize(("coding", "status"), [("gzip", 502), ("identity", 200)])
def test_an_answer_of_compressed_messages_is_refused(name: str, coding: str, status: int) -> None:
    """gRPC and Connect compress each message by itself, beside the coding of the body."""

    def handler(request: Received) -> None:
        request.connection.respond(fields=[("Content-Type", "application/grpc"), (name, coding)])

    with stage(handler) as s:
        s.client.send(GET)
        assert s.client.response().status == status
        denied = [event for event in s.proxy.recording.network if event["decision"] == "deny"]
        withheld = "the upstream's response is withheld: it has compressed messages, which "
        assert [withheld in str(event["reason"]) for event in denied] == [True] * (status == 502)


def test_nothing_is_asked_for_that_could_not_be_searched() -> None:
    fields = {
        b"Grpc-Accept-Encoding": b"identity, gzip",
        b"Connect-Accept-Encoding": b"gzip",
        b"Accept": b'application/json;q=0.5; charset=utf-16le, text/plain;charset="utf-16";q=1',
        b"Accept-Charset": b"utf-16",
        b"Range": b"bytes=0-3",
        b"Request-Range": b"bytes=0-3",
        b"X_MS_Range": b"bytes=0-3",
        b"A-IM": b"vcdiff",
        b"X-Kept": b"1",
    }
    with stage(lambda request: request.connection.respond()) as s:
        s.client.send(GET[:-2] + b"".join(b"%b: %b\r\n" % field for field in fields.items()) + b"\r\n")
        assert s.client.response().status == 200
        names = {name for name, _ in s.server.requests[0].fields}
        assert not names & {
            b"accept-charset",
            b"range",
            b"request-range",
            b"x-ms-range",
            b"x_ms_range",
            b"a-im",
        }
        assert b"x-kept" in names
        for of_messages in (b"grpc-accept-encoding", b"connect-accept-encoding"):
            assert s.server.requests[0].values(of_messages) == [b"identity"]
        assert s.server.requests[0].value(b"accept") == b"application/json;q=0.5, text/plain;q=1"


PASSWORD = "correct-horse-4"


@contextmanager
def listing(handler: Callable[[Received], None], secret: str) -> Iterator[Stage]:
    one = StaticCredential(injection_of(Inject(), Secret(secret)), tripwire_for([Secret(secret)]))
    alarms: list[str] = []
    with (
        upstream(handler) as server,
        proxy(a_route(server.port, credential=one), alarm=alarms.append) as p,
        Client(p.port) as client,
    ):
        yield Stage(server, p, client, alarms)


def _rest(client: Client) -> bytes:
    received = b""
    try:
        while piece := client.receive():
            received += piece
    except ConnectionError:
        pass
    return received


@pytest.mark.parametrize("framing", ["length", "chunked", "gzip"])
def test_a_list_of_candidates_ends_before_the_right_one(framing: str) -> None:
    candidates = [f"correct-horse-{n}" for n in range(10)]
    body = "\n".join(candidates).encode()

    def handler(request: Received) -> None:
        if framing == "chunked":
            request.connection.send(CHUNKED + b"\r\n" + chunks(body))
        elif framing == "gzip":
            request.connection.respond(body=gzip.compress(body), fields=[("Content-Encoding", "gzip")])
        else:
            request.connection.respond(body=body)

    with listing(handler, PASSWORD) as s:
        s.client.send(GET)
        received = _rest(s.client)
        assert not any(candidate.encode() in received for candidate in candidates)
        assert b"*" not in received
        assert not received.endswith(b"0\r\n\r\n")
        assert len(s.alarms) == 1
        assert "credential_frozen" in [event["type"] for event in s.proxy.recording.events]


def test_where_a_list_of_a_known_length_ends_tells_nothing() -> None:
    candidates = [f"correct-horse-{n:05}" for n in range(10_000)]
    body = "\n".join(candidates).encode()

    def handler(request: Received) -> None:
        request.connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
        for at in range(0, len(body), 10_000):
            request.connection.send(body[at : at + 10_000])

    with listing(handler, candidates[7654]) as s:
        s.client.send(GET)
        s.client.head()
        assert _rest(s.client) == b""


def test_a_body_larger_than_what_is_withheld_passes_while_it_arrives() -> None:
    body, more = b"a line of a log\n" * 20_000, threading.Event()

    def handler(request: Received) -> None:
        request.connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(body) + 4))
        request.connection.send(body)
        assert more.wait(20)
        request.connection.send(b"last")

    with listing(handler, PASSWORD) as s:
        s.client.send(GET)
        s.client.head()
        assert s.client.read_exactly(256 * 1024) == body[: 256 * 1024]
        more.set()
        assert s.client.read_exactly(len(body) + 4 - 256 * 1024) == body[256 * 1024 :] + b"last"


def test_a_list_without_the_password_passes() -> None:
    body = "\n".join(f"correct-horse-{n}" for n in range(10) if n != 4).encode()
    with listing(lambda request: request.connection.respond(body=body), PASSWORD) as s:
        s.client.send(GET)
        assert s.client.response().body == body
        assert not s.alarms


def test_a_list_of_candidates_in_the_head_is_refused_as_a_whole() -> None:
    def handler(request: Received) -> None:
        request.connection.respond(fields=[(f"X-{n}", f"correct-horse-{n}") for n in range(10)])

    with listing(handler, PASSWORD) as s:
        s.client.send(GET)
        response = s.client.response()
        assert response.status == 502
        assert b"horse" not in response.body + repr(response.fields).encode()
        s.client.send(GET)
        assert b"X-4" not in s.client.response().body


@pytest.mark.parametrize(("times", "is_whole"), [(8, True), (9, False)])
def test_a_key_that_comes_back_again_and_again_ends_the_answer(times: int, is_whole: bool) -> None:
    body = b" ".join([KEY.encode()] * times)
    with stage(lambda request: request.connection.respond(body=body)) as s:
        s.client.send(GET)
        s.client.head()
        received = s.client.read_exactly(len(body)) if is_whole else _rest(s.client)
        assert KEY.encode() not in received
        assert (len(received) == len(body)) is is_whole


ENDING = b" ".join([KEY.encode()] * 9)  # one more than is masked
ENDS = pytest.mark.parametrize(
    ("coding", "body"),
    [(b"", ENDING + b" and more"), (b"", ENDING), (b"gzip", gzip.compress(ENDING))],
    ids=["plain", "at the end", "coded"],
)


@ENDS
def test_an_answer_that_a_key_ends_is_recorded_as_blocked(coding: bytes, body: bytes) -> None:
    fields = [("Content-Encoding", coding.decode())] if coding else []
    with stage(lambda request: request.connection.respond(body=body, fields=fields)) as s:
        s.client.send(GET)
        assert KEY.encode() not in _rest(s.client)
        wait_until(lambda: bool(s.proxy.recording.outcomes))
        assert s.proxy.recording.outcomes[0]["failure"] == "blocked"


@ENDS
def test_a_stream_that_a_key_ends_is_recorded_as_blocked(coding: bytes, body: bytes) -> None:
    def answer(stream: Stream) -> None:
        stream.read_body()
        stream.respond(body=body, fields=[("content-encoding", coding.decode())] if coding else [])

    with h2_stage(answer, credential=credential()) as (s, _), s.client() as client:
        ended = client.get("/x", fields=[H2_KEY])
        wait_until(lambda: bool(s.proxy.recording.outcomes))
        assert s.proxy.recording.outcomes[0]["failure"] == "blocked"
    assert ended.reset is not None
    assert KEY.encode() not in ended.body


def test_a_stream_that_a_key_ends_is_cut_before_its_upstream_ends_it() -> None:
    def answer(stream: Stream) -> None:
        stream.head()
        stream.send(ENDING + b" and more")
        stream.reset_by_client.wait(TIMEOUT_S)

    with h2_stage(answer, credential=credential()) as (s, _), s.client() as client:
        ended = client.answers[client.request("/x", fields=[H2_KEY])]
        client.wait_until(lambda: ended.is_over or KEY.encode() in ended.body)
    assert ended.reset is not None
    assert KEY.encode() not in ended.body


def test_a_stream_that_cannot_be_decoded_is_recorded_as_malformed() -> None:
    def answer(stream: Stream) -> None:
        stream.respond(body=b"not gzip", fields=[("content-encoding", "gzip")])

    with h2_stage(answer, credential=credential()) as (s, _), s.client() as client:
        ended = client.get("/x", fields=[H2_KEY])
        wait_until(lambda: bool(s.proxy.recording.outcomes))
        assert s.proxy.recording.outcomes[0]["failure"] == "malformed"
    assert (ended.reset is not None, ended.body) == (True, b"")


def test_the_third_answer_with_a_long_beginning_freezes() -> None:
    key = "ghp_Zk3vQ9xTb7LmW2cRf8NdYs5HjA1uPg6EoKi0"
    with listing(lambda request: request.connection.respond(body=key[:31].encode()), key) as s:
        statuses = []
        for _ in range(4):
            s.client.send(GET)
            statuses.append(s.client.response().status)
        assert statuses == [200, 200, 200, 403]
        assert "credential_frozen" in [event["type"] for event in s.proxy.recording.events]


def test_answers_with_a_short_beginning_freeze_nothing() -> None:
    key = "ghp_Zk3vQ9xTb7LmW2cRf8NdYs5HjA1uPg6EoKi0"
    with listing(lambda request: request.connection.respond(body=key[:30].encode()), key) as s:
        for _ in range(5):
            s.client.send(GET)
            assert s.client.response().status == 200


def test_a_message_with_its_length_before_it_waits_for_nothing() -> None:
    """A client of gRPC may send its next message only once it has read this one."""
    more = threading.Event()

    def handler(request: Received) -> None:
        head = b"Content-Type: application/grpc+proto\r\nContent-Length: 14\r\n\r\n"
        request.connection.send(b"HTTP/1.1 200 OK\r\n" + head + b"\0\0\0\0\2hi")
        assert more.wait(20)
        request.connection.send(b"\0\0\0\0\2ho")

    with stage(handler) as s:
        s.client.send(GET)
        s.client.head()
        assert s.client.read_exactly(7) == b"\0\0\0\0\2hi"
        more.set()
        assert s.client.read_exactly(7) == b"\0\0\0\0\2ho"


def test_a_route_without_the_tripwire_relays_what_it_gets() -> None:
    def handler(request: Received) -> None:
        request.connection.respond(body=ECHO)

    with stage(handler, watched=False) as s:
        for _ in range(2):
            s.client.send(GET)
            assert s.client.response().body == ECHO
        assert s.server.requests[0].value(b"accept-encoding") is None


def test_a_phantom_at_another_service_freezes_its_own_credential_only() -> None:
    other = "sk-phantom-of-beta"
    with upstream() as server:
        routes = (a_route(server.port), a_route(server.port, service="beta", phantom=other))
        with proxy(*routes) as p, Client(p.port) as client:
            client.send(GET.replace(PHANTOM.encode(), other.encode()))
            assert client.response().status == 403
            client.send(GET)
            assert client.response().status == 200
            client.send(GET.replace(b"/alpha", b"/beta").replace(PHANTOM.encode(), other.encode()))
            assert client.response().status == 403
            assert len(server.requests) == 1


class Reader:
    """A client's connection that stops reading after each piece; what a response needs of a ClientSide."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.relay: Relay | None = None

    def send(self, piece: bytes) -> None:
        self.pieces.append(piece)

    def flush(self) -> None:
        assert self.relay is not None
        self.relay.pause(True)


def test_a_body_that_expands_waits_for_its_reader() -> None:
    bomb = gzip.compress(bytes(16 * 1024 * 1024))
    fields = [(b"Content-Encoding", b"gzip"), (b"Content-Length", b"%d" % len(bomb))]
    request = request_head(b"GET", b"/", "1.1", [(b"Host", b"api.test")])
    route = a_route(1, credential=credential())
    outgoing = Outgoing(b"GET", b"/", b"api.test", [])
    verdict = Forward(Entry("reverse", "alpha", 1, "GET"), route.origin, outgoing, Hosts(), route)
    reader, ended = Reader(), list[bool]()
    inspection = Inspection(verdict, None, on_leak=print, on_usage=print, budget=HeldBytes(1 << 24))
    inspection.arm()
    client = cast(ClientSide, reader)
    turns = cast(Turns, SimpleNamespace(start=lambda work: work(inf)))  # as long as the body likes
    relay = reader.relay = Relay(
        client, request, inspection, turns, lambda: ended.append(True), unfit, lambda: None
    )
    relay.start(response_head(200, b"OK", "1.1", fields, to_method=b"GET"), closes=False, credentialed=True)
    relay.body(bomb)
    relay.end(())
    steps = 0
    while not ended:
        assert relay.is_behind
        assert sum(map(len, reader.pieces)) <= 512 * 1024
        reader.pieces.clear()
        relay.pause(False)
        steps += 1
    assert steps > 32


class Pieces:
    """A client that only keeps what it is sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, piece: bytes) -> None:
        self.sent.append(piece)

    def flush(self) -> None: ...


def test_a_body_that_arrives_faster_than_it_is_searched_leaves_turns_to_others() -> None:
    """libuv reads 32 times in one turn of the loop, unless reading is paused."""
    piece = b"words " * 40_000
    fields = [(b"Content-Length", b"%d" % (64 * len(piece)))]
    request = request_head(b"GET", b"/", "1.1", [(b"Host", b"api.test")])
    route = a_route(1, credential=credential())
    outgoing = Outgoing(b"GET", b"/", b"api.test", [])
    verdict = Forward(Entry("reverse", "alpha", 1, "GET"), route.origin, outgoing, Hosts(), route)
    client = Pieces()
    inspection = Inspection(verdict, None, on_leak=print, on_usage=print, budget=HeldBytes(1 << 24))
    inspection.arm()

    async def read() -> int:
        progress, ended = asyncio.Event(), asyncio.Event()
        relay = Relay(cast(ClientSide, client), request, inspection, Turns(), ended.set, unfit, progress.set)
        head = response_head(200, b"OK", "1.1", fields, to_method=b"GET")
        relay.start(head, closes=False, credentialed=True)
        paused = 0
        for _ in range(64):
            progress.clear()
            relay.body(piece)
            if relay.is_behind:
                paused += 1
                await asyncio.wait_for(progress.wait(), TIMEOUT_S)
        relay.end(())
        await asyncio.wait_for(ended.wait(), TIMEOUT_S)
        return paused

    assert asyncio.run(read()) >= 2
    assert b"".join(client.sent[1:]) == 64 * piece
