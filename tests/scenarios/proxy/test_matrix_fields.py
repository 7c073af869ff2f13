"""Header fields and secrets, by every way: one credential upstream, none back, none in what nono says."""

from __future__ import annotations

import base64
import gzip
import logging
import zlib
from collections.abc import Callable
from urllib.parse import quote

import pytest

from nono.credentials.aws.signature import Keys, SigV4Injection
from nono.credentials.static import StaticCredential
from nono.credentials.values.injection import injection_of
from nono.credentials.values.tripwire import tripwire_for
from nono.policy.schema.route_rules import Inject
from nono.secret import Secret
from support.proxy.thread import PHANTOM, REAL_KEY, Hosts
from support.proxy.transports import KEY, READABLE, WITH_CREDENTIAL, Fields, Way, five_ways
from support.servers.http1 import Received, answer_ok

REAL = "sk-canary/8Zq2LmT5vWx7+Yb1Nc4Kd"
QUOTED = quote(REAL, safe="")


def a_credential(inject: Inject = Inject()) -> StaticCredential:  # noqa: B008  # a frozen value
    return StaticCredential(injection_of(inject, Secret(REAL)), tripwire_for([Secret(REAL)]))


@pytest.mark.parametrize("way", WITH_CREDENTIAL)
@pytest.mark.parametrize(
    "more",
    [
        pytest.param([KEY], id="the same once more"),
        pytest.param([("AUTHORIZATION", f"Bearer {PHANTOM}")], id="in capitals"),
        pytest.param([("x-api-key", PHANTOM)], id="in another slot"),
        pytest.param([("x-api-key", "")], id="an empty slot"),
        pytest.param([("private-token", "")], id="another empty slot"),
    ],
)
def test_every_copy_of_a_key_field_goes_and_ours_stands_alone(way: Way, more: Fields) -> None:
    if way is Way.HTTP2:
        more = [(name.lower(), value) for name, value in more]
    with five_ways() as ways:
        assert ways.ask(way, fields=more).status == 200
        (request,) = ways.requests
        assert request.values(b"authorization") == [b"Bearer " + REAL_KEY.encode()]
        assert not {b"x-api-key", b"private-token", b"x-goog-api-key"} & {name for name, _ in request.fields}
        assert PHANTOM.encode() not in ways.sent


CHUNKS = [
    ("content-encoding", "aws-chunked"),
    ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
    ("content-type", "text/plain"),
]


@pytest.mark.parametrize("way", WITH_CREDENTIAL)
@pytest.mark.parametrize(
    ("path", "more", "body", "why"),
    [
        pytest.param("/k?X-Amz-Signature=00", [], b"", "a signature of its own", id="presigned"),
        pytest.param("/k", CHUNKS, b"1;chunk-signature=00\r\na\r\n0\r\n\r\n", "one piece", id="chunks"),
        pytest.param("/k", [("x-amz-meta-a", "a\tb")], b"", "cannot be signed", id="an unclear field"),
    ],
)
def test_a_request_that_cannot_be_signed_is_the_clients_mistake_and_says_so(
    way: Way, path: str, more: Fields, body: bytes, why: str
) -> None:
    signing = SigV4Injection(Keys("AKIDEXAMPLE", Secret(REAL), None), "s3", "us-east-1")
    with five_ways(credential=StaticCredential(signing, None)) as ways:
        answer = ways.ask(way, path, method="PUT", fields=more, body=body)
        assert answer.status == 400
        assert why in answer.body.decode()
        assert ways.requests == []
        (refused,) = ways.denials
        assert (refused["denial_category"], refused["status"]) == ("managed_credential_unavailable", 400)
        assert why in str(refused["reason"])
        assert ways.ask(way, "/k", method="PUT", body=b"a").status == 200


# To CGI and its heirs an underscore and a hyphen are one.
LOOKALIKES = [
    "x_api_key",
    "x-api_key",
    "x_goog_api_key",
    "private_token",
    "proxy_authorization",
    "content_length",
]


