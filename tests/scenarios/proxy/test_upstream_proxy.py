"""The proxy behind ours: what goes through it, what it is told, and what becomes of its answers."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.credentials.values.errors import CredentialUnavailable
from nono.credentials.values.proxy_authorization import ProxyAuthorization
from nono.policy.hosts.host_filter import HostFilter, parse_rule
from nono.policy.hosts.live_hosts import LiveHosts
from nono.proxy.http import upstream_proxy as chaining
from nono.proxy.http.upstream_proxy import (
    Incomplete,
    Malformed,
    ProxyAddress,
    Reply,
    UpstreamProxy,
    parse_reply,
)
from nono.secret import Secret
from support.proxy.thread import PHANTOM, REAL_KEY, TOKEN, Client, Hosts, Names, a_route, proxy
from support.servers.connect_proxy import ESTABLISHED, connect_proxy
from support.servers.http1 import Authority, upstream
from support.servers.squid import PASSWORD, SQUID, USER, squid
from support.servers.tinyproxy import PASSWORD as TINY_PASSWORD
from support.servers.tinyproxy import TINYPROXY, tinyproxy
from support.servers.tinyproxy import USER as TINY_USER

HOST = "alpha.test"
BY_ROUTE = b"GET /alpha/x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %b\r\n\r\n" % PHANTOM.encode()
AUTHORISED = b"Proxy-Authorization: Bearer " + TOKEN.encode()


def chain_at(port: int, *bypass: str, password: str | None = None) -> UpstreamProxy:
    authorization = None if password is None else ProxyAuthorization(Secret(password))
    rules = tuple(parse_rule(text, "the test") for text in bypass)
    return UpstreamProxy(ProxyAddress("127.0.0.1", port), rules, authorization)


def connect(host: str, port: int) -> bytes:
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    target = authority.encode()
    return b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n%b\r\n\r\n" % (target, target, AUTHORISED)


def get_plain(port: int) -> bytes:
    authority = b"%b:%d" % (HOST.encode(), port)
    return b"GET http://%b/x HTTP/1.1\r\nHost: %b\r\n%b\r\n\r\n" % (authority, authority, AUTHORISED)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(str(tmp_path / "ca.pem"))


# -- what goes through it


def get_by_tunnel(port: int, host: str, upstream_port: int, authority: Authority) -> bytes:
    with Client(port) as client:
        client.send(connect(host, upstream_port))
        assert client.head()[0] == 200
        with client.start_tls(host, authority.client_context()) as secured:
            secured.sendall(b"GET / HTTP/1.1\r\nHost: alpha.test\r\n\r\n")
            return secured.recv(65536)


def test_only_a_bypassed_host_avoids_the_upstream_proxy(authority: Authority) -> None:
    with (
        upstream(tls=authority.server_context(HOST, "direct.test")) as server,
        connect_proxy({f"{HOST}:{server.port}": server.port}) as behind,
        proxy(upstream_proxy=chain_at(behind.port, "direct.test")) as ours,
    ):
        assert b"200 OK" in get_by_tunnel(ours.port, HOST, server.port, authority)
        assert b"200 OK" in get_by_tunnel(ours.port, "direct.test", server.port, authority)
        assert behind.targets == [f"{HOST}:{server.port}"]
        assert [event["mode"] for event in ours.recording.network] == ["external", "connect"]


def test_the_address_of_the_upstream_proxy_is_cut_by_no_rule_for_hosts(authority: Authority) -> None:
    live = LiveHosts(HostFilter(allow=None))
    with (
        upstream(tls=authority.server_context(HOST)) as server,
        connect_proxy({f"{HOST}:{server.port}": server.port}) as behind,
        proxy(upstream_proxy=chain_at(behind.port), hosts=Hosts(), live_hosts=live) as ours,
        Client(ours.port) as client,
    ):
        client.send(connect(HOST, server.port))
        assert client.head()[0] == 200

        def deny() -> int:
            live.put([], [parse_rule(f"127.0.0.1:{port}", "now") for port in (server.port, behind.port)])
            return ours.running.rules_changed()

        assert ours.on_loop(deny) == 0
        with client.start_tls(HOST, authority.client_context()) as secured:
            secured.sendall(b"GET / HTTP/1.1\r\nHost: alpha.test\r\n\r\n")
            assert secured.recv(12) == b"HTTP/1.1 200"


def test_an_upstream_proxy_learns_only_the_host(authority: Authority) -> None:
    with (
        upstream(tls=authority.server_context(HOST)) as server,
        connect_proxy({f"{HOST}:{server.port}": server.port}) as behind,
        proxy(upstream_proxy=chain_at(behind.port)) as ours,
    ):
        get_by_tunnel(ours.port, HOST, server.port, authority)
        target = f"{HOST}:{server.port}".encode()
        assert behind.heads == [b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (target, target)]


def test_a_reverse_request_reuses_its_connection_through_the_proxy(authority: Authority) -> None:
    with (
        upstream(tls=authority.server_context(HOST)) as server,
        connect_proxy({f"{HOST}:{server.port}": server.port}) as behind,
        proxy(
            a_route(server.port, host=HOST, scheme="https", tls_ca=authority.ca_file),
            upstream_proxy=chain_at(behind.port),
        ) as ours,
        Client(ours.port) as client,
    ):
        for _ in range(2):
            client.send(BY_ROUTE)
            assert client.response().status == 200
        assert behind.targets == [f"{HOST}:{server.port}"]
        assert [request.value(b"authorization") for request in server.requests] == [
            b"Bearer " + REAL_KEY.encode()
        ] * 2


def test_plain_http_is_asked_for_through_a_tunnel_too() -> None:
    with (
        upstream() as server,
        connect_proxy({f"{HOST}:{server.port}": server.port}) as behind,
        proxy(upstream_proxy=chain_at(behind.port)) as ours,
        Client(ours.port) as client,
    ):
        client.send(get_plain(server.port))
        assert client.response().status == 200
        assert behind.targets == [f"{HOST}:{server.port}"]
        assert server.requests[0].request_line == b"GET /x HTTP/1.1"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_is_never_asked_for_at_another(host: str) -> None:
    """There the name is another machine's, and what is sent to it in the clear would cross the network."""
    with (
        upstream() as server,
        connect_proxy() as behind,
        proxy(a_route(server.port, host=host), upstream_proxy=chain_at(behind.port)) as ours,
        Client(ours.port) as client,
    ):
        client.send(BY_ROUTE)
        assert client.response().status == 200
        assert behind.heads == []


