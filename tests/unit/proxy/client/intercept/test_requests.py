"""Every request inside an intercepted CONNECT is judged anew."""

from __future__ import annotations

import json
from base64 import b64encode

import pytest

from nono.policy.endpoints.policy import EndpointPolicy, EndpointRule
from support.proxy.localhost import BEARER, OWN_KEY, get, inside_localhost, intercepted_localhost
from support.proxy.thread import PHANTOM, REAL_KEY, TOKEN, Hosts, Names


def test_each_request_of_a_connection_is_judged_by_itself() -> None:
    with inside_localhost() as (server, p, client):
        port = server.port
        client.send(get(port, "/one?x=1"))
        assert client.response().status == 200
        client.send(get(port, "/two", OWN_KEY))
        assert client.response().status == 401
        client.send(get(port, "/three"))
        assert client.response().status == 200
        client.send(get(port, "/%2e%2e/four"))
        assert client.response().status == 400
        client.send(get(port, "/five") + get(port, "/six"))
        assert [client.response().status for _ in range(2)] == [200, 200]
    assert [request.target for request in server.requests] == [b"/one?x=1", b"/three", b"/five", b"/six"]
    for request in server.requests:
        assert request.values(b"authorization") == [b"Bearer " + REAL_KEY.encode()]
        assert request.values(b"host") == [b"localhost:%d" % port]
        assert PHANTOM.encode() not in request.head
    assert p.recording.decisions() == [
        ("allow", None),  # the CONNECT
        ("allow", None),
        ("deny", "authentication_failed"),
        ("allow", None),
        ("deny", None),
        ("allow", None),
        ("allow", None),
    ]
    outer, first = p.recording.network[:2]
    assert (outer["mode"], outer["method"], outer["target"]) == ("connect_intercept", "CONNECT", "localhost")
    assert (first["mode"], first["method"], first["path"]) == (
        "connect_intercept",
        "GET",
        "/one?x=[REDACTED]",
    )
    assert (first["route_id"], first["managed_credential_active"]) == ("alpha", True)
    assert REAL_KEY not in json.dumps(p.recording.events)
    assert PHANTOM not in json.dumps(p.recording.events)


@pytest.mark.parametrize("spelling", ["LOCALHOST", "localhost.", "LocalHost."])
def test_another_spelling_of_the_host_is_intercepted_too(spelling: str) -> None:
    with intercepted_localhost() as (server, p):
        with p.inside(spelling, server.port, server_name="localhost") as client:
            client.send(get(server.port, host=spelling))
            assert client.response().status == 200
        with p.inside("localhost", server.port) as client:
            client.send(get(server.port, host=spelling + "x"))
            assert client.response().status in (400, 421)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("host", "status"),
    [
        pytest.param("Host: localhost:{port}", 200, id="the host of the CONNECT"),
        pytest.param("Host: LOCALHOST.:{port}", 200, id="spelled otherwise"),
        pytest.param("Host: localhost", 421, id="without the port"),
        pytest.param("Host: localhost:1", 421, id="another port"),
        pytest.param("Host: other.test:{port}", 421, id="another host"),
        pytest.param("Host: api.localhost:{port}", 421, id="below the host"),
        pytest.param("Host: 127.0.0.1:{port}", 421, id="its address"),
        pytest.param("Host: ", 400, id="empty"),
        pytest.param("Host: localhost:{port}\r\nHost: localhost:{port}", 400, id="twice"),
        pytest.param("Host: localhost:{port}, localhost:{port}", 400, id="a list"),
        pytest.param("Host: user@localhost:{port}", 400, id="user info"),
        pytest.param("X: y", 400, id="none"),
    ],
)
def test_the_host_field_must_name_the_host_of_the_connect(host: str, status: int) -> None:
    with inside_localhost() as (server, p, client):
        client.send(f"GET /v1 HTTP/1.1\r\n{host.format(port=server.port)}\r\n".encode() + BEARER + b"\r\n")
        assert client.response().status == status
    assert len(server.requests) == (status == 200)
    assert p.recording.decisions()[1][0] == ("allow" if status == 200 else "deny")
    if status == 421:
        assert p.recording.decisions()[1][1] == "host_denied"


