"""HTTP/2 inside an intercepted CONNECT: each stream is judged, prepared and recorded by itself."""

from __future__ import annotations

import asyncio
import logging
import ssl
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import cast

import h2.errors
import h2.settings
import hpack
import pytest

from nono.credentials.static import StaticCredential
from nono.credentials.values.credential import Injected, Outgoing, RequestFacts
from nono.credentials.values.injection import injection_of
from nono.credentials.values.tripwire import tripwire_for
from nono.policy.endpoints.policy import EndpointPolicy, EndpointRule
from nono.policy.schema.route_rules import Inject
from nono.proxy.exchange import context
from nono.proxy.handshake.alpn import HTTP2
from nono.proxy.http2.connection import Http2Connection
from nono.proxy.tls.session_ca import SessionCa
from nono.proxy.verdict.verdict import ConnectTarget
from nono.secret import Secret
from support.clients.http2 import Fields, Http2Client, connect
from support.proxy.http2_stage import (
    HOST,
    KEY,
    a_route_to,
    authority,
    h1_stage,
    h2_stage,
    routes_stage,
)
from support.proxy.thread import (
    PHANTOM,
    REAL_KEY,
    TIMEOUT_S,
    TOKEN,
    FakeCredential,
    Hosts,
    Names,
    Recording,
    narrow_listener,
    wait_until,
)
from support.servers.http1 import Received
from support.servers.http2 import Stream, h2_upstream

BETA = "sk-phantom-of-beta"
BETA_KEY = "sk-real-key-of-beta"
REAL = b"Bearer " + REAL_KEY.encode()


def test_each_stream_is_judged_alone_for_the_credential() -> None:
    with h2_stage() as (stage, server), stage.client() as client:
        statuses = [
            client.get("/one?x=1", fields=[KEY]).status,
            client.get("/two", fields=[("authorization", "Bearer sk-a-key-of-the-childs-own")]).status,
            client.get("/three", fields=[KEY]).status,
            client.get("/%2e%2e/four", fields=[KEY]).status,
            client.post(b"hello", "/five", fields=[KEY]).status,
        ]
    assert statuses == [200, 401, 200, 400, 200]
    assert [stream.path for stream in server.streams] == [b"/one?x=1", b"/three", b"/five"]
    for stream in server.streams:
        assert stream.values(b"authorization") == [REAL]
        assert stream.values(b":authority") == [stage.authority.encode()]
        assert stream.values(b":scheme") == [b"https"]
        assert PHANTOM.encode() not in repr(stream.fields).encode()
    assert stage.proxy.recording.decisions() == [
        ("allow", None),  # the CONNECT
        ("allow", None),
        ("deny", "authentication_failed"),
        ("allow", None),
        ("deny", None),
        ("allow", None),
    ]
    events = stage.proxy.recording.network
    assert {event["mode"] for event in events} == {"connect_intercept"}
    assert REAL_KEY not in repr(events)


def test_only_what_is_end_to_end_arrives() -> None:
    sent = [
        KEY,
        ("x-api-key", "another slot"[:0]),
        ("accept", "text/plain"),
        ("accept", "text/html"),
        ("cookie", "a=1"),
        ("cookie", "b=2"),
        ("te", "trailers"),
        ("proxy-authorization", f"Bearer {TOKEN}"),
        ("content-length", "5"),
    ]
    with h2_stage() as (stage, server), stage.client() as client:
        assert client.post(b"hello", fields=sent).status == 200
    stream = server.streams[0]
    assert stream.values(b"accept") == [b"text/plain", b"text/html"]
    assert stream.values(b"cookie") == [b"a=1; b=2"]
    assert stream.values(b"te") == [b"trailers"]
    assert stream.values(b"content-length") == [b"5"]
    names = {name for name, _ in stream.fields}
    assert not names & {b"proxy-authorization", b"host", b"connection", b"x-api-key"}


def test_a_field_that_must_not_be_indexed_is_never_indexed_upstream() -> None:
    plain: Fields = [KEY, ("x-secret", "s")]
    secret: Fields = [KEY, cast("tuple[str, str]", hpack.NeverIndexedHeaderTuple("x-secret", "s"))]
    with h2_stage() as (stage, server):
        for fields in (plain, secret):  # the judge has seen an equal head by then
            with stage.client() as client:  # a new table, because the library indexes what it holds
                assert client.get("/x", fields=fields).status == 200
    kept_out = [
        [bytes(field[0]) for field in stream.fields if isinstance(field, hpack.NeverIndexedHeaderTuple)]
        for stream in server.streams
    ]
    assert kept_out == [[b"authorization"], [b"x-secret", b"authorization"]]


