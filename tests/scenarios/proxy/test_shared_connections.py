"""A connection to an upstream belongs to one identity, and a body that was left unread gains nothing on it.

The upstream is Python's http.server, whose handlers may answer without reading: what is left of a body is the
next request on the connection.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from nono.approval.request import Answer, Request
from nono.policy.endpoints.policy import EndpointPolicy, EndpointRule
from nono.proxy.verdict.routes import Route
from support.clients.http2 import Http2Client
from support.proxy.http2_stage import HOST, a_route_to, authority, routes_stage, server_context
from support.proxy.thread import FakeCredential, ProxyUnderTest, a_route, proxy
from support.proxy.transports import API, WITH_CREDENTIAL, FiveTransports, Transport
from support.servers.http1 import Authority
from support.servers.http2 import h2_upstream
from support.servers.unread import Notes, notes_server

PHANTOMS = {name: f"sk-phantom-of-{name}" for name in ("alpha", "beta")}
REAL = {name: f"Bearer sk-canary-{name}" for name in PHANTOMS}
NO_DELETE = EndpointPolicy("allow", deny=(EndpointRule("DELETE", "/**"),))
LEFT_BEHIND = b"DELETE /admin/keys HTTP/1.1\r\nX-A: "  # the next head becomes the value of this field
COMMENT = b"POST /comments HTTP/1.1\r\nContent-Length: 150\r\n\r\n"  # the next head becomes the comment


def a_service(name: str, port: int, ca: str | None, **changes: object) -> Route:
    credential = FakeCredential(content=REAL[name].encode())
    return a_route(
        port,
        service=name,
        host=API,
        scheme="https",
        tls_ca=ca,
        phantom=PHANTOMS[name],
        credential=credential,
        **changes,  # type: ignore[arg-type]  # further fields of Route
    )


@dataclass
class Stage:
    """A client that sends by one transport, and the server of notes behind the proxy."""

    proxy: ProxyUnderTest
    notes: Notes
    _transports: FiveTransports
    _transport: Transport
    _http2: Http2Client | None  # one connection: what its streams share, it shares

    def ask(
        self, method: str, path: str, *, of: str | None = "alpha", body: bytes | None = None
    ) -> tuple[int, bytes]:
        """Return status and body. of: whose phantom is sent; None: no key, for which a CONNECT is used."""
        fields = [] if of is None else [("authorization", f"Bearer {PHANTOMS[of]}")]
        if self._http2 is not None:
            fields += [] if body is None else [("content-length", str(len(body)))]
            number = self._http2.request(path, method=method, fields=fields, body=body)
            answer = self._http2.answer(number)
            return answer.status, answer.body
        way = Transport.INSIDE if of is None else self._transport
        if way is Transport.REVERSE and of != "alpha":
            with self._transports.client(way) as client:
                length = f"Content-Length: {len(body or b'')}"
                lines = [
                    f"{method} /{of}{path} HTTP/1.1",
                    "Host: 127.0.0.1",
                    f"{fields[0][0]}: {fields[0][1]}",
                    length,
                ]
                client.send("\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b""))
                response = client.response()
                return response.status, response.body
        whole = self._transports.ask(way, path, method=method, key=False, fields=fields, body=body)
        return whole.status, whole.body


@contextmanager
def stage(transport: Transport, *changes: dict[str, object], approver: object = None) -> Iterator[Stage]:
    """Yield one route for each of `changes`, alpha first, all to the one server of notes."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        ca = Authority(str(Path(folder) / "ca.pem"))
        notes = stack.enter_context(notes_server(ca.server_context(API)))
        services = zip(PHANTOMS, changes, strict=False)
        routes = [a_service(name, notes.port, ca.ca_file, **each) for name, each in services]
        running = stack.enter_context(proxy(*routes, server_context=server_context, approver=approver))  # type: ignore[arg-type]  # an Approver
        upstream = HttpUpstreamAt(notes.port)
        transports = FiveTransports(running, upstream, upstream, ca)  # type: ignore[arg-type]  # of it only the port is used
        http2 = stack.enter_context(transports.http2()) if transport is Transport.HTTP2 else None
        yield Stage(running, notes, transports, transport, http2)