def test_a_host_field_is_checked_again_on_the_second_request() -> None:
    with inside_localhost() as (server, _, client):
        client.send(get(server.port))
        assert client.response().status == 200
        client.send(get(server.port, host="other.test"))
        assert client.response().status == 421
        client.send(get(server.port))
        assert client.response().status == 200
    assert len(server.requests) == 2


def test_http_1_0_without_a_host_field_is_misdirected() -> None:
    with inside_localhost() as (server, _, client):
        client.send(b"GET /v1 HTTP/1.0\r\n" + BEARER + b"\r\n")
        assert client.response().status == 421
    assert server.connections == []


@pytest.mark.parametrize(
    ("line", "status"),
    [
        pytest.param("GET http://localhost:{port}/v1", 400, id="absolute form"),
        pytest.param("GET https://localhost:{port}/v1", 400, id="absolute form, https"),
        pytest.param("GET http://127.0.0.1:{own}/alpha/v1", 400, id="the proxy itself"),
        pytest.param("OPTIONS *", 400, id="asterisk form"),
        pytest.param("CONNECT localhost:{port}", 501, id="a CONNECT inside"),
        pytest.param("CONNECT other.test:443", 501, id="a CONNECT to another host inside"),
        pytest.param("TRACE /v1", 405, id="TRACE"),
    ],
)
def test_only_origin_form_is_served_inside(line: str, status: int) -> None:
    with inside_localhost() as (server, p, client):
        line = line.format(port=server.port, own=p.port)
        client.send(f"{line} HTTP/1.1\r\nHost: localhost:{server.port}\r\n".encode() + BEARER + b"\r\n")
        assert client.response().status == status
        assert server.connections == []
    assert len(p.recording.decisions()) == 2
    assert p.recording.decisions()[1][0] == "deny"


def test_a_reverse_path_inside_is_a_path_of_the_upstream() -> None:
    with inside_localhost() as (server, _, client):
        client.send(get(server.port, "/alpha/v1"))
        assert client.response().status == 200
    assert server.requests[0].target == b"/alpha/v1"


def test_an_address_that_is_denied_is_not_dialled_from_inside() -> None:
    hosts = Hosts(denied_addresses=frozenset(("127.0.0.9",)))
    names = Names({"localhost": [["127.0.0.9"], ["127.0.0.1"]]})
    with inside_localhost(hosts=hosts, names=names) as (server, p, client):
        client.send(get(server.port))
        assert client.response().status == 403
        client.send(get(server.port))
        assert client.response().status == 200
    assert p.recording.decisions()[1:] == [("deny", "host_denied"), ("allow", None)]


def test_the_session_token_and_the_proxy_fields_do_not_leave() -> None:
    basic = b64encode(f"nono:{TOKEN}".encode())
    fields = BEARER + b"Proxy-Authorization: Basic " + basic + b"\r\nProxy-Connection: x\r\nTE: trailers\r\n"
    with inside_localhost() as (server, _, client):
        client.send(get(server.port, fields=fields))
        assert client.response().status == 200
        client.send(get(server.port, fields=b"X: " + TOKEN.encode() + b"\r\n"))
        assert client.response().status == 403
    assert [name for name, _ in server.requests[0].fields] == [b"host", b"authorization"]
    assert len(server.requests) == 1


def test_a_denied_endpoint_is_refused_inside_with_the_rule_that_did() -> None:
    rules = EndpointPolicy("deny", allow=(EndpointRule("GET", "/v1/**"),), origin="the profile")
    with inside_localhost(route={"endpoints": rules}) as (server, p, client):
        client.send(get(server.port, "/v1/models"))
        assert client.response().status == 200
        client.send(get(server.port, "/v2/models"))
        response = client.response()
        assert (response.status, json.loads(response.body)["rule"]) == (403, "endpoint_policy.default")
        client.send(get(server.port, "/v2/models", b""))
        assert client.response().status == 403
    assert [request.target for request in server.requests] == [b"/v1/models"]
    assert p.recording.decisions()[1:] == [("allow", None)] + [("deny", "endpoint_policy")] * 2