def test_an_ipv6_address_stands_in_brackets() -> None:
    with connect_proxy(answer=refuse(403)) as behind, proxy(upstream_proxy=chain_at(behind.port)) as ours:
        with Client(ours.port) as client:
            client.send(connect("2001:db8::1", 443))
            assert client.response().status == 502
        target = b"[2001:db8::1]:443"
        assert behind.heads == [b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (target, target)]


# -- what is judged before


def test_a_refused_name_reaches_neither_dns_nor_the_proxy_behind() -> None:
    with (
        connect_proxy() as behind,
        proxy(hosts=Hosts(denied=frozenset((HOST,))), upstream_proxy=chain_at(behind.port)) as ours,
        Client(ours.port) as client,
    ):
        client.send(connect(HOST, 443))
        assert client.response().status == 403
        assert (ours.names.asked, behind.heads) == ([], [])


@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1", "127.0.0.1", "fd00:ec2::254"])
def test_a_name_with_a_forbidden_address_is_refused_behind_a_proxy_too(address: str) -> None:
    with (
        connect_proxy() as behind,
        proxy(
            hosts=HostFilter(None), names=Names({HOST: [[address]]}), upstream_proxy=chain_at(behind.port)
        ) as ours,
        Client(ours.port) as client,
    ):
        client.send(connect(HOST, 443))
        assert client.response().status == 403
        assert behind.heads == []


def test_a_name_that_only_the_proxy_behind_knows_is_reached(authority: Authority) -> None:
    with (
        upstream(tls=authority.server_context(HOST)) as server,
        connect_proxy({f"{HOST}:{server.port}": server.port}) as behind,
        proxy(names=Names({HOST: []}), upstream_proxy=chain_at(behind.port)) as ours,
    ):
        assert b"200 OK" in get_by_tunnel(ours.port, HOST, server.port, authority)


def test_a_bypassed_name_that_nobody_here_knows_is_not_reached() -> None:
    with (
        connect_proxy() as behind,
        proxy(names=Names({HOST: []}), upstream_proxy=chain_at(behind.port, HOST)) as ours,
        Client(ours.port) as client,
    ):
        client.send(connect(HOST, 443))
        assert client.response().status == 502
        assert behind.heads == []


