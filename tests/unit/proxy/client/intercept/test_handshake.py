"""From a CONNECT to the end of its TLS handshake at the proxy."""

from __future__ import annotations

import ssl
from contextlib import suppress
from functools import partial

import pytest

from nono.proxy.client import intercept
from nono.proxy.tls.session_ca import SessionCa
from support.proxy.interception import connect, intercepting
from support.proxy.localhost import get, intercepted_localhost
from support.proxy.thread import REAL_KEY, Client, Hosts, Recording, a_route, proxy, wait_until
from support.servers.http1 import upstream


@pytest.mark.parametrize("curve", ["X25519", "prime256v1"])
def test_a_client_is_served_whichever_group_it_has_a_key_share_for(curve: str) -> None:
    with intercepted_localhost() as (server, p):
        p.trust.set_ecdh_curve(curve)
        with p.inside("localhost", server.port) as client:
            client.send(get(server.port))
            assert client.response().body == b"ok"


@pytest.mark.parametrize("token", [b"", b"Proxy-Authorization: Bearer wrong\r\n"], ids=["none", "wrong"])
def test_a_connect_without_the_token_can_be_retried_with_it(token: bytes) -> None:
    with intercepted_localhost() as (server, p), Client(p.port) as client:
        client.send(f"CONNECT localhost:{server.port} HTTP/1.1\r\nHost: x\r\n".encode() + token + b"\r\n")
        response = client.response()
        assert (response.status, response.value("proxy-authenticate")) == (407, 'Basic realm="nono"')
        client.send(connect(f"localhost:{server.port}"))
        assert client.head()[0] == 200
    category = "authentication_failed" if token else "authentication_required"
    assert p.recording.decisions()[0] == ("deny", category)


def test_without_an_authority_the_host_is_never_tunnelled() -> None:
    with upstream() as server, proxy(a_route(server.port, host="localhost")) as p, Client(p.port) as client:
        client.send(connect(f"localhost:{server.port}"))
        assert client.response().status == 403
    assert server.connections == []
    assert p.recording.decisions() == [("deny", "connect_bypasses_l7")]


def handshake_outside(p_port: int, authority: str) -> Client:
    client = Client(p_port)
    client.send(connect(authority))
    assert client.head()[0] == 200
    return client


class TlsByHand:
    """TLS to localhost whose records a test sends itself, in the pieces that it chooses."""

    def __init__(self, trust: ssl.SSLContext) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.object = trust.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")

    def client_hello(self) -> bytes:
        with pytest.raises(ssl.SSLWantReadError):
            self.object.do_handshake()
        return self.outgoing.read()

    def shake_hands(self, client: Client) -> None:
        """Shake hands, and leave the last flight, with Finished, in outgoing."""
        while True:
            try:
                return self.object.do_handshake()
            except ssl.SSLWantReadError:
                client.send(self.outgoing.read())
                self.incoming.write(client.transport.recv(65536))

    def read_until(self, mark: bytes, client: Client) -> None:
        received = b""
        while mark not in received:
            try:
                received += self.object.read()
            except ssl.SSLWantReadError:
                self.incoming.write(client.transport.recv(65536))


def test_a_client_hello_together_with_the_connect_is_not_lost() -> None:
    with intercepted_localhost() as (server, p):
        tls = TlsByHand(p.trust)
        with Client(p.port) as client:
            with p.standing_still():
                client.send(connect(f"localhost:{server.port}") + tls.client_hello())
            assert client.head()[0] == 200
            tls.incoming.write(client._buffer)
            tls.shake_hands(client)
            tls.object.write(get(server.port))
            client.send(tls.outgoing.read())
            tls.read_until(b"ok", client)
    assert server.requests[0].values(b"authorization") == [b"Bearer " + REAL_KEY.encode()]


def test_a_request_together_with_the_end_of_the_handshake_is_answered() -> None:
    with intercepted_localhost() as (server, p):
        tls = TlsByHand(p.trust)
        with handshake_outside(p.port, f"localhost:{server.port}") as client:
            tls.shake_hands(client)
            tls.object.write(get(server.port))
            client.send(tls.outgoing.read())  # Finished and the request in one piece
            tls.read_until(b"ok", client)
    assert len(server.requests) == 1