@pytest.mark.parametrize("way", WITH_CREDENTIAL)
@pytest.mark.parametrize("name", LOOKALIKES)
def test_a_lookalike_of_a_removed_field_does_not_leave(way: Way, name: str) -> None:
    with five_ways() as ways:
        answer = ways.ask(way, fields=[(name, "sk-a-key-of-its-own")])
        assert b"sk-a-key-of-its-own" not in ways.sent
        assert answer.status in (200, 400, 401, 403)
        assert ways.ask(way, fields=[("x-harmless", "kept")]).status == 200
        assert b"kept" in ways.sent


@pytest.mark.parametrize("way", [Way.INSIDE, Way.REVERSE])
@pytest.mark.parametrize("named", ["authorization", "host", "authorization, close", "AUTHORIZATION,host,x-a"])
def test_connection_removes_no_field_of_ours(way: Way, named: str) -> None:
    with five_ways() as ways:
        assert ways.ask(way, fields=[("connection", named), ("x-a", "1")]).status == 200
        (request,) = ways.requests
        assert request.values(b"authorization") == [b"Bearer " + REAL_KEY.encode()]
        assert request.values(b"host") == [ways.authority_of(way).encode()]
        assert request.values(b"x-a") == ([] if "x-a" in named else [b"1"])


HOP_BY_HOP = [
    ("te", "gzip"), ("trailer", "x"), ("keep-alive", "timeout=5"), ("proxy-connection", "keep-alive"),
    ("proxy-authenticate", "Basic"),
]  # fmt: skip


@pytest.mark.parametrize("way", [Way.ABSOLUTE, Way.INSIDE, Way.REVERSE])
def test_what_is_for_one_hop_does_not_pass(way: Way) -> None:
    with five_ways() as ways:
        assert ways.ask(way, fields=HOP_BY_HOP).status == 200
        names = {name for name, _ in ways.requests[0].fields}
        assert not names & {name.encode() for name, _ in HOP_BY_HOP}
        assert not names & {b"via", b"forwarded", b"x-forwarded-for", b"x-forwarded-host"}


@pytest.mark.parametrize("way", WITH_CREDENTIAL)
@pytest.mark.parametrize(
    ("query", "status"),
    [
        pytest.param(f"key={PHANTOM}", 200, id="once"),
        pytest.param(f"key={PHANTOM}&key={PHANTOM}", 200, id="twice the same"),
        pytest.param(f"a=1&k%65y={PHANTOM}", 200, id="encoded name"),
        pytest.param(f"key={PHANTOM}&key=own", 403, id="another beside it"),
        pytest.param(f"key=own&key={PHANTOM}", 403, id="another before it"),
        pytest.param(f"key={PHANTOM}&k%65y=own", 403, id="another with an encoded name"),
        pytest.param("key=", 401, id="empty"),
        pytest.param("key", 401, id="no value"),
        pytest.param("key=own", 401, id="its own"),
        pytest.param(f"key={PHANTOM}&other={PHANTOM}", 403, id="in another parameter too"),
        pytest.param(f"a=1;key={PHANTOM}", 0, id="behind a semicolon"),
        pytest.param(f"key={PHANTOM};key=own", 0, id="with a semicolon behind"),
        pytest.param(f"key={PHANTOM}%26key=own", 0, id="with an encoded ampersand"),
    ],
)
def test_in_a_query_there_is_one_key_and_it_is_ours(way: Way, query: str, status: int) -> None:
    inject = Inject("query_param", query_param="key")
    hosts, credential = Hosts(only_routes=True), a_credential(inject)
    with five_ways(hosts=hosts, credential=credential, accept=inject, inject=inject) as ways:
        answer = ways.ask(way, f"/x?{query}", key=False)
        assert answer.status == status or (status == 0 and answer.status in (400, 401, 403))
        assert PHANTOM.encode() not in ways.sent
        assert b"own" not in ways.sent
        assert REAL not in repr(ways.proxy.recording.events)
        if status == 200:
            assert ways.requests[0].target.count(QUOTED.encode()) == 1
            assert ways.requests[0].target.count(b"key=") == 1
        else:
            assert ways.is_untouched
            assert len(ways.denials) == 1