def pseudo(port: int, **changes: str | None) -> Fields:
    fields = {"method": "GET", "scheme": "https", "authority": f"{HOST}:{port}", "path": "/x"} | changes
    return [(f":{name}", value) for name, value in fields.items() if value is not None]


@pytest.mark.parametrize(
    ("changes", "fields", "status"),
    [
        ({}, [], 200),
        ({"authority": "other.test"}, [], 421),
        ({"authority": HOST}, [], 421),  # port 443 is not this one
        ({"authority": None}, [], 400),
        ({"authority": f"user@{HOST}"}, [], 400),
        ({}, [("host", "other.test")], 400),
        ({"scheme": "http"}, [], 400),
        ({"scheme": None}, [], 400),
        ({"path": "*"}, [], 400),
        ({"path": f"https://{HOST}/x"}, [], 400),
        ({"path": "/a/../x"}, [], 400),
        ({"path": ""}, [], 400),
        ({"path": None}, [], 400),
        ({"method": None}, [], 400),
        ({"method": "GE T"}, [], 400),
        ({"method": "TRACE"}, [], 405),
        ({"method": "trace"}, [], 400),
        ({"method": "Head"}, [], 400),
        ({"method": "CONNECT", "scheme": None, "path": None}, [], 501),
        ({"method": "CONNECT", "protocol": "websocket"}, [], 501),
        ({"protocol": "websocket"}, [], 400),
        ({"status": "200"}, [], 400),
        ({}, [(":path", "/y")], 400),
        ({}, [("connection", "close")], 400),
        ({}, [("connection", "authorization")], 400),
        ({}, [("transfer-encoding", "chunked")], 400),
        ({}, [("upgrade", "h2c")], 400),
        ({}, [("keep-alive", "1")], 400),
        ({}, [("te", "gzip")], 400),
        ({}, [("X-Upper", "1")], 400),
        ({}, [("x bad", "1")], 400),
        ({}, [("x-bad", "a\nb: c")], 400),
        ({}, [("x-bad", "a\x00")], 400),
        ({}, [("expect", "other")], 417),
        ({}, [("x-many", str(number)) for number in range(120)], 431),
        ({}, [("x-long", "a" * 9000)], 431),
    ],
)
def test_a_malformed_or_misdirected_request_is_refused_on_its_stream_only(
    changes: dict[str, str | None], fields: Sequence[tuple[str, str]], status: int
) -> None:
    with h2_stage() as (stage, server), stage.client() as client:
        port = server.port
        number = client.request(pseudo=pseudo(port, **changes), fields=[KEY, *fields])
        assert client.answer(number).status == status
        assert client.get("/after", fields=[KEY]).status == 200
    paths = [stream.path for stream in server.streams]
    assert paths == ([b"/x", b"/after"] if status == 200 else [b"/after"])
    assert len(stage.proxy.recording.decisions()) == 3
    assert [event["status"] for event in stage.proxy.recording.network][1] == (
        None if status == 200 else status
    )


def test_a_host_field_that_agrees_is_as_good_as_an_authority() -> None:
    with h2_stage() as (stage, server), stage.client() as client:
        both = client.request(fields=[KEY, ("host", stage.authority)])
        assert client.answer(both).status == 200
        alone = pseudo(server.port, authority=None)
        assert (
            client.answer(client.request(pseudo=alone, fields=[KEY, ("host", stage.authority)])).status == 200
        )
    for stream in server.streams:
        assert stream.values(b":authority") == [stage.authority.encode()]
        assert stream.values(b"host") == []


def test_the_refusal_is_what_http1_answers() -> None:
    with h2_stage() as (stage, _), stage.client() as client:
        answer = client.get(fields=[("authorization", "Bearer nonsense")])
        to_head = client.answer(client.request(method="HEAD", fields=[("authorization", "Bearer nonsense")]))
    assert (answer.status, answer.values("content-type")) == (401, ["application/json"])
    assert answer.values("www-authenticate") == ['Basic realm="nono"']
    assert b"not the placeholder of 'alpha'" in answer.body
    assert "connection" not in dict(answer.fields)
    assert (to_head.status, to_head.body) == (401, b"")


def test_the_rules_of_the_route_hold_for_every_stream() -> None:
    rules = EndpointPolicy("deny", allow=(EndpointRule("GET", "/v1/*"),), origin="the test")
    with h2_stage(endpoints=rules) as (stage, server), stage.client() as client:
        assert client.get("/v1/x", fields=[KEY]).status == 200
        assert client.get("/v2/x", fields=[KEY]).status == 403
        assert client.post(b"", "/v1/x", fields=[KEY]).status == 403
    assert [stream.path for stream in server.streams] == [b"/v1/x"]


