"""SSH in a CONNECT tunnel: on its port, and by its first line alone."""

from __future__ import annotations

import socket
import ssl
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.policy.hosts.upstream import Upstream
from nono.policy.services.oauth_routes import OAuthProvider, TokenEndpoint
from nono.proxy.handshake import ssh_identification
from nono.proxy.http.upstream_proxy import ProxyAddress, UpstreamProxy
from nono.proxy.verdict.logins.table import LoginTable
from support.proxy.thread import TOKEN, Client, proxy, wait_until
from support.servers.connect_proxy import ESTABLISHED, connect_proxy

HOST = "git.test"
OPENSSH = b"SSH-2.0-OpenSSH_10.0p2 Debian-7\r\n"


@pytest.mark.parametrize(
    ("begun", "verdict"),
    [
        pytest.param(OPENSSH, "ssh", id="OpenSSH"),
        pytest.param(b"SSH-2.0-libssh2_1.11.1\r\nmore", "ssh", id="libssh2, and what follows"),
        pytest.param(b"SSH-2.0-paramiko_3.5\n", "ssh", id="line feed alone"),
        pytest.param(b"", "more", id="nothing"),
        pytest.param(b"SSH-2", "more", id="its beginning"),
        pytest.param(OPENSSH[:-1], "more", id="without its end"),
        pytest.param(b"SSH-1.5-x\r\n", "other", id="version 1"),
        pytest.param(b"SSH-1.99-x\r\n", "other", id="either version"),
        pytest.param(b"SSH-2.0-\r\n", "other", id="no software"),
        pytest.param(b"ssh-2.0-x\r\n", "other", id="lower case"),
        pytest.param(b"hello\r\nSSH-2.0-x\r\n", "other", id="a line before it, which only a server sends"),
        pytest.param(b"SSH-2.0-x\0\r\n", "other", id="NUL"),
        pytest.param(b"SSH-2.0-x\ry\r\n", "other", id="carriage return"),
        pytest.param(b"SSH-2.0-\xff\r\n", "other", id="not ASCII"),
        pytest.param(b"SSH-2.0-" + b"x" * 250, "other", id="no end in sight"),
        pytest.param(b"SSH-2.0-" + b"x" * 250 + b"\r\n", "other", id="too long"),
        pytest.param(b"GET / HTTP/1.1\r\n", "other", id="HTTP"),
        pytest.param(b"\x16\x03\x01", "other", id="TLS"),
    ],
)
def test_the_first_line_decides(begun: bytes, verdict: str) -> None:
    assert ssh_identification.parse(begun) == verdict


@given(st.binary(max_size=300))
def test_what_is_more_now_was_never_decided_before(begun: bytes) -> None:
    verdicts = [ssh_identification.parse(begun[:end]) for end in range(len(begun) + 1)]
    decided = [verdict for verdict in verdicts if verdict != "more"]
    assert "more" not in verdicts[len(verdicts) - len(decided) :]
    assert len(set(decided)) <= 1


def tunnel(client: Client, port: int) -> None:
    client.send(
        b"CONNECT %b:%d HTTP/1.1\r\nHost: %b:%d\r\nProxy-Authorization: Bearer %b\r\n\r\n"
        % (HOST.encode(), port, HOST.encode(), port, TOKEN.encode())
    )
    assert client.head()[0] == 200


def greet(client: socket.socket, target: str) -> bool:
    """Speak first, as an SSH server does."""
    client.sendall(ESTABLISHED + b"SSH-2.0-server\r\n")
    heard = client.recv(4096)
    client.sendall(b"heard " + heard)
    return False


def test_ssh_passes_on_its_port_once_the_client_has_said_so() -> None:
    with (
        connect_proxy(answer=greet) as behind,
        proxy(upstream_proxy=UpstreamProxy(ProxyAddress("127.0.0.1", behind.port))) as ours,
        Client(ours.port) as client,
    ):
        tunnel(client, 22)
        client.send(OPENSSH[:5])
        client.send(OPENSSH[5:])
        assert client.read_until(b"\n") == b"SSH-2.0-server\r\n"
        assert client.read_until(b"\n") == b"heard " + OPENSSH
        assert ours.recording.network[-1]["reason"] == "SSH is spoken"