def in_body(request: Received, body: bytes, *fields: tuple[str, str]) -> None:
    request.read_body()
    request.connection.respond(body=body, fields=fields)


REFLECTIONS: dict[str, Callable[[Received], None]] = {
    "body": lambda request: in_body(request, b"you sent " + REAL.encode()),
    "base64": lambda request: in_body(request, base64.b64encode(b"key: " + REAL.encode())),
    "gzip": lambda request: in_body(
        request, gzip.compress(REAL.encode() * 2), ("Content-Encoding", "gzip")
    ),
    "percent-encoded": lambda request: in_body(request, b"?k=" + QUOTED.encode()),
    "field": lambda request: in_body(request, b"", ("X-Echo", f"Bearer {REAL}")),
    "redirect": lambda request: request.connection.respond(
        302, b"", [("Location", f"https://evil.test/?k={REAL}")], "Found"
    ),
    "error": lambda request: request.connection.respond(400, REAL.encode(), reason="Bad"),
    "reason phrase": lambda request: request.connection.respond(200, b"x", reason=f"OK {REAL}"),
    "reason phrase of an interim response": lambda request: request.connection.send(
        b"HTTP/1.1 103 Early " + REAL.encode() + b"\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    ),
    "interim response": lambda request: request.connection.send(
        b"HTTP/1.1 103 Early Hints\r\nLink: <https://x/?k=" + REAL.encode() + b">\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    ),
    "trailer": lambda request: request.connection.send(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n2\r\nok\r\n0\r\nX-T: "
        + REAL.encode() + b"\r\n\r\n"
    ),
    "one byte a piece": lambda request: request.connection.send(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"".join(b"1\r\n%c\r\n" % byte for byte in REAL.encode()) + b"0\r\n\r\n"
    ),
}  # fmt: skip


@pytest.mark.parametrize("way", WITH_CREDENTIAL)
@pytest.mark.parametrize("kind", REFLECTIONS)
def test_a_secret_that_comes_back_is_not_readable_and_freezes_its_credential(way: Way, kind: str) -> None:
    alarms: list[str] = []
    options: dict[str, object] = {"alarm": alarms.append}
    with five_ways(REFLECTIONS[kind], credential=a_credential(), options=options) as ways:
        if way is Way.HTTP2:
            answer = ways.ask(way)
            shown = repr(answer).encode() + unzipped(answer.body)
        else:
            shown = unzipped(ways.raw(way, ways.head(way) + b"connection: close\r\n\r\n"))
        for text in (REAL, base64.b64encode(b"key: " + REAL.encode()).decode(), QUOTED):
            assert text.encode() not in shown
        assert REAL not in repr(ways.proxy.recording.events)
        if "reason phrase" in kind and way is Way.HTTP2:
            return  # HTTP/2 has none
        assert len(alarms) == 1
        assert REAL not in alarms[0]
        before = len(ways.requests)
        assert ways.ask(way).status == 403
        assert len(ways.requests) == before


@pytest.mark.parametrize("way", WITH_CREDENTIAL)
def test_a_secret_that_comes_back_as_the_name_of_a_field_is_not_readable(way: Way) -> None:
    token = "sk-canary.8Zq2LmT5vWx7_Yb1Nc4Kd"  # what a name may be made of

    def handler(request: Received) -> None:
        request.connection.respond(fields=[(token, "1"), ("X-Kept", "1")])

    secret, alarms = Secret(token), list[str]()
    credential = StaticCredential(injection_of(Inject(), secret), tripwire_for([secret]))
    with five_ways(handler, credential=credential, options={"alarm": alarms.append}) as ways:
        answer = ways.ask(way)
        assert answer.values("x-kept") == ["1"]
        assert token.lower() not in repr(answer).lower()
        assert len(alarms) == 1
        assert token not in alarms[0] + repr(ways.proxy.recording.events)


def unzipped(back: bytes) -> bytes:
    """What came back, and behind it what a gzip member within it holds."""
    start = back.find(b"\x1f\x8b")
    return back if start < 0 else back + zlib.decompressobj(wbits=31).decompress(back[start:])


@pytest.mark.parametrize("way", WITH_CREDENTIAL)
def test_a_secret_is_not_cut_in_two_by_ranges_nor_hidden_by_a_coding(way: Way) -> None:
    fields = [("range", "bytes=5-9"), ("if-range", "x"), ("accept-encoding", "compress, exi")]
    with five_ways(credential=a_credential()) as ways:
        assert ways.ask(way, fields=fields).status == 200
        names = {name for name, _ in ways.requests[0].fields}
        assert not names & {b"range", b"if-range"}
        assert b"exi" not in (ways.requests[0].value(b"accept-encoding") or b"")


@pytest.mark.parametrize("way", WITH_CREDENTIAL)
def test_an_answer_without_the_secret_freezes_nothing(way: Way) -> None:
    alarms: list[str] = []
    with five_ways(credential=a_credential(), options={"alarm": alarms.append}) as ways:
        for _ in range(2):
            assert ways.ask(way).status == 200
    assert alarms == []


@pytest.mark.parametrize("way", WITH_CREDENTIAL)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_takes_no_key_elsewhere(way: Way, status: int) -> None:
    def handler(request: Received) -> None:
        request.connection.respond(status, b"", [("Location", "https://evil.test/x")], "Elsewhere")

    with five_ways(handler) as ways:
        answer = ways.ask(way)
        assert (answer.status, answer.values("location")) == (status, ["https://evil.test/x"])
        assert ways.proxy.names.asked == ["api.test"]
        assert len(ways.requests) == 1


@pytest.mark.parametrize("way", READABLE)
def test_a_session_cookie_stays_outside_where_there_is_a_credential(way: Way) -> None:
    def handler(request: Received) -> None:
        request.connection.send(
            b"HTTP/1.1 200 OK\r\nSet-Cookie: s=1\r\nset-cookie: t=1\r\nX-Kept: 1\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nSet-Cookie: u=1\r\n\r\n"
        )

    with five_ways(handler) as ways:
        answer = ways.ask(way)
        assert answer.values("x-kept") == ["1"]
        assert answer.values("set-cookie") == ([] if way in WITH_CREDENTIAL else ["s=1", "t=1"])
        if way is not Way.HTTP2:
            back = ways.raw(way, ways.head(way) + b"connection: close\r\n\r\n")
            assert b"u=1" not in back
            assert (b"s=1" in back) is (way is Way.ABSOLUTE)


@pytest.mark.parametrize("way", WITH_CREDENTIAL)
def test_the_secret_is_in_no_log_and_no_answer_of_ours(way: Way, caplog: pytest.LogCaptureFixture) -> None:
    def handler(request: Received) -> None:
        if request.target == b"/gone":
            request.connection.reset()
        else:
            answer_ok(request)

    caplog.set_level(logging.DEBUG)
    with five_ways(handler, credential=a_credential()) as ways:
        answers = [ways.ask(way, path) for path in ("/x", "/gone", "/../x")]
        answers.append(ways.ask(way, fields=[("x-api-key", "own")]))
        assert [answer.status for answer in answers] == [200, 502, 400, 403]
        assert REAL.encode() in ways.sent
        assert REAL not in repr(answers) + repr(ways.proxy.recording.events) + caplog.text
        assert PHANTOM not in repr(answers) + repr(ways.proxy.recording.events) + caplog.text


@pytest.mark.parametrize("way", WITH_CREDENTIAL)
def test_without_its_credential_a_route_answers_503_and_takes_no_other_key(way: Way) -> None:
    with five_ways(loaded=False) as ways:
        for value in (PHANTOM, "sk-a-key-of-its-own"):
            assert ways.ask(way, key=False, fields=[("authorization", f"Bearer {value}")]).status == 503
        assert ways.is_untouched
        assert [event["denial_category"] for event in ways.denials] == ["managed_credential_unavailable"] * 2
