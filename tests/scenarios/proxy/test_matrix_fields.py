"""Header fields and secrets, over every transport: one credential upstream, none back, none in messages."""

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
from support.proxy.transports import KEY, READABLE, WITH_CREDENTIAL, Fields, Transport, five_transports
from support.servers.http1 import Received, answer_ok

REAL = "sk-canary/8Zq2LmT5vWx7+Yb1Nc4Kd"
QUOTED = quote(REAL, safe="")


def a_credential(inject: Inject = Inject()) -> StaticCredential:  # noqa: B008  # a frozen value
    return StaticCredential(injection_of(inject, Secret(REAL)), tripwire_for([Secret(REAL)]))


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
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
def test_every_copy_of_a_key_field_gives_way_to_ours(transport: Transport, more: Fields) -> None:
    if transport is Transport.HTTP2:
        more = [(name.lower(), value) for name, value in more]
    with five_transports() as stage:
        assert stage.ask(transport, fields=more).status == 200
        (request,) = stage.requests
        assert request.values(b"authorization") == [b"Bearer " + REAL_KEY.encode()]
        assert not {b"x-api-key", b"private-token", b"x-goog-api-key"} & {name for name, _ in request.fields}
        assert PHANTOM.encode() not in stage.sent


CHUNKS = [
    ("content-encoding", "aws-chunked"),
    ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
    ("content-type", "text/plain"),
]


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
@pytest.mark.parametrize(
    ("path", "more", "body", "why"),
    [
        pytest.param("/k?X-Amz-Signature=00", [], b"", "a signature of its own", id="presigned"),
        pytest.param("/k", CHUNKS, b"1;chunk-signature=00\r\na\r\n0\r\n\r\n", "one piece", id="chunks"),
        pytest.param("/k", [("x-amz-meta-a", "a\tb")], b"", "cannot be signed", id="an unclear field"),
    ],
)
def test_a_request_that_cannot_be_signed_is_a_client_error(
    transport: Transport, path: str, more: Fields, body: bytes, why: str
) -> None:
    signing = SigV4Injection(Keys("AKIDEXAMPLE", Secret(REAL), None), "s3", "us-east-1")
    with five_transports(credential=StaticCredential(signing, None)) as stage:
        answer = stage.ask(transport, path, method="PUT", fields=more, body=body)
        assert answer.status == 400
        assert why in answer.body.decode()
        assert stage.requests == []
        (refused,) = stage.denials
        assert (refused["denial_category"], refused["status"]) == ("managed_credential_unavailable", 400)
        assert why in str(refused["reason"])
        assert stage.ask(transport, "/k", method="PUT", body=b"a").status == 200


# To CGI and its heirs an underscore and a hyphen are one.
LOOKALIKES = [
    "x_api_key",
    "x-api_key",
    "x_goog_api_key",
    "private_token",
    "proxy_authorization",
    "content_length",
]


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
@pytest.mark.parametrize("name", LOOKALIKES)
def test_a_lookalike_of_a_removed_field_does_not_leave(transport: Transport, name: str) -> None:
    with five_transports() as stage:
        answer = stage.ask(transport, fields=[(name, "sk-a-key-of-its-own")])
        assert b"sk-a-key-of-its-own" not in stage.sent
        assert answer.status in (200, 400, 401, 403)
        assert stage.ask(transport, fields=[("x-harmless", "kept")]).status == 200
        assert b"kept" in stage.sent


@pytest.mark.parametrize("transport", [Transport.INSIDE, Transport.REVERSE])
@pytest.mark.parametrize("named", ["authorization", "host", "authorization, close", "AUTHORIZATION,host,x-a"])
def test_connection_removes_no_field_of_ours(transport: Transport, named: str) -> None:
    with five_transports() as stage:
        assert stage.ask(transport, fields=[("connection", named), ("x-a", "1")]).status == 200
        (request,) = stage.requests
        assert request.values(b"authorization") == [b"Bearer " + REAL_KEY.encode()]
        assert request.values(b"host") == [stage.authority_of(transport).encode()]
        assert request.values(b"x-a") == ([] if "x-a" in named else [b"1"])


HOP_BY_HOP = [
    ("te", "gzip"), ("trailer", "x"), ("keep-alive", "timeout=5"), ("proxy-connection", "keep-alive"),
    ("proxy-authenticate", "Basic"),
]  # fmt: skip