def test_streams_of_one_connection_never_share_a_credential() -> None:
    with authority() as ca, h2_upstream(ca.server_context(HOST)) as server:
        routes = [
            a_route_to(server.port, ca.ca_file),
            a_route_to(
                server.port,
                ca.ca_file,
                FakeCredential("X-Beta", BETA_KEY.encode()),
                service="beta",
                phantom=BETA,
            ),
        ]
        with routes_stage(server.port, ca.ca_file, routes) as stage, stage.client() as client:
            numbers = []
            for index in range(20):
                key = KEY if index % 2 else ("x-beta", BETA)
                numbers.append(client.request(f"/{'alpha' if index % 2 else 'beta'}/{index}", fields=[key]))
            assert {client.answer(number).status for number in numbers} == {200}
            together = client.get("/both", fields=[KEY, ("x-beta", BETA)])
            assert together.status == 403
    assert len(server.connections) == 2
    for stream in server.streams:
        is_alpha = stream.path.startswith(b"/alpha/")
        assert stream.values(b"authorization") == ([REAL] if is_alpha else [])
        assert stream.values(b"x-beta") == ([] if is_alpha else [BETA_KEY.encode()])


def test_tls_identities_do_not_share_an_upstream_connection() -> None:
    with authority() as ca, h2_upstream(ca.server_context(HOST)) as server:
        other = ca.ca_file + ".copy"
        with open(ca.ca_file, "rb") as source, open(other, "wb") as copy:
            copy.write(source.read())
        routes = [
            a_route_to(server.port, ca.ca_file),
            a_route_to(server.port, other, FakeCredential("X-Beta"), service="beta", phantom=BETA),
        ]
        with routes_stage(server.port, ca.ca_file, routes) as stage, stage.client() as client:
            for _ in range(2):
                assert client.get("/alpha", fields=[KEY]).status == 200
                assert client.get("/beta", fields=[("x-beta", BETA)]).status == 200
    used = [{stream.path for stream in connection.streams.values()} for connection in server.connections]
    assert used == [{b"/alpha"}, {b"/beta"}]


def test_the_name_is_looked_up_once_for_all_streams() -> None:
    names = Names()
    with h2_stage(options={"names": names}) as (stage, server), stage.client() as client:
        numbers = [client.request(fields=[KEY]) for _ in range(10)]
        assert {client.answer(number).status for number in numbers} == {200}
    assert names.asked == [HOST]
    assert len(server.connections) == 1


def test_another_client_has_an_upstream_connection_of_its_own() -> None:
    with h2_stage() as (stage, server), stage.client() as one, stage.client() as two:
        assert one.get(fields=[KEY]).status == 200
        assert two.get(fields=[KEY]).status == 200
    assert len(server.connections) == 2


def test_an_address_that_is_not_allowed_is_not_dialled() -> None:
    hosts = Hosts(denied_addresses=frozenset(("127.0.0.1",)))
    with h2_stage(options={"hosts": hosts}) as (stage, server), stage.client() as client:
        answer = client.get(fields=[KEY])
    assert answer.status == 403
    assert server.connections == []


def test_nothing_is_sent_that_could_not_be_recorded() -> None:
    recording = Recording()
    with h2_stage(options={"recording": recording}) as (stage, server), stage.client() as client:
        assert client.get("/one", fields=[KEY]).status == 200
        recording.failing = True
        assert client.get("/two", fields=[KEY]).status == 503
        recording.failing = False
        assert client.get("/three", fields=[KEY]).status == 200
    assert [stream.path for stream in server.streams] == [b"/one", b"/three"]


def test_an_upstream_whose_certificate_is_not_trusted_gets_nothing() -> None:
    with authority() as ca, authority() as other, h2_upstream(ca.server_context(HOST)) as server:
        routes = [a_route_to(server.port, other.ca_file)]
        with routes_stage(server.port, ca.ca_file, routes) as stage, stage.client() as client:
            answer = client.get(fields=[KEY])
    assert answer.status == 502
    assert b"certificate" in answer.body
    assert server.streams == []


def test_a_401_tells_the_credential() -> None:
    credential = FakeCredential()

    def handler(stream: Stream) -> None:
        stream.respond(401 if stream.path == b"/stale" else 200)

    with h2_stage(handler, credential=credential) as (stage, _), stage.client() as client:
        assert client.get("/fine", fields=[KEY]).status == 200
        assert credential.refused == []
        assert client.get("/stale", fields=[KEY]).status == 401
    assert [facts.path for facts in credential.refused] == ["/stale"]