@pytest.mark.parametrize("spelling", ["127.0.0.1", "localhost", "corporate.test"])
def test_the_proxy_behind_is_nobodys_but_ours(spelling: str) -> None:
    """By any of its names: whoever could speak to it would have our way out without our filter."""
    with (
        connect_proxy() as behind,
        proxy(
            upstream_proxy=chain_at(0, "bypassed.test")._replace(
                via=ProxyAddress("corporate.test", behind.port)
            )
        ) as ours,
    ):
        for host in (spelling, "bypassed.test"):
            with Client(ours.port) as client:
                client.send(connect(host, behind.port))
                answer = client.response()
                assert answer.status == 403
                assert b"upstream proxy" in answer.body
        assert behind.heads == []


def test_another_port_of_its_machine_is_no_concern() -> None:
    with (
        upstream() as server,
        connect_proxy() as behind,
        proxy(
            upstream_proxy=chain_at(behind.port, "bypassed.test"),
            hosts=Hosts(raw=frozenset({("bypassed.test", server.port)})),
        ) as ours,
        Client(ours.port) as client,
    ):
        client.send(connect("bypassed.test", server.port))
        assert client.head()[0] == 200


def test_an_attempt_that_cannot_be_recorded_is_not_made() -> None:
    with (
        connect_proxy() as behind,
        proxy(upstream_proxy=chain_at(behind.port)) as ours,
        Client(ours.port) as client,
    ):
        ours.recording.failing = True
        client.send(connect(HOST, 443))
        assert client.response().status == 503
        assert behind.heads == []


# -- what it answers


def refuse(status: int, rest: bytes = b"") -> Callable[[socket.socket, str], bool]:
    def answer(client: socket.socket, target: str) -> bool:
        client.sendall(b"HTTP/1.1 %d No\r\nContent-Length: %d\r\n\r\n%b" % (status, len(rest), rest))
        return False

    return answer


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (407, "network.upstream_proxy takes"),
        (403, "--upstream-bypass"),
        (502, "--upstream-bypass"),
        (201, ""),
    ],
)
def test_a_refusal_is_told_with_its_status_and_what_may_help(status: int, hint: str) -> None:
    with (
        connect_proxy(answer=refuse(status, b"<html>secret page</html>")) as behind,
        proxy(upstream_proxy=chain_at(behind.port)) as ours,
        Client(ours.port) as client,
    ):
        client.send(connect(HOST, 443))
        answer = client.response()
        assert answer.status == 502
        assert str(status) in answer.reason
        assert hint.encode() in answer.body
        assert b"secret page" not in answer.body
        assert ours.recording.decisions() == [("allow", None), ("deny", "external_proxy_rejected")]


def say(text: bytes) -> Callable[[socket.socket, str], bool]:
    def answer(client: socket.socket, target: str) -> bool:
        client.sendall(text)
        client.shutdown(socket.SHUT_WR)
        return False

    return answer


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: 1\r\n", id="half a head"),
        pytest.param(b"SSH-2.0-OpenSSH\r\n\r\n", id="another protocol"),
        pytest.param(b"HTTP/2 200\r\n\r\n", id="another version"),
        pytest.param(b"HTTP/1.1 2000 OK\r\n\r\n", id="no status"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 9000 + b"\r\n\r\n", id="a long line"),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"X: " + b"a" * 9000, id="a line without end"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\n" + (b"X: " + b"a" * 500 + b"\r\n") * 200 + b"\r\n", id="a long head"
        ),
    ],
)
def test_what_is_no_answer_is_a_failure_of_the_upstream(text: bytes) -> None:
    with (
        connect_proxy(answer=say(text)) as behind,
        proxy(upstream_proxy=chain_at(behind.port)) as ours,
        Client(ours.port) as client,
    ):
        client.send(connect(HOST, 443))
        assert client.response().status == 502
        assert ours.recording.decisions()[-1] == ("deny", "upstream_connect_failed")


def test_a_proxy_that_says_nothing_is_given_up() -> None:
    over = threading.Event()

    def hang(client: socket.socket, target: str) -> bool:
        over.wait(20)
        return False

    with (
        connect_proxy(answer=hang) as behind,
        proxy(upstream_proxy=chain_at(behind.port), connect_timeout_s=0.1) as ours,
        Client(ours.port) as client,
    ):
        client.send(connect(HOST, 443))
        answer = client.response()
        assert (answer.status, b"upstream proxy" in answer.body) == (504, True)
        over.set()


def test_a_proxy_that_is_not_there_is_named() -> None:
    with connect_proxy() as behind:
        port = behind.port
    with proxy(upstream_proxy=chain_at(port)) as ours, Client(ours.port) as client:
        client.send(connect(HOST, 443))
        answer = client.response()
        assert (answer.status, f"127.0.0.1:{port}".encode() in answer.body) == (502, True)


