"""The reverse path on real sockets: what the upstream received, and what was recorded before it did."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path

import pytest

from support.proxy.thread import (
    PHANTOM,
    REAL_KEY,
    TOKEN,
    Client,
    FakeCredential,
    Hosts,
    Names,
    Recording,
    a_route,
    proxy,
    wait_until,
)
from support.servers.http1 import Authority, Received, answer_ok, upstream

AUTHORIZED = b"Authorization: Bearer " + PHANTOM.encode() + b"\r\n"


def get(path: str = "/alpha/v1", fields: bytes = AUTHORIZED, *, method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n".encode() + fields + b"\r\n"


def post(body: bytes, fields: bytes = AUTHORIZED) -> bytes:
    return get(fields=fields + b"Content-Length: %d\r\n" % len(body), method="POST") + body


def test_the_upstream_receives_no_trace_of_the_phantom() -> None:
    with upstream() as server, proxy(a_route(server.port, base_path="/base")) as p, Client(p.port) as client:
        client.send(get("/alpha/v1?x=1", AUTHORIZED + b"X-Api-Key: " + PHANTOM.encode() + b"\r\nTE: x\r\n"))
        assert client.response().body == b"ok"
    (request,) = server.requests
    assert request.head == (
        b"GET /base/v1?x=1 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: Bearer %b\r\n\r\n"
        % (server.port, REAL_KEY.encode())
    )
    (event,) = p.recording.network
    assert (event["mode"], event["decision"], event["target"]) == ("reverse", "allow", "alpha")
    assert (event["path"], event["managed_credential_active"]) == ("/alpha/v1?x=[REDACTED]", True)
    assert REAL_KEY not in json.dumps(event)
    assert PHANTOM not in json.dumps(event)


@pytest.mark.parametrize(("host", "stays"), [("127.0.0.1", True), ("127.0.0.9", False)])
def test_a_client_that_is_sent_on_stays_on_the_route_if_the_upstream_means_itself(
    host: str, stays: bool
) -> None:
    def moved(request: Received) -> None:
        if request.target == b"/base/v2?x=1":
            request.connection.respond()
        else:
            request.connection.respond(302, fields=[("Location", f"http://{host}:{port}/base/v2?x=1")])

    with (
        upstream(moved) as server,
        proxy(a_route(port := server.port, base_path="/base")) as p,
        Client(p.port) as client,
    ):
        client.send(get("/alpha/v1"))
        led = client.response().value("location")
        assert led == ("/alpha/v2?x=1" if stays else f"http://{host}:{port}/base/v2?x=1")
        client.send(get("/alpha/v2?x=1"))
        assert client.response().status == 200
    assert [each.value(b"authorization") for each in server.requests] == [b"Bearer " + REAL_KEY.encode()] * 2


SLOTS = [
    b"Authorization: Bearer %b",
    b"Authorization: token %b",
    b"X-Api-Key: %b",
    b"X-Goog-Api-Key: %b",
    b"X-Custom-Key: %b",
]


@pytest.mark.parametrize("slot", SLOTS, ids=[slot.decode() for slot in SLOTS])
def test_only_a_phantom_in_a_slot_reaches_the_upstream(slot: bytes) -> None:
    credential = FakeCredential("X-Custom-Key", b"real")
    with (
        upstream() as server,
        proxy(a_route(server.port, credential=credential)) as p,
        Client(p.port) as client,
    ):
        client.send(get(fields=slot % b"sk-real-looking-key" + b"\r\n"))
        assert client.response().status == 401
        client.send(get(fields=slot % PHANTOM.encode() + b"\r\n"))
        assert client.response().status == 200
    (request,) = server.requests
    assert request.values(b"x-custom-key") == [b"real"]
    assert b"sk-" not in request.head
    assert p.recording.decisions() == [("deny", "authentication_failed"), ("allow", None)]


def test_basic_with_the_phantom_as_password_is_accepted() -> None:
    value = b64encode(b"x-access-token:" + PHANTOM.encode())
    with upstream() as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(get(fields=b"Authorization: Basic " + value + b"\r\n"))
        assert client.response().status == 200
    assert server.requests[0].values(b"authorization") == [b"Bearer " + REAL_KEY.encode()]


@pytest.mark.parametrize(
    ("path", "fields", "status", "category"),
    [
        pytest.param("/alpha/v1", b"", 401, "authentication_failed", id="no phantom"),
        pytest.param(
            "/alpha/v1", AUTHORIZED + b"X-Api-Key: sk-own\r\n", 403, "authentication_failed", id="two keys"
        ),
        pytest.param("/broken/v1", AUTHORIZED, 503, "managed_credential_unavailable", id="no credential"),
        pytest.param("/alpha/../v1", AUTHORIZED, 400, None, id="dot segment"),
        pytest.param("/alpha/%2e%2e/v1", AUTHORIZED, 400, None, id="escaped dot segment"),
        pytest.param("/other/v1", AUTHORIZED, 404, None, id="unknown service"),
        pytest.param(
            "/alpha/v1", AUTHORIZED + b"Upgrade: websocket\r\nConnection: upgrade\r\n", 400, None,
            id="half a WebSocket handshake",
        ),
        pytest.param(
            "/alpha/v1", AUTHORIZED + b"Upgrade: h2c\r\nConnection: upgrade, HTTP2-Settings\r\n", 400, None,
            id="h2c",
        ),
    ],
)  # fmt: skip
def test_a_refused_request_reaches_no_upstream(
    path: str, fields: bytes, status: int, category: str | None
) -> None:
    with (
        upstream() as server,
        proxy(
            a_route(server.port),
            a_route(server.port, service="beta", phantom="sk-phantom-of-beta"),
            a_route(server.port, service="broken", loaded=False),
        ) as p,
    ):
        with Client(p.port) as client:
            client.send(get(path, fields))
            response = client.response()
            assert response.status == status
            assert set(json.loads(response.body)) == {"error", "host", "rule", "origin", "hint"}
            assert p.recording.decisions() == [("deny", category)]
            assert p.recording.network[0]["status"] == status
        assert server.connections == []
        with Client(p.port) as client:
            client.send(get())
            assert client.response().status == 200
    assert len(server.requests) == 1


def test_a_phantom_at_another_service_freezes_only_its_own_credential() -> None:
    beta = b"Authorization: Bearer sk-phantom-of-beta\r\n"
    with (
        upstream() as server,
        proxy(a_route(server.port), a_route(server.port, service="beta", phantom="sk-phantom-of-beta")) as p,
        Client(p.port) as client,
    ):
        client.send(get())
        assert client.response().status == 200
        client.send(get("/beta/v1"))
        response = client.response()
        assert response.status == 403
        assert "placeholder of 'alpha' was sent to 'beta'" in json.loads(response.body)["error"]
        client.send(get())
        response = client.response()
        assert (response.status, json.loads(response.body)["rule"]) == (403, "tripwire")
        client.send(get("/beta/v1", beta))
        assert client.response().status == 200
    assert [request.target for request in server.requests] == [b"/v1", b"/v1"]
    assert p.recording.decisions() == [
        ("allow", None),
        ("deny", "authentication_failed"),
        ("deny", "managed_credential_unavailable"),
        ("allow", None),
    ]


@pytest.mark.parametrize("content", [b"", b"a\r\nb", b" a"], ids=["empty", "line break", "blank"])
def test_a_credential_unfit_for_a_header_answers_503_before_any_dial(content: bytes) -> None:
    with (
        upstream() as server,
        proxy(a_route(server.port, credential=FakeCredential(content=content))) as p,
        Client(p.port) as client,
    ):
        client.send(get())
        assert client.response().status == 503
        client.send(get(fields=b""))
        assert client.response().status == 401
        assert server.connections == []
    assert p.recording.decisions() == [
        ("deny", "managed_credential_unavailable"),
        ("deny", "authentication_failed"),
    ]


def test_nothing_is_dialled_before_its_event_is_written() -> None:
    recording = Recording(failing=True)
    with upstream() as server, proxy(a_route(server.port), recording=recording) as p:
        with Client(p.port) as client:
            client.send(get())
            response = client.response()
            assert response.status == 503
            assert b"audit log" in response.body
            assert client.is_closed()
        assert server.connections == []
        recording.failing = False
        with Client(p.port) as client:
            client.send(get())
            assert client.response().status == 200
            recording.failing = True
            client.send(get())  # the connection to the upstream is resting in the pool by now
            assert client.response().status == 503
    assert len(server.requests) == 1


def test_requests_of_several_clients_share_one_kept_alive_connection() -> None:
    with upstream() as server, proxy(a_route(server.port, drains=True)) as p:
        for _ in range(3):
            with Client(p.port) as client:
                for _ in range(3):
                    client.send(post(b"abc"))
                    assert client.response().body == b"ok"
    assert len(server.requests) == 9
    assert len(server.connections) == 1


def test_connections_are_not_shared_between_tls_identities(tmp_path: Path) -> None:
    first, second = Authority(str(tmp_path / "a.pem")), Authority(str(tmp_path / "b.pem"))
    with (
        upstream(tls=first.server_context("api.test")) as server,
        proxy(
            a_route(server.port, host="api.test", scheme="https", tls_ca=first.ca_file),
            a_route(
                server.port,
                service="beta",
                host="api.test",
                scheme="https",
                phantom="b",
                tls_ca=second.ca_file,
            ),
        ) as p,
        Client(p.port) as client,
    ):
        client.send(get())
        assert client.response().status == 200
        client.send(get("/beta/v1", b"X-Api-Key: b\r\n"))
        response = client.response()
        assert response.status == 502
        assert b"certificate" in response.body
        client.send(get())
        assert client.response().status == 200
    assert [request.connection.number for request in server.requests] == [0, 0]
    assert p.recording.decisions()[1:3] == [("allow", None), ("deny", "upstream_connect_failed")]


def test_the_certificate_must_be_the_hosts(tmp_path: Path) -> None:
    authority = Authority(str(tmp_path / "ca.pem"))
    with (
        upstream(tls=authority.server_context("other.test")) as server,
        proxy(a_route(server.port, host="api.test", scheme="https", tls_ca=authority.ca_file)) as p,
        Client(p.port) as client,
    ):
        client.send(get())
        assert client.response().status == 502
    assert server.requests == []


def test_pipelined_requests_are_answered_in_order() -> None:
    with upstream() as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(post(b"one") + get(fields=b"") + post(b"three") + get("/nosuch"))
        assert [client.response().status for _ in range(4)] == [200, 401, 200, 404]
    assert [request.body for request in server.requests] == [b"one", b"three"]


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_http_1_0_clients_get_a_body_that_ends_with_the_connection(version: bytes) -> None:
    def handler(request: Received) -> None:
        request.connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")

    with upstream(handler) as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(get().replace(b"HTTP/1.1", b"HTTP/" + version))
        response = client.response()
        assert response.body == b"abc"
        assert (response.value("transfer-encoding") == "chunked") is (version == b"1.1")
        assert (response.value("connection") == "close") is (version == b"1.0")


@pytest.mark.parametrize(
    ("method", "answer", "fields"),
    [
        pytest.param(
            "HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", ("content-length", "5"), id="HEAD"
        ),
        pytest.param("GET", b"HTTP/1.1 204 No Content\r\nX: 1\r\n\r\n", ("x", "1"), id="204"),
        pytest.param(
            "GET",
            b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
            ("content-length", "5"),
            id="304",
        ),
    ],
)
def test_a_response_without_a_body_leaves_both_connections_usable(
    method: str, answer: bytes, fields: tuple[str, str]
) -> None:
    def handler(request: Received) -> None:
        request.connection.send(answer)

    with upstream(handler) as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        for _ in range(3):
            client.send(get(method=method))
            assert fields in client.response(to_head=True).fields
    assert (len(server.requests), len(server.connections)) == (3, 1)


def test_a_cookie_of_the_upstream_stays_there() -> None:
    def handler(request: Received) -> None:
        request.connection.respond(fields=[("Set-Cookie", "session=1"), ("X-Kept", "1")])

    with upstream(handler) as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(get())
        response = client.response()
    assert response.value("set-cookie") is None
    assert response.value("x-kept") == "1"


def test_a_redirect_is_relayed_rather_than_followed() -> None:
    def handler(request: Received) -> None:
        request.connection.respond(302, b"", [("Location", "http://elsewhere.test/")], "Found")

    with upstream(handler) as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(get())
        assert client.response().value("location") == "http://elsewhere.test/"
    assert p.names.asked == ["127.0.0.1"]


def test_an_address_that_is_denied_is_not_dialled() -> None:
    hosts = Hosts(denied_addresses=frozenset(("127.0.0.1",)))
    with upstream() as server, proxy(a_route(server.port), hosts=hosts) as p, Client(p.port) as client:
        client.send(get())
        assert client.response().status == 403
    assert server.connections == []
    assert p.recording.decisions() == [("deny", "host_denied")]


def test_an_upstream_that_resolves_to_the_proxy_itself_is_not_dialled() -> None:
    names = Names({"api.test": [["127.0.0.1"]]})
    with proxy(names=names) as p:
        port = p.port
    with (
        proxy(a_route(port, host="api.test", scheme="https"), names=names, port=port) as p,
        Client(port) as client,
    ):
        client.send(get())
        response = client.response()
    assert response.status == 403
    assert json.loads(response.body)["rule"] == "own port"


def test_dns_failures_are_502_or_504() -> None:
    with (
        proxy(a_route(9, host="api.test", scheme="https"), names=Names({"api.test": []})) as p,
        Client(p.port) as c,
    ):
        c.send(get())
        response = c.response()
        assert (response.status, response.reason) == (502, "Bad Gateway: no address was found for api.test")
    assert p.recording.decisions() == [("deny", "upstream_connect_failed")]

    async def hang(host: str, port: int) -> list[str]:
        import anyio

        await anyio.sleep_forever()
        return []

    with proxy(a_route(9, host="api.test", scheme="https"), resolver=hang, connect_timeout_s=0.05) as p:
        with Client(p.port) as client:
            client.send(get())
            assert client.response().status == 504
        assert p.recording.decisions() == [("deny", "upstream_connect_failed")]


def test_a_client_that_goes_away_ends_the_request_at_the_upstream() -> None:
    gone: list[bool] = []

    def handler(request: Received) -> None:
        request.connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        request.connection.wait_gone()
        gone.append(True)

    with upstream(handler) as server, proxy(a_route(server.port)) as p:
        with Client(p.port) as client:
            client.send(get())
            client.read_until(b"data: 1")
        wait_until(lambda: gone == [True])
        wait_until(lambda: p.running.upstream_connections == 0)


def test_the_token_is_of_no_use_on_a_credential_route() -> None:
    basic = b"Proxy-Authorization: Basic " + b64encode(f"nono:{TOKEN}".encode()) + b"\r\n"
    with upstream(answer_ok) as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(get(fields=basic))
        assert client.response().status == 401
    assert server.connections == []