def test_only_a_session_cookie_stays_behind() -> None:
    def handler(stream: Stream) -> None:
        stream.respond(fields=[("set-cookie", "s=1"), ("x-kind", "a"), ("x-kind", "b")])

    with h2_stage(handler) as (stage, _), stage.client() as client:
        answer = client.get(fields=[KEY])
    assert answer.values("set-cookie") == []
    assert answer.values("x-kind") == ["a", "b"]


@pytest.mark.parametrize(
    "field", [("connection", "close"), ("X-Upper", "1"), ("te", "gzip")], ids=lambda f: f[0]
)
def test_a_malformed_response_is_not_passed_on(field: tuple[str, str]) -> None:
    def handler(stream: Stream) -> None:
        with stream.connection.locked() as h2_connection:
            h2_connection.config.validate_outbound_headers = False
            h2_connection.config.normalize_outbound_headers = False
        stream.head(200, [field] if stream.path == b"/bad" else [], end=True)

    with h2_stage(handler) as (stage, _), stage.client() as client:
        assert client.get("/bad", fields=[KEY]).status == 502
        assert client.get("/good", fields=[KEY]).status == 200


@dataclass
class Signing:
    """Signs the body, and comes only when it is waited for."""

    needs_body: bool = True
    fails: bool = False

    @property
    def header_names(self) -> frozenset[bytes]:
        return frozenset((b"x-signature",))

    def inject(self, request: Outgoing) -> Injected:
        assert request.body is not None
        return Injected(request.target, [(b"X-Signature", sha256(request.body).hexdigest().encode())])

    def at_hand(self, request: RequestFacts) -> None:
        return None

    async def acquire(self, request: RequestFacts) -> Signing:
        if self.fails:
            raise OSError("the helper says sk-secret")
        return self

    def rejected(self, request: RequestFacts) -> None:
        """Do nothing, since nothing is cached."""

    def tripwire(self) -> None:
        return None


@pytest.mark.parametrize("most", [1000, 999], ids=["fits", "does not"])
def test_a_body_counts_among_what_the_proxy_holds(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "MAX_HELD_IN_ALL_BYTES", most)
    with h2_stage(Stream.respond, credential=Signing()) as (stage, _), stage.client() as client:
        for _ in range(2):  # and is free again afterwards
            assert client.post(bytes(1000), fields=[KEY]).status == (200 if most == 1000 else 503)


@pytest.mark.parametrize("announced", [True, False], ids=["with a length", "without"])
def test_a_signature_is_over_the_whole_body(announced: bool) -> None:
    body = bytes(range(256)) * 4000
    got: list[bytes] = []

    def handler(stream: Stream) -> None:
        got.append(stream.read_body())
        stream.respond()

    length = [("content-length", str(len(body)))] if announced else []
    with h2_stage(handler, credential=Signing()) as (stage, server), stage.client() as client:
        assert client.post(body, fields=[KEY, *length, ("x-signature", "forged")]).status == 200
        assert client.get(fields=[KEY]).status == 200
    assert got == [body, b""]
    first, second = server.streams
    assert first.values(b"x-signature") == [sha256(body).hexdigest().encode()]
    assert first.values(b"content-length") == [str(len(body)).encode()]
    assert second.values(b"x-signature") == [sha256(b"").hexdigest().encode()]


def test_a_client_that_waits_to_be_asked_for_a_body_is_asked() -> None:
    with h2_stage(credential=Signing()) as (stage, server), stage.client() as client:
        number = client.request(
            method="POST", fields=[KEY, ("expect", "100-continue"), ("content-length", "5")], end=False
        )
        client.wait_until(lambda: client.answers[number].interim == [100])
        client.send(number, b"hello", end=True)
        assert client.answer(number).status == 200
    assert server.streams[0].values(b"expect") == []


@pytest.mark.parametrize("announced", [True, False], ids=["with a length", "without"])
def test_a_body_too_large_to_be_signed_is_refused(announced: bool) -> None:
    size = 16 * 1024 * 1024 + 1
    with h2_stage(credential=Signing()) as (stage, server), stage.client() as client:
        length = [("content-length", str(size))] if announced else []
        number = client.request(method="POST", fields=[KEY, *length], end=False)
        answer = client.answers[number]
        sent = 0
        while not answer.is_over and sent < size:
            piece = b"x" * min(16384, size - sent)
            if client.h2.local_flow_control_window(number) < len(piece):
                assert client.receive()
                continue
            client.h2.send_data(number, piece)
            client.flush()
            sent += len(piece)
        assert client.answer(number).status == 413
        assert client.get(fields=[KEY]).status == 200
    assert len(server.streams) == 1