def in_pieces(*pieces: bytes) -> Callable[[socket.socket, str], bool]:
    def answer(client: socket.socket, target: str) -> bool:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            client.sendall(piece)
        return False

    return answer


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param((ESTABLISHED + b"first words",), id="in one piece"),
        pytest.param((ESTABLISHED[:10], ESTABLISHED[10:] + b"first", b" words"), id="cut in the head"),
        pytest.param((ESTABLISHED[:-1], ESTABLISHED[-1:] + b"first words"), id="cut before the last byte"),
        pytest.param(
            (b"HTTP/1.0 200 OK\nContent-Length: 5\n\nfirst words",), id="a length that means nothing"
        ),
    ],
)
def test_what_follows_its_answer_is_the_upstreams_first_word(pieces: tuple[bytes, ...]) -> None:
    """As a server of SSH or SMTP speaks before it is spoken to."""
    with (
        connect_proxy(answer=in_pieces(*pieces)) as behind,
        proxy(upstream_proxy=chain_at(behind.port), hosts=Hosts(raw=frozenset({(HOST, 2222)}))) as ours,
        Client(ours.port) as client,
    ):
        client.send(connect(HOST, 2222))
        assert client.head()[0] == 200
        assert client.read_exactly(11) == b"first words"


def test_bytes_before_tls_are_not_taken_for_an_answer_of_the_upstream(authority: Authority) -> None:
    forged = ESTABLISHED + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"
    with (
        connect_proxy(answer=say(forged)) as behind,
        proxy(
            a_route(443, host=HOST, scheme="https", tls_ca=authority.ca_file),
            upstream_proxy=chain_at(behind.port),
        ) as ours,
        Client(ours.port) as client,
    ):
        client.send(BY_ROUTE)
        answer = client.response()
        assert (answer.status, b"forged" in answer.body) == (502, False)


def test_behind_a_proxy_the_upstreams_certificate_is_checked(authority: Authority) -> None:
    with (
        upstream(tls=authority.server_context("other.test")) as server,
        connect_proxy({f"{HOST}:{server.port}": server.port}) as behind,
        proxy(
            a_route(server.port, host=HOST, scheme="https", tls_ca=authority.ca_file),
            upstream_proxy=chain_at(behind.port),
        ) as ours,
        Client(ours.port) as client,
    ):
        client.send(BY_ROUTE)
        answer = client.response()
        assert (answer.status, b"certificate" in answer.body) == (502, True)
        assert server.requests == []


# -- its password


def test_the_password_goes_only_to_the_proxy_behind(authority: Authority) -> None:
    with (
        upstream(tls=authority.server_context(HOST)) as server,
        connect_proxy({f"{HOST}:{server.port}": server.port}) as behind,
        proxy(
            a_route(server.port, host=HOST, scheme="https", tls_ca=authority.ca_file),
            upstream_proxy=chain_at(behind.port, password="me:pass:word"),
        ) as ours,
        Client(ours.port) as client,
    ):
        client.send(BY_ROUTE)
        answer = client.response()
        encoded = base64.b64encode(b"me:pass:word")
        assert b"\r\nProxy-Authorization: Basic %b\r\n" % encoded in behind.heads[0]
        assert encoded not in server.requests[0].head + answer.body
        assert "pass:word" not in repr(ours.recording.events) + repr(chain_at(1, password="me:pass:word"))


@pytest.mark.parametrize("text", ["no colon", "line\r\nX-Injected: 1:", "nul\0:x", ""])
def test_what_cannot_be_a_password_is_refused_at_once(text: str) -> None:
    with pytest.raises(CredentialUnavailable) as refused:
        ProxyAuthorization(Secret(text))
    assert not text or text not in str(refused.value)


# -- its answer as bytes


@given(st.binary(max_size=200))
def test_a_head_says_the_same_however_it_is_cut(rest: bytes) -> None:
    whole = b"HTTP/1.1 407 Proxy Authentication Required\r\nA: b\r\n\r\n" + rest
    end = len(whole) - len(rest)
    for cut in range(end):
        assert parse_reply(whole[:cut]) == Incomplete()
    assert parse_reply(whole) == Reply(407, end)


@pytest.mark.parametrize(
    ("lines", "answer"), [(200, Reply(200, 819)), (15_000, Malformed("its head is too long"))]
)
def test_a_head_of_short_lines_is_given_up_before_it_keeps_anybody_waiting(
    lines: int, answer: Reply | Malformed
) -> None:
    """Each byte that arrives has the head read anew."""
    assert parse_reply(b"HTTP/1.1 200 OK\r\n" + b"A:\r\n" * lines + b"\r\n") == answer


