"""An upstream whose HTTP/2 connection the proxy has ended is read no further."""

from __future__ import annotations

import logging
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import IO

import pytest

from support.clients.http2 import frame
from support.proxy.http2_stage import HOST, KEY, Stage, a_route_to, authority, routes_stage
from support.proxy.thread import TIMEOUT_S

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADERS, SETTINGS, PING, GOAWAY = 1, 4, 6, 7
ENDED = 5  # flags of a head: END_STREAM and END_HEADERS
MIB = 1 << 20
MOST = 64 * MIB  # what is sent where nobody ends the connection; sockets hold a few MiB


ANSWER = frame(HEADERS, b"\x88", flags=ENDED, stream=1)  # 200
FAREWELL = frame(GOAWAY, struct.pack(">II", 1, 0))
A_PING = frame(PING, b"12345678")


def _read_to(kind: int, stream: IO[bytes]) -> None:
    while (head := stream.read(9))[3] != kind:
        stream.read(int.from_bytes(head[:3]))
    stream.read(int.from_bytes(head[:3]))


def _read_request(stream: IO[bytes]) -> None:
    stream.read(len(PREFACE))
    _read_to(HEADERS, stream)


@dataclass
class Flood:
    port: int
    sent: int = 0
    ended_cleanly: bool = False
    is_over: threading.Event = field(default_factory=threading.Event)


@contextmanager
def flooding_upstream(context: ssl.SSLContext, first: bytes, then: bytes) -> Iterator[Flood]:
    """Yield a server of HTTP/2 that reads one request and answers it with `first`.

    When the proxy has said goodbye, it sends `then` over and over, up to MOST, until it is cut off. Without
    `then` it waits for the end of the connection.
    """
    context.set_alpn_protocols(["h2"])
    listener = socket.create_server(("127.0.0.1", 0))
    flood = Flood(listener.getsockname()[1])

    def serve() -> None:
        with suppress(OSError), context.wrap_socket(listener.accept()[0], server_side=True) as transport:
            transport.settimeout(TIMEOUT_S)
            transport.sendall(frame(SETTINGS))
            stream = transport.makefile("rb")
            _read_request(stream)
            transport.sendall(first)
            _read_to(GOAWAY, stream)
            if not then:
                flood.ended_cleanly = transport.recv(1) == b""  # else an error: no close_notify
            while then and flood.sent < MOST:
                transport.sendall(then)
                flood.sent += len(then)
        flood.is_over.set()

    serving = threading.Thread(target=serve)
    serving.start()
    try:
        yield flood
    finally:
        listener.close()
        serving.join()


@contextmanager
def on_stage(first: bytes, then: bytes) -> Iterator[tuple[Stage, Flood]]:
    with authority() as ca, flooding_upstream(ca.server_context(HOST), first, then) as flood:
        route = a_route_to(flood.port, ca.ca_file)
        with routes_stage(flood.port, ca.ca_file, [route]) as stage:
            yield stage, flood


@pytest.mark.parametrize(
    ("first", "then", "status"),
    [
        pytest.param(A_PING * 4000, A_PING * 4000, 502, id="a fault"),
        pytest.param(ANSWER + FAREWELL, FAREWELL * 4000, 200, id="a farewell of its own"),
    ],
)
def test_an_upstream_that_floods_on_after_its_end_is_cut_off(
    first: bytes, then: bytes, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    with on_stage(first, then) as (stage, flood), stage.client() as client:
        with caplog.at_level(logging.WARNING):
            assert client.get(fields=[KEY]).status == status
            assert flood.is_over.wait(TIMEOUT_S)
        assert flood.sent < MOST
        assert [each.getMessage() for each in caplog.records] == []


def test_an_upstream_that_says_farewell_is_told_the_end_of_tls() -> None:
    with on_stage(ANSWER + FAREWELL, b"") as (stage, flood), stage.client() as client:
        assert client.get(fields=[KEY]).status == 200
        assert flood.is_over.wait(TIMEOUT_S)
        assert flood.ended_cleanly


def test_an_upstream_is_told_the_end_of_tls_when_its_client_leaves() -> None:
    with on_stage(ANSWER, b"") as (stage, flood):
        with stage.client() as client:
            assert client.get(fields=[KEY]).status == 200
        assert flood.is_over.wait(TIMEOUT_S)
        assert flood.ended_cleanly