def test_an_unavailable_credential_is_refused_without_its_reason() -> None:
    with h2_stage(credential=Signing(fails=True)) as (stage, server), stage.client() as client:
        answer = client.get(fields=[KEY])
    assert answer.status == 503
    assert b"sk-secret" not in answer.body
    assert server.connections == []


def test_a_secret_in_an_http2_response_freezes_its_credential() -> None:
    secret = "sk-canary-8Zq2LmT5vWx7Yb1Nc4Kd"
    credential = StaticCredential(injection_of(Inject(), Secret(secret)), tripwire_for([Secret(secret)]))

    def handler(stream: Stream) -> None:
        stream.head(200, [("x-echo", secret)] if stream.path == b"/head" else [])
        if stream.path == b"/split":
            stream.send(b"before " + secret[:10].encode())
            stream.send(secret[10:].encode() + b" after")
        stream.end([("x-trailer", secret)] if stream.path == b"/trailer" else [])

    for path in ("/head", "/split", "/trailer"):
        alarms: list[str] = []
        options: dict[str, object] = {"alarm": alarms.append}
        with (
            h2_stage(handler, credential=credential, options=options) as (stage, _),
            stage.client() as client,
        ):
            answer = client.get(path, fields=[KEY])
            assert answer.status == 200
            assert secret not in repr(answer)
            assert client.get("/again", fields=[KEY]).status == 403
        assert len(alarms) == 1
        if path == "/split":
            assert answer.body.startswith(b"before ")
            assert answer.body.endswith(b" after")


@pytest.mark.parametrize("has_body", [False, True], ids=["without", "with"])
@pytest.mark.parametrize("status", [200, 204, 304])
def test_a_body_of_a_response_that_has_none_does_not_pass_unsearched(status: int, has_body: bool) -> None:
    credential = StaticCredential(injection_of(Inject(), Secret(REAL_KEY)), tripwire_for([Secret(REAL_KEY)]))

    def handler(stream: Stream) -> None:
        stream.head(status)
        if has_body:
            stream.send(REAL)
        stream.end()

    with h2_stage(handler, credential=credential) as (stage, _), stage.client() as client:
        answer = client.get(fields=[KEY])
        assert client.get("/another", fields=[("x-other", "1")]).is_over  # the connection goes on
    if has_body and status != 200:
        assert (answer.body, answer.reset) == (b"", h2.errors.ErrorCodes.INTERNAL_ERROR)
    else:
        masked = b"Bearer " + b"*" * len(REAL_KEY)
        assert (answer.status, answer.body, answer.reset) == (status, masked if has_body else b"", None)


@pytest.mark.parametrize("is_recorded", [True, False], ids=["recorded", "not recorded"])
def test_a_phantom_on_the_wrong_host_freezes_its_credential(is_recorded: bool) -> None:
    with authority() as ca, h2_upstream(ca.server_context(HOST)) as server:
        routes = [
            a_route_to(server.port, ca.ca_file),
            a_route_to(server.port + 1, None, FakeCredential("X-Beta"), service="beta", phantom=BETA),
        ]
        with routes_stage(server.port, ca.ca_file, routes) as stage, stage.client() as client:
            stage.proxy.recording.failing = not is_recorded
            status = 403 if is_recorded else 503
            assert client.get(fields=[("authorization", f"Bearer {BETA}")]).status == status
            stage.proxy.recording.failing = False
            states = stage.proxy.running.serving().context.admission
            assert states.state(routes[1]).frozen is not None
            assert client.get(fields=[KEY]).status == 200


def test_the_credential_is_in_no_log_however_much_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), h2_stage() as (stage, _), stage.client() as client:
        assert client.get(fields=[KEY]).status == 200
    assert REAL_KEY not in caplog.text


@pytest.mark.parametrize(
    ("served", "offered", "chosen"),
    [
        (["h2", "http/1.1"], ["h2"], "h2"),
        (["h2", "http/1.1"], ["http/1.1"], "http/1.1"),
        (["http/1.1", "h2"], ["h2"], "h2"),
        (["http/1.1", "h2"], ["h2", "http/1.1"], "http/1.1"),
        (["http/1.1"], ["h2"], None),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, list) else value,
)
def test_the_protocol_is_what_alpn_chose(served: list[str], offered: list[str], chosen: str | None) -> None:
    own = SessionCa.create()

    def context(host: str, _: bool) -> ssl.SSLContext:
        made = own.server_context(host, HTTP2)
        made.set_alpn_protocols(served)
        return made

    with h2_stage(options={"server_context": context}) as (stage, server):
        with open(stage.ca_file, "wb") as ca_file:
            ca_file.write(own.certificate_pem)
        with connect(stage.proxy.port, stage.authority, stage.ca_file, offered) as inside:
            assert inside.selected_alpn_protocol() == chosen
            if chosen == "h2":
                client = Http2Client(inside, stage.authority)
                client.start()
                assert client.get(fields=[KEY]).status == 200
            else:  # the preface of HTTP/2 is no request of HTTP/1.1
                inside.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
                assert inside.recv(65536).startswith(b"HTTP/1.1 4")
    assert len(server.streams) == (1 if chosen == "h2" else 0)