def test_a_client_that_leaves_after_the_handshake_leaves_nothing_behind() -> None:
    with intercepted_localhost() as (server, p):
        for number in range(20):
            tls = TlsByHand(p.trust)
            with handshake_outside(p.port, f"localhost:{server.port}") as client:
                tls.shake_hands(client)
                with p.standing_still():
                    if number % 2:
                        tls.object.write(get(server.port))
                    client.send(tls.outgoing.read())
                    if number % 3 == 0:
                        with pytest.raises(ssl.SSLError):
                            tls.object.unwrap()
                        client.send(tls.outgoing.read())
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
def test_what_is_not_tls_never_becomes_a_tunnel(first: bytes) -> None:
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


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("alpn", [[], ["h2"]], ids=["HTTP/1.1", "HTTP/2"])
def test_a_client_that_leaves_as_soon_as_the_handshake_is_over_is_recorded(
    alpn: list[str], waits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """curl 8.22 looks at the certificate then, and sends no alert. Others wait for requests."""
    monkeypatch.setattr(intercept, "_LEAVES_AT_ONCE_S", 3600.0)  # no test is to be quick
    with intercepted_localhost() as (server, p):
        trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trusting.check_hostname = False
        trusting.verify_mode = ssl.CERT_NONE
        trusting.set_alpn_protocols(alpn)
        with (
            handshake_outside(p.port, f"localhost:{server.port}") as client,
            trusting.wrap_socket(client.transport, server_hostname="localhost"),
        ):
            wait_until(lambda: p.running.client_connections == 1)
            if waits:
                p.let_pass(3601)
        wait_until(lambda: p.running.client_connections == 0)
        denied = [] if waits else [("deny", "intercept_handshake_failed")]
        assert p.recording.decisions() == [("allow", None), *denied]
        assert server.connections == []


def test_an_authority_that_has_expired_is_named_with_the_option_for_longer_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(SessionCa, "create", partial(SessionCa.create, validity_s=-1))
    with intercepted_localhost() as (server, p):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            p.inside("localhost", server.port)
        wait_until(lambda: p.running.client_connections == 0)
        assert p.recording.decisions() == [("allow", None), ("deny", "intercept_handshake_failed")]
        denied = p.recording.events[-1]
        assert "the CA of this session has expired" in str(denied)
        assert "--proxy-ca-validity" in str(denied)
        assert server.connections == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("other.test", "the ClientHello names other.test"),
        ("api.localhost", "the ClientHello names api.localhost"),
        (None, "the ClientHello names no server"),
    ],
)
def test_a_client_that_asks_for_another_name_or_none_gets_no_certificate(
    name: str | None, reason: str
) -> None:
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    with intercepted_localhost() as (server, p):
        with handshake_outside(p.port, f"localhost:{server.port}") as client, pytest.raises(ssl.SSLError):
            trusting.wrap_socket(client.transport, server_hostname=name)
        wait_until(lambda: p.running.client_connections == 0)
        assert p.recording.decisions() == [("allow", None), ("deny", "intercept_handshake_failed")]
        assert reason in str(p.recording.events[-1])
        with p.inside("localhost", server.port) as client:
            client.send(get(server.port))
            assert client.response().status == 200


@pytest.mark.parametrize("half", [0, 1, 100], ids=["before a byte", "after one", "in the middle"])
def test_a_client_that_closes_during_the_handshake_leaves_nothing_behind(half: int) -> None:
    with intercepted_localhost() as (server, p):
        hello = TlsByHand(p.trust).client_hello()
        with handshake_outside(p.port, f"localhost:{server.port}") as client:
            client.send(hello[:half])
        wait_until(lambda: p.running.client_connections == 0)
        assert p.recording.decisions() == [("allow", None), ("deny", "intercept_handshake_failed")]
        assert server.connections == []


def test_a_handshake_that_stands_still_is_ended() -> None:
    with (
        intercepted_localhost() as (server, p),
        handshake_outside(p.port, f"localhost:{server.port}") as client,
    ):
        p.let_pass(31)
        assert client.is_closed()
        wait_until(lambda: p.running.client_connections == 0)
        assert p.recording.decisions()[1] == ("deny", "intercept_handshake_failed")


@pytest.mark.parametrize("has_begun", [False, True])
def test_the_proxy_ends_during_a_handshake(has_begun: bool) -> None:
    with upstream() as server:
        with intercepting(a_route(server.port, host="localhost")) as p:
            client = handshake_outside(p.port, f"localhost:{server.port}")
            if has_begun:
                client.send(TlsByHand(p.trust).client_hello())
                client.read_exactly(5)
        with client, suppress(ConnectionResetError):
            while client.receive():
                pass  # the rest of the server's side, until the connection ends
    assert p.recording.decisions() == [("allow", None), ("deny", "intercept_handshake_failed")]


def test_an_event_that_cannot_be_written_means_no_handshake() -> None:
    recording = Recording(failing=True)
    with intercepted_localhost(recording=recording) as (server, p):
        with Client(p.port) as client:
            client.send(connect(f"localhost:{server.port}"))
            assert client.response().status == 503
        recording.failing = False
        with p.inside("localhost", server.port) as inside:
            recording.failing = True
            inside.send(get(server.port))
            assert inside.response().status == 503
    assert server.connections == []


def test_a_denied_host_is_refused_before_the_handshake() -> None:
    hosts = Hosts(denied=frozenset(("localhost",)))
    with intercepted_localhost(hosts=hosts) as (server, p), Client(p.port) as client:
        client.send(connect(f"localhost:{server.port}"))
        assert client.response().status == 403
    assert p.recording.decisions() == [("deny", "host_denied")]
