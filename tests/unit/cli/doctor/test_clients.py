"""What `nono doctor` makes of what a client did."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from socket import create_connection
from ssl import SSLSocket, create_default_context

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import TrailersReceived

from nono.cli.doctor.client_table import ABSENT, CLIENTS, Client
from nono.cli.doctor.clients import Tried, judge
from nono.cli.doctor.finding import Mark, finding_lines
from nono.cli.doctor.server import Server, serving

CLIENT = Client("curl", ("curl",), "curl", "unset its proxy", "unset its CA")
WORKED = Tried(0, "", ("GET /",), reached_proxy=True)
DENIED = ("certificate unknown",)


@contextmanager
def tunnel(server: Server, protocol: str) -> Iterator[SSLSocket]:
    """Yield the TLS inside a CONNECT to a.invalid."""
    with create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(b"CONNECT a.invalid:443 HTTP/1.1\r\nHost: a.invalid:443\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
        context = create_default_context(cadata=server.ca_pem.decode())
        context.set_alpn_protocols([protocol])
        with context.wrap_socket(connection, server_hostname="a.invalid") as tls:
            yield tls


@pytest.mark.parametrize(
    ("tried", "mark", "meaning", "remedy"),
    [
        pytest.param(WORKED, Mark.OK, "works", None, id="works"),
        pytest.param(
            Tried(6, "  [nono] WARNING: b\nno such host\nbye\n", (), reached_proxy=False),
            Mark.MISSING,
            "did not ask the proxy: ended with status 6 (no such host)",
            "unset its proxy",
            id="past the proxy",
        ),
        pytest.param(
            Tried(1, "Traceback (most recent call last):\n  in main\nNoRoute\n", (), reached_proxy=False),
            Mark.MISSING,
            "did not ask the proxy: ended with status 1 (NoRoute)",
            "unset its proxy",
            id="a traceback",
        ),
        pytest.param(
            Tried(0, "", (), reached_proxy=False),
            Mark.MISSING,
            "did not ask the proxy: ended with status 0",
            "unset its proxy",
            id="content without an answer",
        ),
        pytest.param(
            Tried(60, "bad CA", (), reached_proxy=True, denied=DENIED, distrusts=True),
            Mark.MISSING,
            "rejects nono's certificate: ended with status 60 (bad CA)",
            "unset its CA",
            id="no trust",
        ),
        pytest.param(
            Tried(128, "hung up", (), reached_proxy=True),
            Mark.MISSING,
            "did not get an answer: ended with status 128 (hung up)",
            "unset its CA",
            id="trust judged after the handshake",
        ),
        pytest.param(
            WORKED._replace(status=1, said="disk full"),
            Mark.WARN,
            "reached the server through nono, but ended with status 1 (disk full)",
            "try it: nono run -p default --allow-cwd -- ...",
            id="failed after the answer",
        ),
        pytest.param(
            Tried(126, "curl: Permission denied", (), reached_proxy=False),
            Mark.MISSING,
            "does not start inside: ended with status 126 (curl: Permission denied)",
            "nono learn -p default -- curl ... finds what to grant",
            id="not executable",
        ),
        pytest.param(
            Tried(1, "Picked up JAVA_TOOL_OPTIONS: -Dx\nNoRoute\n", (), reached_proxy=False),
            Mark.MISSING,
            "did not ask the proxy: ended with status 1 (NoRoute)",
            "unset its proxy",
            id="a JVM",
        ),
        pytest.param(
            Tried(1, "  [nono] WARNING: a\nnono: no rung\nhint: another kernel\n", (), reached_proxy=False),
            Mark.MISSING,
            "the run does not start: no rung",
            "another kernel",
            id="no run",
        ),
        pytest.param(
            Tried(1, "nono: no rung\n", (), reached_proxy=False),
            Mark.MISSING,
            "the run does not start: no rung",
            "see what is missing on this machine, above",
            id="no run, without a hint",
        ),
        pytest.param(
            Tried(None, "", (), reached_proxy=False),
            Mark.MISSING,
            "did not ask the proxy: did not end in time",
            "unset its proxy",
            id="hangs",
        ),
    ],
)
def test_what_was_seen_tells_what_is_missing(
    tried: Tried, mark: Mark, meaning: str, remedy: str | None
) -> None:
    assert judge(CLIENT, tried) == ("curl", mark, meaning, remedy)


def test_what_a_client_says_is_quoted_up_to_a_limit() -> None:
    for said in ("x" * 10_000, "x " * 10_000):
        found = judge(CLIENT, Tried(1, said, (), reached_proxy=False))
        assert found is not None
        assert len(found.meaning) < 400
        assert [line for line in finding_lines(found) if len(line) > 80] == []


def test_a_library_that_is_not_there_is_no_finding() -> None:
    assert judge(CLIENT, Tried(ABSENT, "", (), reached_proxy=False)) is None


@pytest.mark.parametrize(
    ("asked", "mark"), [(("SSH",), Mark.OK), ((), Mark.MISSING)], ids=["seen", "not seen"]
)
def test_a_client_that_is_not_served_works_once_it_was_heard(asked: tuple[str, ...], mark: Mark) -> None:
    found = judge(CLIENT._replace(is_served=False), Tried(128, "closed", asked, reached_proxy=True))
    assert found is not None
    assert found.mark is mark


@pytest.mark.parametrize(("status", "mark"), [(0, Mark.OK), (1, Mark.WARN)])
def test_an_engine_out_of_reach_is_a_warning(status: int, mark: Mark) -> None:
    found = judge(CLIENT._replace(without_server=True), Tried(status, "", (), reached_proxy=False))
    assert found is not None
    assert found.mark is mark


def test_a_client_has_a_name_of_its_own() -> None:
    assert len({client.name for client in CLIENTS}) == len(CLIENTS)


def test_the_server_is_on_loopback_only() -> None:
    with serving() as server, create_connection(("127.0.0.1", server.port)) as connection:
        assert connection.getpeername()[0] == "127.0.0.1"
        with pytest.raises(ConnectionRefusedError):
            create_connection(("127.0.0.2", server.port))


def test_a_request_outside_of_a_tunnel_is_not_answered() -> None:
    with serving() as server, create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a.invalid\r\nConnection: close\r\n\r\n")
        assert connection.makefile("rb").readline() == b"HTTP/1.1 400 Bad Request\r\n"
        assert server.asked("a.invalid") == ()


def test_a_request_in_a_tunnel_is_remembered_by_its_host() -> None:
    with serving() as server:
        with tunnel(server, "http/1.1") as tls:
            tls.sendall(b"GET /page?query HTTP/1.1\r\nHost: a.invalid\r\nConnection: close\r\n\r\n")
            assert tls.makefile("rb").read().endswith(b"\r\n\r\nok\n")
        assert server.asked("a.invalid") == ("GET /page",)
        assert server.asked("b.invalid") == ()


def test_a_call_of_grpc_is_answered_as_unimplemented() -> None:
    with serving() as server:
        with tunnel(server, "h2") as tls:
            client = H2Connection(H2Configuration(header_encoding="utf-8"))
            client.initiate_connection()
            fields = [
                (":method", "POST"),
                (":scheme", "https"),
                (":authority", "a.invalid"),
                (":path", "/a.B/C"),
            ]
            client.send_headers(1, fields, end_stream=True)
            tls.sendall(client.data_to_send())
            trailers: list[TrailersReceived] = []
            while not trailers:
                events = client.receive_data(tls.recv(4096))
                trailers = [event for event in events if isinstance(event, TrailersReceived)]
            assert [(str(name), str(value)) for name, value in trailers[0].headers] == [("grpc-status", "12")]
        assert server.asked("a.invalid") == ("POST /a.B/C",)


def test_a_broken_frame_of_http2_ends_its_connection_alone() -> None:
    settings = b"\0\0\1\4\0\0\0\0\0\xff"  # of one octet; each takes six
    with serving() as server:
        with tunnel(server, "h2") as tls:
            tls.settimeout(10)  # sooner than the server gives up on a connection that is silent
            tls.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings)
            while tls.recv(4096):
                pass
        with tunnel(server, "h2") as tls:
            assert tls.selected_alpn_protocol() == "h2"