def test_a_client_that_offers_only_http1_still_gets_that() -> None:
    with (
        h1_stage(lambda request: request.connection.respond()) as (stage, server),
        connect(stage.proxy.port, stage.authority, stage.ca_file, ["http/1.1"]) as inside,
    ):
        head = f"GET /x HTTP/1.1\r\nHost: {stage.authority}\r\nAuthorization: Bearer {PHANTOM}\r\n\r\n"
        inside.sendall(head.encode())
        assert inside.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert server.requests[0].values(b"authorization") == [REAL]


# -- an upstream that speaks only HTTP/1.1


def test_an_upstream_of_http1_is_served_from_the_pool() -> None:
    def handler(request: Received) -> None:
        body = request.read_body()
        request.connection.respond(
            201, b"got " + body, [("Set-Cookie", "s=1"), ("X-Kind", "a"), ("Connection", "x-kind")]
        )

    with h1_stage(handler, drains=True) as (stage, server), stage.client() as client:
        for index in range(3):
            answer = client.post(
                b"hello", f"/{index}?q=1", fields=[KEY, ("content-length", "5"), ("te", "trailers")]
            )
            assert (answer.status, answer.body) == (201, b"got hello")
            assert answer.fields == [("content-length", "9")]
    assert len(server.connections) == 1
    for index, request in enumerate(server.requests):
        assert request.request_line == b"POST /%d?q=1 HTTP/1.1" % index
        assert request.fields == [
            (b"host", stage.authority.encode()),
            (b"content-length", b"5"),
            (b"authorization", REAL),
        ]


def test_streams_to_an_upstream_of_http1_run_side_by_side() -> None:
    def handler(request: Received) -> None:
        request.connection.respond(body=request.target)

    with h1_stage(handler) as (stage, server), stage.client() as client:
        numbers = [client.request(f"/{index}", fields=[KEY]) for index in range(20)]
        assert [client.answer(number).body for number in numbers] == [b"/%d" % index for index in range(20)]
    assert len(server.requests) == 20


def test_a_body_of_unknown_length_is_chunked_for_an_upstream_of_http1() -> None:
    def handler(request: Received) -> None:
        request.read_body()
        request.connection.send(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
            b"3\r\nabc\r\n0\r\nX-Sum: 6\r\nSet-Cookie: s=1\r\n\r\n"
        )

    with h1_stage(handler) as (stage, server), stage.client() as client:
        answer = client.post(b"x" * 100_000, fields=[KEY])
    assert (answer.body, answer.trailers) == (b"abc", [("x-sum", "6")])
    assert server.requests[0].body == b"x" * 100_000
    assert server.requests[0].value(b"transfer-encoding") == b"chunked"


@pytest.mark.parametrize("sent", [b"12345678", b"123"], ids=["too much", "too little"])
def test_a_body_of_a_wrong_length_never_looks_complete_over_http1(sent: bytes) -> None:
    def handler(request: Received) -> None:
        request.read_body()
        request.connection.respond()

    with h1_stage(handler) as (stage, server), stage.client() as client:
        client.request(method="POST", fields=[KEY, ("content-length", "5")], body=sent)
        client.wait_closed()
    assert client.goaway == h2.errors.ErrorCodes.PROTOCOL_ERROR
    assert [request.body_complete for request in server.requests] in ([], [False])
    assert all(connection.raw.count(b"HTTP/1.1") == 1 for connection in server.connections)


@pytest.mark.parametrize("announced", [" 5", "5 ", "\t5"])
def test_no_request_hides_behind_a_length_with_blanks(announced: str) -> None:
    """Read by one of two parsers only, it would leave the rest of the body to be read as a request."""

    def handler(request: Received) -> None:
        request.read_body()
        request.connection.respond()

    hidden = b"12345GET /hidden HTTP/1.1\r\nHost: api.test\r\n\r\n"
    with h1_stage(handler) as (stage, server), stage.client() as client:
        head = [KEY, ("content-length", announced)]
        number = client.request(method="POST", fields=head, body=hidden, end=False)
        assert client.answer(number).status == 400
        assert client.get("/after", fields=[KEY]).status == 200
    assert [request.request_line for request in server.requests] == [b"GET /after HTTP/1.1"]
    assert all(b"/hidden" not in connection.raw for connection in server.connections)


