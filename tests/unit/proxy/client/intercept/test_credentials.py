"""Which credential a request inside gets, by its host, path and phantom."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.proxy.interception import connect, intercepting
from support.proxy.localhost import BEARER, OWN_KEY, get, inside_localhost
from support.proxy.thread import PHANTOM, REAL_KEY, Client, FakeCredential, Hosts, a_route
from support.servers.http1 import Authority, upstream

BETA = "sk-phantom-of-beta"


def test_over_tls_on_both_sides_the_upstreams_certificate_must_be_its_own(tmp_path: Path) -> None:
    authority = Authority(str(tmp_path / "ca.pem"))
    with upstream(tls=authority.server_context("api.test")) as server:
        routes = (
            a_route(server.port, host="api.test", scheme="https", tls_ca=authority.ca_file),
            a_route(
                server.port,
                service="beta",
                host="other.test",
                scheme="https",
                tls_ca=authority.ca_file,
                phantom=BETA,
            ),
        )
        with intercepting(*routes) as p:
            with p.inside("api.test", server.port) as client:
                client.send(get(server.port, host="api.test"))
                assert client.response().body == b"ok"
            with p.inside("other.test", server.port) as client:
                client.send(
                    get(server.port, host="other.test", fields=b"X-Api-Key: " + BETA.encode() + b"\r\n")
                )
                assert client.response().status == 502
    assert len(server.requests) == 1


KEYS = [
    pytest.param(b"", "missing", id="no key"),
    pytest.param(OWN_KEY, "not the placeholder", id="a key of the child's own"),
    pytest.param(b"X-Api-Key: sk-own\r\n", "not the placeholder", id="in another slot"),
    pytest.param(b"X-Other: " + PHANTOM.encode() + b"\r\n", "no place for a key", id="in no slot"),
]


@pytest.mark.parametrize(("fields", "words"), KEYS)
def test_without_the_phantom_a_host_that_is_a_route_only_answers_401(fields: bytes, words: str) -> None:
    with inside_localhost(hosts=Hosts(only_routes=True)) as (server, p, client):
        client.send(get(server.port, fields=fields))
        response = client.response()
        assert response.status == 401
        assert words in json.loads(response.body)["error"]
        assert server.connections == []
        client.send(get(server.port))
        assert client.response().status == 200
    assert p.recording.decisions()[1:] == [("deny", "authentication_failed"), ("allow", None)]


@pytest.mark.parametrize(("fields", "words"), KEYS)
def test_on_an_allowed_host_only_a_request_without_a_key_passes(fields: bytes, words: str) -> None:
    with inside_localhost() as (server, p, client):
        client.send(get(server.port, fields=fields))
        assert client.response().status == (401 if fields else 200)
    assert len(server.requests) == (not fields)
    if not fields:
        assert server.requests[0].values(b"authorization") == []
        assert p.recording.network[1]["managed_credential_active"] is False
        assert "route_id" not in p.recording.network[1]


def test_the_phantom_of_another_service_freezes_that_service() -> None:
    with upstream() as server:
        alpha = a_route(server.port, host="localhost")
        beta = a_route(server.port, service="beta", host="127.0.0.1", phantom=BETA)
        with intercepting(alpha, beta) as p, p.inside("localhost", server.port) as client:
            client.send(get(server.port, fields=b"X-Api-Key: " + BETA.encode() + b"\r\n"))
            response = client.response()
            assert response.status == 403
            assert "placeholder of 'beta' was sent to 'alpha'" in json.loads(response.body)["error"]
            client.send(get(server.port))
            assert client.response().status == 200
            with Client(p.port) as outside:
                outside.send(b"GET /beta/x HTTP/1.1\r\nHost: x\r\nX-Api-Key: " + BETA.encode() + b"\r\n\r\n")
                response = outside.response()
                assert (response.status, json.loads(response.body)["rule"]) == (403, "tripwire")
    assert len(server.requests) == 1


def test_a_credential_is_frozen_even_if_that_cannot_be_recorded() -> None:
    with upstream() as server:
        alpha = a_route(server.port, host="localhost")
        beta = a_route(server.port, service="beta", host="127.0.0.1", phantom=BETA)
        with intercepting(alpha, beta) as p:
            with p.inside("localhost", server.port) as client:
                p.recording.failing = True
                client.send(get(server.port, fields=b"X-Api-Key: " + BETA.encode() + b"\r\n"))
                assert client.response().status == 503
            p.recording.failing = False
            with p.inside("localhost", server.port) as client:
                client.send(get(server.port))
                assert client.response().status == 200
            with Client(p.port) as outside:
                outside.send(b"GET /beta/x HTTP/1.1\r\nHost: x\r\nX-Api-Key: " + BETA.encode() + b"\r\n\r\n")
                response = outside.response()
                assert (response.status, json.loads(response.body)["rule"]) == (403, "tripwire")
    assert len(server.requests) == 1


def test_two_services_at_one_host_are_told_apart_by_their_phantoms() -> None:
    with upstream() as server:
        alpha = a_route(server.port, host="localhost")
        beta = a_route(
            server.port,
            service="beta",
            host="localhost",
            phantom=BETA,
            credential=FakeCredential(content=b"Bearer real-beta"),
        )
        with intercepting(alpha, beta) as p, p.inside("localhost", server.port) as client:
            for phantom in (PHANTOM, BETA):
                client.send(get(server.port, fields=b"X-Api-Key: " + phantom.encode() + b"\r\n"))
                assert client.response().status == 200
            client.send(get(server.port, fields=BEARER + b"X-Api-Key: " + BETA.encode() + b"\r\n"))
            assert client.response().status == 403
            client.send(get(server.port, fields=BEARER + b"X-Api-Key: sk-own\r\n"))
            assert client.response().status == 403
            client.send(get(server.port, fields=BEARER))
            assert client.response().status == 200
    keys = [request.values(b"authorization") for request in server.requests]
    real = b"Bearer " + REAL_KEY.encode()
    assert keys == [[real], [b"Bearer real-beta"], [real]]
    assert [event.get("route_id") for event in p.recording.network[1:3]] == ["alpha", "beta"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        pytest.param("/v1", 200, id="the base path"),
        pytest.param("/v1/models?x=/v2", 200, id="below it"),
        pytest.param("/v1?x", 200, id="with a query"),
        pytest.param("/v10", 403, id="a longer name"),
        pytest.param("/", 403, id="above it"),
        pytest.param("/v2/models?x=/v1", 403, id="beside it"),
        pytest.param("/V1/models", 403, id="another case"),
        pytest.param("/v1/../v2", 400, id="out of it"),
        pytest.param("/%76%31/models", 200, id="escaped"),
    ],
)
def test_the_credential_is_for_the_base_path_and_what_is_below(path: str, status: int) -> None:
    with inside_localhost(route={"base_path": "/v1"}) as (server, _, client):
        client.send(get(server.port, path))
        assert client.response().status == status
    assert len(server.requests) == (status == 200)
    if status == 200:
        assert server.requests[0].target.startswith(b"/v1")


@pytest.mark.parametrize("fields", [b"", OWN_KEY, BEARER], ids=["no key", "own key", "some phantom"])
def test_a_service_without_its_credential_answers_503(fields: bytes) -> None:
    with inside_localhost(route={"loaded": False}, hosts=Hosts(only_routes=True)) as (server, p, client):
        client.send(get(server.port, fields=fields))
        assert client.response().status == 503
    assert server.connections == []
    assert p.recording.decisions()[1] == ("deny", "managed_credential_unavailable")


def test_a_wildcard_upstream_covers_only_what_is_below_it() -> None:
    with upstream() as server:
        route = a_route(server.port, host="*.api.test", scheme="https")
        with intercepting(route) as p:
            with p.inside("a.b.api.test", server.port) as client:
                client.send(get(server.port, fields=OWN_KEY, host="a.b.api.test"))
                assert client.response().status == 401
            for host in ("api.test", "xapi.test", "a.api.test.evil.test"):
                with Client(p.port) as outside:
                    outside.send(connect(f"{host}:{server.port}") + b"GET / HTTP/1.1\r\n\r\n")
                    assert outside.head()[0] == 200  # a tunnel, in which plain HTTP is refused
                    outside.rest()
            with Client(p.port) as outside:
                outside.send(b"GET /alpha/v1 HTTP/1.1\r\nHost: x\r\n" + BEARER + b"\r\n")
                assert outside.response().status == 404
    modes = [event["mode"] for event in p.recording.network if event["method"] == "CONNECT"]
    assert modes == ["connect_intercept"] + ["connect"] * 6
    assert server.requests == []


def test_below_a_wildcard_the_upstream_is_the_host_that_was_asked_for(tmp_path: Path) -> None:
    authority = Authority(str(tmp_path / "ca.pem"))
    with (
        upstream(tls=authority.server_context("*.api.test")) as server,
        intercepting(a_route(server.port, host="*.api.test", scheme="https", tls_ca=authority.ca_file)) as p,
    ):
        for host in ("one.api.test", "two.api.test"):
            with p.inside(host, server.port) as client:
                client.send(get(server.port, host=host))
                assert client.response().status == 200
    assert [request.value(b"host") for request in server.requests] == [
        b"one.api.test:%d" % server.port,
        b"two.api.test:%d" % server.port,
    ]
    assert p.names.asked == ["one.api.test", "two.api.test"]