@pytest.mark.parametrize("transport", [Transport.ABSOLUTE, Transport.INSIDE, Transport.REVERSE])
def test_what_is_for_one_hop_does_not_pass(transport: Transport) -> None:
    with five_transports() as stage:
        assert stage.ask(transport, fields=HOP_BY_HOP).status == 200
        names = {name for name, _ in stage.requests[0].fields}
        assert not names & {name.encode() for name, _ in HOP_BY_HOP}
        assert not names & {b"via", b"forwarded", b"x-forwarded-for", b"x-forwarded-host"}


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
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
def test_the_only_key_in_a_query_is_ours(transport: Transport, query: str, status: int) -> None:
    inject = Inject("query_param", query_param="key")
    hosts, credential = Hosts(only_routes=True), a_credential(inject)
    with five_transports(hosts=hosts, credential=credential, accept=inject, inject=inject) as stage:
        answer = stage.ask(transport, f"/x?{query}", key=False)
        assert answer.status == status or (status == 0 and answer.status in (400, 401, 403))
        assert PHANTOM.encode() not in stage.sent
        assert b"own" not in stage.sent
        assert REAL not in repr(stage.proxy.recording.events)
        if status == 200:
            assert stage.requests[0].target.count(QUOTED.encode()) == 1
            assert stage.requests[0].target.count(b"key=") == 1
        else:
            assert stage.is_untouched
            assert len(stage.denials) == 1


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


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
@pytest.mark.parametrize("kind", REFLECTIONS)
def test_a_secret_that_comes_back_freezes_its_credential(transport: Transport, kind: str) -> None:
    alarms: list[str] = []
    options: dict[str, object] = {"alarm": alarms.append}
    with five_transports(REFLECTIONS[kind], credential=a_credential(), options=options) as stage:
        if transport is Transport.HTTP2:
            answer = stage.ask(transport)
            shown = repr(answer).encode() + unzipped(answer.body)
        else:
            shown = unzipped(stage.raw(transport, stage.head(transport) + b"connection: close\r\n\r\n"))
        for text in (REAL, base64.b64encode(b"key: " + REAL.encode()).decode(), QUOTED):
            assert text.encode() not in shown
        assert REAL not in repr(stage.proxy.recording.events)
        if "reason phrase" in kind and transport is Transport.HTTP2:
            return  # HTTP/2 has none
        assert len(alarms) == 1
        assert REAL not in alarms[0]
        before = len(stage.requests)
        assert stage.ask(transport).status == 403
        assert len(stage.requests) == before


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
def test_a_secret_that_comes_back_as_the_name_of_a_field_is_not_readable(transport: Transport) -> None:
    token = "sk-canary.8Zq2LmT5vWx7_Yb1Nc4Kd"  # what a name may be made of

    def handler(request: Received) -> None:
        request.connection.respond(fields=[(token, "1"), ("X-Kept", "1")])

    secret, alarms = Secret(token), list[str]()
    credential = StaticCredential(injection_of(Inject(), secret), tripwire_for([secret]))
    with five_transports(handler, credential=credential, options={"alarm": alarms.append}) as stage:
        answer = stage.ask(transport)
        assert answer.values("x-kept") == ["1"]
        assert token.lower() not in repr(answer).lower()
        assert len(alarms) == 1
        assert token not in alarms[0] + repr(stage.proxy.recording.events)


def unzipped(back: bytes) -> bytes:
    """Return the response, followed by the content of a gzip member within it."""
    start = back.find(b"\x1f\x8b")
    return back if start < 0 else back + zlib.decompressobj(wbits=31).decompress(back[start:])


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
def test_a_secret_is_not_cut_in_two_by_ranges_nor_hidden_by_a_coding(transport: Transport) -> None:
    fields = [("range", "bytes=5-9"), ("if-range", "x"), ("accept-encoding", "compress, exi")]
    with five_transports(credential=a_credential()) as stage:
        assert stage.ask(transport, fields=fields).status == 200
        names = {name for name, _ in stage.requests[0].fields}
        assert not names & {b"range", b"if-range"}
        assert b"exi" not in (stage.requests[0].value(b"accept-encoding") or b"")


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
def test_an_answer_without_the_secret_freezes_nothing(transport: Transport) -> None:
    alarms: list[str] = []
    with five_transports(credential=a_credential(), options={"alarm": alarms.append}) as stage:
        for _ in range(2):
            assert stage.ask(transport).status == 200
    assert alarms == []


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_relayed_redirect_takes_no_key_elsewhere(transport: Transport, status: int) -> None:
    def handler(request: Received) -> None:
        request.connection.respond(status, b"", [("Location", "https://evil.test/x")], "Elsewhere")

    with five_transports(handler) as stage:
        answer = stage.ask(transport)
        assert (answer.status, answer.values("location")) == (status, ["https://evil.test/x"])
        assert stage.proxy.names.asked == ["api.test"]
        assert len(stage.requests) == 1


@pytest.mark.parametrize("transport", READABLE)
def test_a_session_cookie_stays_outside_where_there_is_a_credential(transport: Transport) -> None:
    def handler(request: Received) -> None:
        request.connection.send(
            b"HTTP/1.1 200 OK\r\nSet-Cookie: s=1\r\nset-cookie: t=1\r\nX-Kept: 1\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nSet-Cookie: u=1\r\n\r\n"
        )

    with five_transports(handler) as stage:
        answer = stage.ask(transport)
        assert answer.values("x-kept") == ["1"]
        assert answer.values("set-cookie") == ([] if transport in WITH_CREDENTIAL else ["s=1", "t=1"])
        if transport is not Transport.HTTP2:
            back = stage.raw(transport, stage.head(transport) + b"connection: close\r\n\r\n")
            assert b"u=1" not in back
            assert (b"s=1" in back) is (transport is Transport.ABSOLUTE)


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
def test_neither_logs_nor_answers_of_ours_hold_the_secret(
    transport: Transport, caplog: pytest.LogCaptureFixture
) -> None:
    def handler(request: Received) -> None:
        if request.target == b"/gone":
            request.connection.reset()
        else:
            answer_ok(request)

    caplog.set_level(logging.DEBUG)
    with five_transports(handler, credential=a_credential()) as stage:
        answers = [stage.ask(transport, path) for path in ("/x", "/gone", "/../x")]
        answers.append(stage.ask(transport, fields=[("x-api-key", "own")]))
        assert [answer.status for answer in answers] == [200, 502, 400, 403]
        assert REAL.encode() in stage.sent
        assert REAL not in repr(answers) + repr(stage.proxy.recording.events) + caplog.text
        assert PHANTOM not in repr(answers) + repr(stage.proxy.recording.events) + caplog.text


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
def test_a_route_without_its_credential_takes_no_other_key(transport: Transport) -> None:
    with five_transports(loaded=False) as stage:
        for value in (PHANTOM, "sk-a-key-of-its-own"):
            assert (
                stage.ask(transport, key=False, fields=[("authorization", f"Bearer {value}")]).status == 503
            )
        assert stage.is_untouched
        assert [event["denial_category"] for event in stage.denials] == ["managed_credential_unavailable"] * 2