@pytest.mark.parametrize(
    ("sent", "announced"),
    [(b"", 0), (b"", 60), (b"abc", 3), (b"abc", 60)],
    ids=["none", "none of 60", "three", "three of 60"],
)
def test_a_short_body_takes_nothing_of_the_next_request(sent: bytes, announced: int) -> None:
    """As of an upstream that answers before it has read the body, and reads the rest of it afterwards."""
    has_all = threading.Event()

    def handler(request: Received) -> None:
        has_all.wait(TIMEOUT_S)
        request.connection.respond()
        request.read_body()

    agrees = announced == len(sent)
    with h1_stage(handler) as (stage, server), stage.client() as client:
        head: Fields = [KEY, ("content-length", str(announced))]
        number = client.request(method="POST", fields=head, body=sent or None, end=not sent)
        if sent:
            client.h2.send_headers(number, [("x-end", "1")], end_stream=True)
        client.ping()
        has_all.set()
        answer = client.answer(number)
        assert client.get("/after", fields=[KEY, ("x-text", "DELETE /denied")]).status == 200
    if agrees:
        assert (answer.status, answer.reset) == (200, None)
    else:
        assert answer.status == 400
    assert server.requests[-1].request_line == b"GET /after HTTP/1.1"
    refused = [event["status"] for event in stage.proxy.recording.network if event["decision"] == "deny"]
    assert refused == ([] if agrees else [400])


@pytest.mark.parametrize("fields", [[], [KEY]], ids=["without a key", "with the phantom"])
def test_trailers_of_a_request_do_not_reach_an_upstream_of_http1(fields: Fields) -> None:
    def handler(request: Received) -> None:
        request.read_body()
        request.connection.respond()

    with h1_stage(handler) as (stage, server), stage.client() as client:
        number = client.request(method="POST", fields=fields, body=b"abc", end=False)
        client.h2.send_headers(number, [("x-admin", "1")], end_stream=True)
        client.flush()
        assert client.answer(number).status == 200
    assert server.requests[0].wire_body == b"3\r\nabc\r\n0\r\n\r\n"


@pytest.mark.parametrize("drains", [True, False], ids=["known to read", "not known"])
@pytest.mark.parametrize("method", ["GET", "DELETE", "POST"])
def test_no_request_follows_a_body_that_http1_may_leave_unread(method: str, drains: bool) -> None:
    def handler(request: Received) -> None:
        request.body_complete = method != "POST"
        if request.target == b"/first" and method == "POST":
            request.connection.wait_for(
                len(unread)
            )  # an answer before the end of its request ends a connection
        request.connection.respond()

    unread = b"GET /smuggled HTTP/1.1\r\nHost: x\r\nX-Rest: "
    with h1_stage(handler, drains=drains) as (stage, server), stage.client() as client:
        assert client.get("/to-learn-the-version", fields=[KEY]).status == 200
        head: Fields = [KEY, ("content-length", str(len(unread)))]
        asked = client.request("/first", method=method, fields=head, body=unread)
        assert client.answer(asked).status == 200
        assert client.get("/second", fields=[KEY]).status == 200
    _, first, second = server.requests
    assert (first.target, second.target) == (b"/first", b"/second")
    assert (first.connection is second.connection) is (drains and method == "POST")