@given(st.binary(max_size=300))
def test_bytes_that_do_not_begin_a_status_line_never_open_a_tunnel(begun: bytes) -> None:
    match parse_reply(begun):
        case Reply(status, length):
            assert begun.startswith(b"HTTP/1.")
            assert length <= len(begun)
            assert 100 <= status < 600
        case Incomplete() | Malformed():
            pass


@pytest.mark.parametrize(
    ("host", "carried"),
    [
        ("alpha.test", True),
        ("direct.test", False),
        ("a.direct.test", True),
        ("below.test", True),
        ("a.below.test", False),
        ("evilbelow.test", True),
        ("localhost", False),
        ("::1", False),
        ("10.0.0.1", True),
    ],
)
def test_a_bypass_is_for_its_host_or_what_is_below_its_suffix(host: str, carried: bool) -> None:
    upstream_proxy = chain_at(3128, "Direct.Test.", "*.below.test")
    assert upstream_proxy.carries(host, 443) is carried


def test_a_status_without_a_name_is_told_as_a_number() -> None:
    assert "299" in chaining.rejected(HOST, ProxyAddress("p.test", 1), Reply(299, 0)).error


# -- the real ones


@pytest.mark.skipif(SQUID is None, reason="squid is not installed")
@pytest.mark.parametrize(
    ("password", "status"),
    [
        pytest.param(f"{USER}:{PASSWORD}", 200, id="the right password"),
        pytest.param(f"{USER}:wrong", 502, id="a wrong one"),
        pytest.param(None, 502, id="none"),
    ],
)
def test_squid_with_a_password_opens_tunnels_to_who_has_it(
    authority: Authority, password: str | None, status: int
) -> None:
    with (
        upstream(tls=authority.server_context(HOST)) as server,
        squid({HOST: "127.0.0.1"}, password=True) as behind,
        proxy(
            a_route(server.port, host=HOST, scheme="https", tls_ca=authority.ca_file),
            names=Names({HOST: []}),
            upstream_proxy=chain_at(behind.port, password=password),
        ) as ours,
        Client(ours.port) as client,
    ):
        client.send(BY_ROUTE)
        assert client.response().status == status
        assert len(server.requests) == (1 if status == 200 else 0)
        rejected = ("deny", "external_proxy_rejected")
        assert (rejected in ours.recording.decisions()) is (status != 200)


@pytest.mark.skipif(SQUID is None, reason="squid is not installed")
def test_squid_without_a_password_carries_tunnels_and_plain_http(authority: Authority) -> None:
    with (
        upstream(tls=authority.server_context(HOST)) as secure,
        upstream() as plain,
        squid({HOST: "127.0.0.1"}) as behind,
        proxy(names=Names({HOST: [], "unknown.test": []}), upstream_proxy=chain_at(behind.port)) as ours,
    ):
        assert b"200 OK" in get_by_tunnel(ours.port, HOST, secure.port, authority)
        with Client(ours.port) as client:
            client.send(get_plain(plain.port))
            assert client.response().status == 200
        with Client(ours.port) as client:
            client.send(connect("unknown.test", 443))
            answer = client.response()
            assert (answer.status, "503" in answer.reason) == (502, True)


@pytest.mark.skipif(TINYPROXY is None, reason="tinyproxy is not installed")
@pytest.mark.parametrize(
    ("password", "status"),
    [
        pytest.param(f"{TINY_USER}:{TINY_PASSWORD}", 200, id="the right password"),
        pytest.param(f"{TINY_USER}:wrong", 502, id="a wrong one"),
    ],
)
def test_tinyproxy_opens_tunnels_to_who_has_its_password(
    authority: Authority, password: str, status: int
) -> None:
    with (
        upstream(tls=authority.server_context(HOST)) as server,
        connect_proxy({f"{HOST}:{server.port}": server.port}) as last,
        tinyproxy(last.port, password=True) as port,
        proxy(
            a_route(server.port, host=HOST, scheme="https", tls_ca=authority.ca_file),
            names=Names({HOST: []}),
            upstream_proxy=chain_at(port, password=password),
        ) as ours,
        Client(ours.port) as client,
    ):
        client.send(BY_ROUTE)
        assert client.response().status == status
        assert len(server.requests) == (1 if status == 200 else 0)