@dataclass
class HttpUpstreamAt:
    port: int


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
def test_a_body_left_unread_carries_out_nothing_with_the_key_of_another_route(transport: Transport) -> None:
    with stage(transport, {"endpoints": NO_DELETE}, {}) as s:
        assert s.ask("DELETE", "/admin/keys")[0] == 403
        assert s.ask("POST", "/notes", of="beta", body=LEFT_BEHIND)[0] == 200
        assert s.ask("GET", "/x")[0] == 200
        assert s.notes.keys_of("DELETE") == []
        assert s.notes.keys_of("GET") == [REAL["alpha"]]
        denied = [event for event in s.proxy.recording.network if event["decision"] == "deny"]
        assert [event["denial_category"] for event in denied] == ["endpoint_policy"]


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
def test_a_body_left_unread_without_a_key_takes_up_no_key(transport: Transport) -> None:
    with stage(transport, {}) as s:
        assert s.ask("POST", "/notes", of=None, body=COMMENT)[0] == 200
        s.ask("GET", "/x")
        assert REAL["alpha"].encode() not in s.ask("GET", "/comments", of=None)[1]


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
def test_a_body_left_unread_with_a_key_takes_up_no_key(transport: Transport) -> None:
    with stage(transport, {}) as s:
        assert s.ask("POST", "/notes", body=COMMENT)[0] == 200
        s.ask("GET", "/x")
        assert REAL["alpha"].encode() not in s.ask("GET", "/comments", of=None)[1]


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
def test_what_a_person_refused_is_not_carried_out_by_a_body_left_unread(transport: Transport) -> None:
    async def no(request: Request, /) -> Answer:
        return Answer("denied", "not today")

    asks = EndpointPolicy("allow", approve=(EndpointRule("DELETE", "/**"),))
    with stage(transport, {"endpoints": asks}, approver=no) as s:
        assert s.ask("DELETE", "/admin/keys")[0] == 403
        assert s.ask("POST", "/notes", body=LEFT_BEHIND)[0] == 200
        assert s.ask("GET", "/x")[0] == 200
        assert s.notes.keys_of("DELETE") == []
        denied = [event for event in s.proxy.recording.network if event["decision"] == "deny"]
        assert [event["denial_category"] for event in denied] == ["endpoint_policy"]


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
def test_requests_without_a_body_share_a_connection(transport: Transport) -> None:
    with stage(transport, {"endpoints": NO_DELETE}) as s:
        for _ in range(3):
            assert s.ask("GET", "/x")[0] == 200
        assert s.notes.connections == 1


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
def test_two_services_of_one_origin_share_no_connection(transport: Transport) -> None:
    with stage(transport, {}, {}) as s:
        for service in ("alpha", "beta", "alpha", "beta"):
            assert s.ask("GET", "/x", of=service)[0] == 200
        assert s.notes.connections == 2


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
@pytest.mark.parametrize(
    ("changes", "connections"), [({}, 1), ({"endpoints": NO_DELETE}, 2)], ids=["open", "rules"]
)
def test_only_without_rules_an_upstream_known_to_read_is_reached_again_after_a_body(
    transport: Transport, changes: dict[str, object], connections: int
) -> None:
    with stage(transport, {"drains": True, **changes}) as s:
        for _ in range(2):
            assert s.ask("POST", "/comments", body=b"read to its end")[0] == 200
        assert s.notes.connections == connections


@pytest.mark.parametrize(("services", "connections"), [("alpha alpha", 1), ("alpha beta", 2)])
def test_an_http2_connection_carries_the_key_of_one_service(services: str, connections: int) -> None:
    with authority() as ca, h2_upstream(ca.server_context(HOST)) as server:
        routes = [
            a_route_to(server.port, ca.ca_file, service=name, phantom=PHANTOMS[name]) for name in PHANTOMS
        ]
        with routes_stage(server.port, ca.ca_file, routes) as s, s.client() as client:
            for service in services.split():
                key = ("authorization", f"Bearer {PHANTOMS[service]}")
                number = client.request(method="POST", fields=[key], body=b"x" * 100)
                assert client.answer(number).status == 200
    assert len(server.connections) == connections
