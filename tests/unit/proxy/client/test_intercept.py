"""CONNECT to a credential's upstream: TLS ends at the proxy, and every request inside is judged anew."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from base64 import b64encode
from contextlib import ExitStack
from pathlib import Path

import pytest

from nono.policy.endpoints.policy import EndpointPolicy, EndpointRule
from support.proxy.interception import connect, intercepting
from support.proxy.localhost import BEARER, OWN_KEY, get, inside_localhost, intercepted_localhost
from support.proxy.thread import (
    PHANTOM,
    REAL_KEY,
    TIMEOUT_S,
    TOKEN,
    Client,
    FakeCredential,
    Hosts,
    Names,
    Recording,
    a_route,
    narrow_listener,
    proxy,
    wait_until,
)
from support.servers.http1 import Authority, Received, upstream

BETA = "sk-phantom-of-beta"


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


@pytest.mark.parametrize("curve", ["X25519", "prime256v1"])
def test_a_client_is_served_whichever_group_it_has_a_key_share_for(curve: str) -> None:
    with intercepted_localhost() as (server, p):
        p.trust.set_ecdh_curve(curve)
        with p.inside("localhost", server.port) as client:
            client.send(get(server.port))
            assert client.response().body == b"ok"


@pytest.mark.parametrize("token", [b"", b"Proxy-Authorization: Bearer wrong\r\n"], ids=["none", "wrong"])
def test_a_connect_without_the_token_can_be_retried_with_it(token: bytes) -> None:
    with (
        intercepted_localhost() as (server, p),
        Client(p.port) as client,
    ):
        client.send(f"CONNECT localhost:{server.port} HTTP/1.1\r\nHost: x\r\n".encode() + token + b"\r\n")
        response = client.response()
        assert (response.status, response.value("proxy-authenticate")) == (407, 'Basic realm="nono"')
        client.send(connect(f"localhost:{server.port}"))
        assert client.head()[0] == 200
    assert p.recording.decisions()[0] == ("deny", "authentication_failed")


def test_without_an_authority_the_host_is_never_tunnelled() -> None:
    with upstream() as server, proxy(a_route(server.port, host="localhost")) as p, Client(p.port) as client:
        client.send(connect(f"localhost:{server.port}"))
        assert client.response().status == 403
    assert server.connections == []
    assert p.recording.decisions() == [("deny", "connect_bypasses_l7")]


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


KEYS = [
    pytest.param(b"", "missing", id="no key"),
    pytest.param(OWN_KEY, "not the phantom", id="a key of the child's own"),
    pytest.param(b"X-Api-Key: sk-own\r\n", "not the phantom", id="in another slot"),
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
            assert "phantom of 'beta' was sent to 'alpha'" in json.loads(response.body)["error"]
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


def handshake_outside(p_port: int, authority: str) -> Client:
    client = Client(p_port)
    client.send(connect(authority))
    assert client.head()[0] == 200
    return client


def test_a_client_hello_together_with_the_connect_is_not_lost() -> None:
    with intercepted_localhost() as (server, p):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = p.trust.wrap_bio(incoming, outgoing, server_hostname="localhost")
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        with Client(p.port) as client:
            with p.standing_still():
                client.send(connect(f"localhost:{server.port}") + outgoing.read())
            assert client.head()[0] == 200
            incoming.write(client._buffer)
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    incoming.write(client.transport.recv(65536))
            tls.write(get(server.port))
            client.send(outgoing.read())
            received = b""
            while b"ok" not in received:
                try:
                    received += tls.read()
                except ssl.SSLWantReadError:
                    incoming.write(client.transport.recv(65536))
    assert server.requests[0].values(b"authorization") == [b"Bearer " + REAL_KEY.encode()]


def test_a_request_together_with_the_end_of_the_handshake_is_answered() -> None:
    with intercepted_localhost() as (server, p):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = p.trust.wrap_bio(incoming, outgoing, server_hostname="localhost")
        with handshake_outside(p.port, f"localhost:{server.port}") as client:
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    client.send(outgoing.read())
                    incoming.write(client.transport.recv(65536))
            tls.write(get(server.port))
            client.send(outgoing.read())  # Finished and the request in one piece
            received = b""
            while b"ok" not in received:
                try:
                    received += tls.read()
                except ssl.SSLWantReadError:
                    incoming.write(client.transport.recv(65536))
    assert len(server.requests) == 1


def test_a_client_that_leaves_after_the_handshake_leaves_nothing_behind() -> None:
    with intercepted_localhost() as (server, p):
        for number in range(20):
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = p.trust.wrap_bio(incoming, outgoing, server_hostname="localhost")
            with handshake_outside(p.port, f"localhost:{server.port}") as client:
                while True:
                    try:
                        tls.do_handshake()
                        break
                    except ssl.SSLWantReadError:
                        client.send(outgoing.read())
                        incoming.write(client.transport.recv(65536))
                with p.standing_still():
                    if number % 2:
                        tls.write(get(server.port))
                    client.send(outgoing.read())
                    if number % 3 == 0:
                        with pytest.raises(ssl.SSLError):
                            tls.unwrap()
                        client.send(outgoing.read())
                    client.transport.close()
        wait_until(lambda: p.running.client_connections == 0)
        with p.inside("localhost", server.port) as inside:
            inside.send(get(server.port))
            assert inside.response().status == 200


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(b"GET /v1 HTTP/1.1\r\nHost: localhost\r\n\r\n", id="plain HTTP"),
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n", id="SSH"),
        pytest.param(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", id="a broken ClientHello"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2 without TLS"),
    ],
)
def test_what_is_not_tls_is_recorded_and_never_becomes_a_tunnel(first: bytes) -> None:
    with intercepted_localhost() as (server, p):
        with handshake_outside(p.port, f"localhost:{server.port}") as client:
            client.send(first)
            client.rest()  # an alert, perhaps, and the end
        wait_until(lambda: p.running.client_connections == 0)
        assert server.connections == []
        assert p.recording.decisions() == [("allow", None), ("deny", "intercept_handshake_failed")]


def test_a_client_that_does_not_trust_the_authority_is_recorded() -> None:
    with intercepted_localhost() as (server, p):
        with (
            handshake_outside(p.port, f"localhost:{server.port}") as client,
            pytest.raises(ssl.SSLCertVerificationError),
        ):
            client.start_tls("localhost", ssl.create_default_context())
        wait_until(lambda: p.running.client_connections == 0)
        assert p.recording.decisions() == [("allow", None), ("deny", "intercept_handshake_failed")]
        assert server.connections == []


@pytest.mark.parametrize("name", ["other.test", "api.localhost"])
def test_a_client_that_asks_for_another_name_gets_no_certificate(name: str) -> None:
    with intercepted_localhost() as (server, p):
        with pytest.raises(ssl.SSLError):
            p.inside("localhost", server.port, server_name=name)
        wait_until(lambda: p.running.client_connections == 0)
        assert p.recording.decisions()[1] == ("deny", "intercept_handshake_failed")
        with p.inside("localhost", server.port) as client:
            client.send(get(server.port))
            assert client.response().status == 200


def test_a_client_that_names_no_server_gets_no_certificate() -> None:
    with intercepted_localhost() as (server, p):
        silent = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        silent.check_hostname = False
        silent.verify_mode = ssl.CERT_NONE
        with handshake_outside(p.port, f"localhost:{server.port}") as client, pytest.raises(ssl.SSLError):
            silent.wrap_socket(client.transport)
        wait_until(lambda: p.running.client_connections == 0)
        assert p.recording.decisions()[1] == ("deny", "intercept_handshake_failed")


@pytest.mark.parametrize("half", [0, 1, 100], ids=["before a byte", "after one", "in the middle"])
def test_a_client_that_closes_during_the_handshake_leaves_nothing_behind(half: int) -> None:
    with intercepted_localhost() as (server, p):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        with pytest.raises(ssl.SSLWantReadError):
            p.trust.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
        with handshake_outside(p.port, f"localhost:{server.port}") as client:
            client.send(outgoing.read()[:half])
        wait_until(lambda: p.running.client_connections == 0)
        assert p.recording.decisions() == [("allow", None), ("deny", "intercept_handshake_failed")]
        assert server.connections == []


def test_a_handshake_that_stands_still_is_ended() -> None:
    with (
        intercepted_localhost(head_timeout_s=0.1) as (server, p),
        handshake_outside(p.port, f"localhost:{server.port}") as client,
    ):
        assert client.is_closed()
        wait_until(lambda: p.running.client_connections == 0)
        assert p.recording.decisions()[1] == ("deny", "intercept_handshake_failed")


def test_the_proxy_ends_during_a_handshake() -> None:
    with upstream() as server:
        with intercepting(a_route(server.port, host="localhost")) as p:
            client = handshake_outside(p.port, f"localhost:{server.port}")
        with client:
            assert client.is_closed()


def test_the_proxy_ends_beside_idle_or_busy_intercepted_clients() -> None:
    def handler(request: Received) -> None:
        request.connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")
        request.connection.wait_gone()

    with upstream(handler) as server:
        with intercepting(a_route(server.port, host="localhost"), close_grace_s=0.05) as p:
            resting = p.inside("localhost", server.port)
            busy = p.inside("localhost", server.port)
            busy.send(get(server.port))
            busy.read_until(b"ab")
        with resting, busy:
            assert resting.rest() == b""
            with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
                busy.read_exactly(3)


def test_an_event_that_cannot_be_written_means_no_handshake() -> None:
    recording = Recording(failing=True)
    with (
        intercepted_localhost(recording=recording) as (server, p),
    ):
        with Client(p.port) as client:
            client.send(connect(f"localhost:{server.port}"))
            assert client.response().status == 503
        recording.failing = False
        with p.inside("localhost", server.port) as inside:
            recording.failing = True
            inside.send(get(server.port))
            assert inside.response().status == 503
    assert server.connections == []


def test_an_address_that_is_denied_is_not_dialled_from_inside() -> None:
    hosts = Hosts(denied_addresses=frozenset(("127.0.0.9",)))
    names = Names({"localhost": [["127.0.0.9"], ["127.0.0.1"]]})
    with inside_localhost(hosts=hosts, names=names) as (server, p, client):
        client.send(get(server.port))
        assert client.response().status == 403
        client.send(get(server.port))
        assert client.response().status == 200
    assert p.recording.decisions()[1:] == [("deny", "host_denied"), ("allow", None)]


def test_a_denied_host_is_refused_before_the_handshake() -> None:
    hosts = Hosts(denied=frozenset(("localhost",)))
    with (
        intercepted_localhost(hosts=hosts) as (server, p),
        Client(p.port) as client,
    ):
        client.send(connect(f"localhost:{server.port}"))
        assert client.response().status == 403
    assert p.recording.decisions() == [("deny", "host_denied")]


def test_counts_return_to_zero_after_large_bodies() -> None:
    def handler(request: Received) -> None:
        request.connection.respond(body=request.read_body())

    body = bytes(range(256)) * 8192
    with intercepted_localhost(handler) as (server, p):
        with p.inside("localhost", server.port) as client:
            head = get(server.port, fields=BEARER + b"Content-Length: %d\r\n" % len(body))
            client.send(head.replace(b"GET", b"POST") + body)  # all of it is read before anything comes back
            assert client.response().body == body
            assert p.running.client_connections == 1
        wait_until(lambda: p.running.client_connections == 0)


def test_a_client_inside_that_does_not_read_stops_the_upstream() -> None:
    sent = [0]

    def handler(request: Received) -> None:
        request.connection.transport.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        request.connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (256 << 20))
        request.connection.transport.settimeout(1.0)
        try:
            while True:
                request.connection.transport.sendall(bytes(1 << 16))
                sent[0] += 1 << 16
        except OSError:
            stopped.set()

    stopped = threading.Event()
    with inside_localhost(handler) as (server, _, client):
        client.send(get(server.port))
        client.head()
        assert stopped.wait(TIMEOUT_S)
        assert sent[0] < 64 << 20


def test_a_refused_request_closes_where_the_connection_cannot_go_on() -> None:
    with inside_localhost() as (server, _, client):
        client.send(
            b"GET /v1 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: x\r\nContent-Length: 1\r\n\r\n"
        )
        response = client.response()
        assert (response.status, response.value("connection")) == (400, "close")
        assert client.rest() == b""
    assert server.connections == []


def test_many_wrong_keys_end_the_connection() -> None:
    with inside_localhost() as (server, _, client):
        for _ in range(5):
            client.send(get(server.port, fields=OWN_KEY))
            assert client.response().value("connection") is None
        client.send(get(server.port, fields=OWN_KEY))
        assert client.response().value("connection") == "close"
        assert client.rest() == b""
    assert server.connections == []


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


@pytest.mark.parametrize("field", [b"Connection: close\r\n", b""], ids=["that is closed", "that is kept"])
def test_a_slow_reader_gets_all_of_a_response(field: bytes) -> None:
    body = b"x" * 400_000  # more than the kernel holds here, and less than stops the upstream

    def handler(request: Received) -> None:
        request.connection.respond(body=body)
        answered.set()

    answered = threading.Event()
    with inside_localhost(handler, listener=narrow_listener(), receive_buffer=4096) as (server, _, client):
        client.send(get(server.port, fields=BEARER + field))
        assert answered.wait(TIMEOUT_S)
        threading.Event().wait(1.5)  # longer than a client that has it all is waited for
        assert client.response().body == body


def test_a_client_that_still_has_a_response_to_read_is_not_idle() -> None:
    body = b"x" * 400_000

    def handler(request: Received) -> None:
        request.connection.respond(body=body if request.target == b"/large" else b"ok")
        answered.set()

    answered = threading.Event()
    slow = inside_localhost(handler, listener=narrow_listener(), idle_timeout_s=0.5, receive_buffer=4096)
    with slow as (server, p, client):
        client.send(get(server.port, "/large"))
        assert answered.wait(TIMEOUT_S)
        threading.Event().wait(1.2)
        assert client.response().body == body
        client.send(get(server.port))
        assert client.response().body == b"ok"
        wait_until(lambda: p.running.client_connections == 0)  # now it is


def test_a_client_that_does_not_answer_the_goodbye_holds_nobody_up() -> None:
    for field in (b"Connection: close\r\n", b""):
        with upstream() as server, ExitStack() as clients:
            with intercepting(a_route(server.port, host="localhost"), close_grace_s=TIMEOUT_S) as p:
                client = clients.enter_context(p.inside("localhost", server.port))
                client.send(get(server.port, fields=BEARER + field))
                assert client.response().status == 200
                began = time.monotonic()
            assert time.monotonic() - began < TIMEOUT_S / 2