def test_head_204_and_304_have_no_body_from_an_upstream_of_http1() -> None:
    def handler(request: Received) -> None:
        if request.method == b"HEAD":
            request.connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        elif request.target == b"/304":
            request.connection.send(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n")
        else:
            request.connection.send(b"HTTP/1.1 204 No Content\r\n\r\n")

    with h1_stage(handler) as (stage, server), stage.client() as client:
        to_head = client.answer(client.request(method="HEAD", fields=[KEY]))
        assert (to_head.status, to_head.values("content-length"), to_head.body) == (200, ["1000"], b"")
        assert (client.get("/304", fields=[KEY]).status, client.get("/204", fields=[KEY]).status) == (
            304,
            204,
        )
    assert len(server.connections) == 1


# -- the connection


def test_repeated_authentication_failures_close_the_connection() -> None:
    with h2_stage() as (stage, server), stage.client() as client:
        numbers = [client.request(fields=[("authorization", "Bearer guess")]) for _ in range(8)]
        client.wait_closed()
        answers = [client.answers[number] for number in numbers]
    assert {answer.status for answer in answers[:6]} == {401}
    assert client.goaway == 0
    assert server.connections == []


def test_a_closing_proxy_finishes_running_responses_only() -> None:
    proceed = threading.Event()

    def handler(stream: Stream) -> None:
        stream.head()
        assert proceed.wait(20)
        stream.send(b"the end")
        stream.end()

    with h2_stage(handler) as (stage, server), stage.client() as client, stage.client() as idle:
        running = client.request(fields=[KEY])
        client.wait_until(lambda: client.answers[running].status == 200)
        idle.ping()
        stage.wind_down()
        idle.wait_closed()
        assert idle.goaway == 0
        proceed.set()
        late = client.request(fields=[KEY])
        client.wait_closed()
    assert client.answers[running].body == b"the end"
    assert not client.answers[late].status
    assert len(server.streams) == 1


class _Abandoned(asyncio.Transport):
    is_aborted = False

    def abort(self) -> None:
        self.is_aborted = True

    def is_closing(self) -> bool:
        return self.is_aborted


@pytest.mark.parametrize("is_closing", [False, True])
def test_a_connection_made_while_the_proxy_closes_is_cut(is_closing: bool) -> None:
    """Its handshake had begun before: nothing else would end it."""
    with h2_stage() as (stage, server):

        def made() -> bool:
            context, transport = stage.proxy.running.serving().context, _Abandoned()
            context.connections.closing = is_closing
            connection = Http2Connection(context, ConnectTarget(HOST, server.port))
            with suppress(NotImplementedError):  # to write to it
                connection.connection_made(transport)
            connection.connection_lost(None)
            return transport.is_aborted

        assert stage.proxy.on_loop(made) is is_closing


def test_an_idle_connection_is_closed_with_notice() -> None:
    with h2_stage() as (stage, _), stage.client() as client:
        assert client.get(fields=[KEY]).status == 200
        stage.proxy.let_pass(119)
        client.ping()
        stage.proxy.let_pass(119)
        assert client.get(fields=[KEY]).status == 200
        stage.proxy.let_pass(121)
        client.wait_closed()
    assert client.goaway == 0


def test_a_client_that_still_has_a_response_to_read_is_not_idle() -> None:
    answered = threading.Event()

    def handler(stream: Stream) -> None:
        stream.head()
        stream.send(b"x" * 20_000)  # more than the kernel holds here, and less than TLS is kept waiting for
        stream.end()
        answered.set()

    with (
        h2_stage(handler, options={"listener": narrow_listener()}) as (stage, _),
        stage.client(receive_buffer=4096) as client,
    ):
        number = client.request(fields=[KEY])
        assert answered.wait(TIMEOUT_S)
        wait_until(lambda: not stage.connections()[0]._streams)
        stage.proxy.let_pass(121)
        stage.proxy.let_pass(121)
        client.wait_until(lambda: client.answers[number].is_over)
        assert client.answers[number].body == b"x" * 20_000
        assert client.get(fields=[KEY]).status == 200
        stage.proxy.let_pass(121)
        client.wait_closed()  # now it is


def test_a_client_without_a_preface_is_closed_in_time() -> None:
    with h2_stage() as (stage, _), stage.client(starts=False) as client:
        stage.proxy.let_pass(31)
        client.wait_closed()


def test_an_open_stream_has_no_time_limit() -> None:
    def handler(stream: Stream) -> None:
        stream.head()
        for _ in stream.pieces():
            stream.send(b"pong")
        stream.end()

    with h2_stage(handler) as (stage, _), stage.client() as client, stage.client() as other:
        number = client.request(method="POST", fields=[KEY], end=False)
        client.wait_until(lambda: client.answers[number].status == 200)
        other.ping()
        stage.proxy.let_pass(3600)
        other.wait_closed()
        client.send(number, b"ping", end=True)
        assert client.answer(number).body == b"pong"
        assert client.goaway is None


def test_curl_speaks_http2_through_the_proxy() -> None:
    with h2_stage() as (stage, server):
        command = [
            "curl", "-sS", "--http2", "--cacert", stage.ca_file, "-w", "%{http_version}",
            "-x", f"http://nono:{TOKEN}@127.0.0.1:{stage.proxy.port}",
            "-H", f"Authorization: Bearer {PHANTOM}", "-d", "hello", f"https://{stage.authority}/v1/x",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.stdout, done.stderr) == ("ok2", "")
    assert server.streams[0].values(b"authorization") == [REAL]
