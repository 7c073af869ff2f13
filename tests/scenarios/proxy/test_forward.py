"""Absolute-form http on real sockets: the same checks as CONNECT, the same engine as the service paths."""

from __future__ import annotations

from base64 import b64encode

import pytest

from support.proxy.thread import PHANTOM, REAL_KEY, TOKEN, Client, Hosts, Recording, a_route, proxy
from support.servers.http1 import upstream

TOKEN_FIELD = b"Proxy-Authorization: Basic " + b64encode(f"nono:{TOKEN}".encode()) + b"\r\n"


def get(url: str, fields: bytes = TOKEN_FIELD, *, host: str | None = None) -> bytes:
    host = host or url.split("/")[2]
    return f"GET {url} HTTP/1.1\r\nHost: {host}\r\n".encode() + fields + b"\r\n"


def test_a_request_goes_out_in_origin_form_without_the_token() -> None:
    with upstream() as server, proxy() as p, Client(p.port) as client:
        for _ in range(2):
            client.send(get(f"http://Site.test:{server.port}/a?x=1", TOKEN_FIELD + b"Authorization: own\r\n"))
            assert client.response().status == 200
    request = server.requests[0]
    assert request.request_line == b"GET /a?x=1 HTTP/1.1"
    assert request.fields == [(b"host", b"site.test:%d" % server.port), (b"authorization", b"own")]
    assert len(server.connections) == 1
    event = p.recording.network[0]
    assert (event["mode"], event["target"], event["path"]) == ("reverse", "site.test", "/a?x=[REDACTED]")
    assert event["managed_credential_active"] is False


@pytest.mark.parametrize(
    ("host", "fields", "status", "category"),
    [
        pytest.param("site.test", b"", 407, "authentication_required", id="no token"),
        pytest.param("denied.test", TOKEN_FIELD, 403, "host_denied", id="denied host"),
        pytest.param("internal.test", TOKEN_FIELD, 403, "host_denied", id="denied address"),
        pytest.param(
            "site.test", TOKEN_FIELD + b"Authorization: Bearer " + PHANTOM.encode() + b"\r\n", 403,
            "authentication_failed", id="a phantom",
        ),
        pytest.param(
            "site.test", TOKEN_FIELD + b"X-Other: " + TOKEN.encode() + b"\r\n", 403,
            "authentication_failed", id="the token elsewhere",
        ),
    ],
)  # fmt: skip
def test_a_refused_request_reaches_nobody(host: str, fields: bytes, status: int, category: str) -> None:
    from support.proxy.thread import Names

    hosts = Hosts(denied=frozenset(("denied.test",)), denied_addresses=frozenset(("127.0.0.9",)))
    names = Names({"internal.test": [["127.0.0.9"]]})
    with upstream() as server, proxy(a_route(9), hosts=hosts, names=names) as p, Client(p.port) as client:
        client.send(get(f"http://{host}:{server.port}/", fields))
        assert client.response().status == status
        assert p.recording.decisions() == [("deny", category)]
        assert server.connections == []
        client.send(get(f"http://site.test:{server.port}/"))
        assert client.response().status == 200


def test_a_name_that_is_in_no_dns_is_looked_up_nowhere() -> None:
    """It may be that of a profile, whose server is reached by a tunnel alone (ADR 125)."""
    with upstream() as server, proxy() as p, Client(p.port) as client:
        client.send(get(f"http://tracker.mcp.nono.alt:{server.port}/"))
        assert client.response().status == 502
        assert p.names.asked == []
        client.send(get(f"http://tracker.mcp.nono.test:{server.port}/"))
        assert client.response().status == 200
        assert p.names.asked == ["tracker.mcp.nono.test"]


def test_a_host_field_for_another_host_is_refused() -> None:
    with upstream() as server, proxy() as p, Client(p.port) as client:
        client.send(get(f"http://site.test:{server.port}/", host="site.test"))
        assert client.response().status == 400
        client.send(get(f"http://site.test:{server.port}/", host=f"SITE.test:{server.port}"))
        assert client.response().status == 200
    assert len(server.requests) == 1


def test_no_credential_is_injected_even_at_the_upstream_of_a_route() -> None:
    with upstream() as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(get(f"http://127.0.0.1:{server.port}/"))
        assert client.response().status == 200
    assert REAL_KEY.encode() not in server.requests[0].head


def test_refusing_a_phantom_at_its_upstream_names_the_base_url_variable() -> None:
    with upstream() as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        key = f"Authorization: Bearer {PHANTOM}\r\n".encode()
        client.send(get(f"http://127.0.0.1:{server.port}/", fields=TOKEN_FIELD + key))
        response = client.response()
        assert response.status == 401
        assert b"ALPHA_BASE_URL" in response.body
        assert p.recording.decisions() == [("deny", "authentication_failed")]
    assert server.connections == []


def test_the_upstream_of_a_service_gets_no_key_of_the_commands_own() -> None:
    with upstream() as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        url = f"http://127.0.0.1:{server.port}/"
        client.send(get(url, fields=TOKEN_FIELD + b"X-Api-Key: sk-of-its-own\r\n"))
        assert client.response().status == 401
        assert p.recording.decisions() == [("deny", "authentication_failed")]
        assert server.connections == []
        client.send(get(url))
        assert client.response().status == 200


def test_the_own_address_is_the_service_path() -> None:
    key = b"X-Api-Key: " + PHANTOM.encode() + b"\r\n"
    with upstream() as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(get(f"http://127.0.0.1:{p.port}/alpha/v1", TOKEN_FIELD + key))
        assert client.response().status == 200
        client.send(get(f"http://localhost:{p.port}/alpha/v1"))
        assert client.response().status == 401
    assert [request.target for request in server.requests] == [b"/v1"]


def test_absolute_https_is_answered_with_the_fixed_text() -> None:
    with proxy() as p, Client(p.port) as client:
        client.send(get("https://site.test/"))
        response = client.response()
    assert (response.status, response.value("content-type")) == (400, "text/plain")
    assert response.body == b"https forward-proxying is not supported; use CONNECT for https"
    assert len(response.body) == 62


def test_without_a_record_nothing_is_forwarded() -> None:
    recording = Recording(failing=True)
    with upstream() as server, proxy(recording=recording) as p, Client(p.port) as client:
        client.send(get(f"http://site.test:{server.port}/"))
        assert client.response().status == 503
    assert server.connections == []