@pytest.mark.parametrize(
    ("port", "first"),
    [
        pytest.param(22, b"GET / HTTP/1.1\r\nHost: other.test\r\n\r\n", id="HTTP on the port of SSH"),
        pytest.param(22, b"SSH-1.5-old\r\n", id="an older version"),
        pytest.param(443, OPENSSH, id="SSH on the port of TLS"),
        pytest.param(2222, OPENSSH, id="SSH on another port"),
    ],
)
def test_anything_else_ends_the_tunnel_before_a_byte_of_it_has_left(port: int, first: bytes) -> None:
    heard: list[bytes] = []

    def listen(client: socket.socket, target: str) -> bool:
        client.sendall(ESTABLISHED)
        heard.append(client.recv(4096))
        return False

    with (
        connect_proxy(answer=listen) as behind,
        proxy(upstream_proxy=UpstreamProxy(ProxyAddress("127.0.0.1", behind.port))) as ours,
        Client(ours.port) as client,
    ):
        tunnel(client, port)
        client.send(first)
        client.rest()
        assert ours.recording.decisions()[-1] == ("deny", "host_denied")
    assert b"".join(heard) == b""


def logins_of(host: str) -> LoginTable:
    """Return the table of a provider whose tokens come from port 443 of the host."""
    endpoint = TokenEndpoint(Upstream("https", host, 443), "/token", (), "auto", ())
    provider = OAuthProvider("acme", (endpoint,), ())
    return LoginTable((SimpleNamespace(provider=provider),))  # type: ignore[arg-type]  # no more is asked for


def test_ssh_passes_to_a_host_where_logins_get_their_tokens() -> None:
    with (
        connect_proxy(answer=greet) as behind,
        proxy(
            upstream_proxy=UpstreamProxy(ProxyAddress("127.0.0.1", behind.port)), logins=logins_of(HOST)
        ) as ours,
        Client(ours.port) as client,
    ):
        tunnel(client, 22)
        client.send(OPENSSH)
        assert client.read_until(b"\n") == b"SSH-2.0-server\r\n"


@pytest.mark.parametrize(("logins", "passes"), [(HOST, False), ("other.test", True)])
def test_tls_on_the_port_of_ssh_is_no_way_past_the_capture_of_logins(logins: str, passes: bool) -> None:
    heard: list[bytes] = []

    def listen(client: socket.socket, target: str) -> bool:
        client.sendall(ESTABLISHED)
        heard.append(client.recv(4096))
        return False

    hello = client_hello_of(HOST)
    with (
        connect_proxy(answer=listen) as behind,
        proxy(
            upstream_proxy=UpstreamProxy(ProxyAddress("127.0.0.1", behind.port)), logins=logins_of(logins)
        ) as ours,
        Client(ours.port) as client,
    ):
        tunnel(client, 22)
        client.send(hello)
        if passes:
            wait_until(lambda: heard == [hello])
        else:
            client.rest()
            assert ours.recording.decisions()[-1] == ("deny", "host_denied")
    assert b"".join(heard) == (hello if passes else b"")


def client_hello_of(name: str) -> bytes:
    """Return the first bytes of a client of TLS."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


def test_a_spoken_ssh_that_cannot_be_recorded_does_not_pass() -> None:
    with (
        connect_proxy(answer=greet) as behind,
        proxy(upstream_proxy=UpstreamProxy(ProxyAddress("127.0.0.1", behind.port))) as ours,
        Client(ours.port) as client,
    ):
        tunnel(client, 22)
        ours.recording.failing = True
        client.send(OPENSSH)
        assert b"SSH-2.0-server" not in client.rest()
