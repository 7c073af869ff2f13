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

import pytest

from support.proxy.http2_stage import HOST, KEY, a_route_to, authority, routes_stage
from support.proxy.thread import TIMEOUT_S

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADERS, SETTINGS, PING = 1, 4, 6
MIB = 1 << 20
MOST = 64 * MIB  # what is sent where nobody ends the connection; sockets hold a few MiB


def frame(kind: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes((kind, 0)) + struct.pack(">I", 0) + payload


def _read_request(transport: ssl.SSLSocket) -> None:
    stream = transport.makefile("rb")
    stream.read(len(PREFACE))
    kind = SETTINGS
    while kind != HEADERS:
        head = stream.read(9)
        kind = head[3]
        stream.read(int.from_bytes(head[:3]))


@dataclass
class Flood:
    port: int
    sent: int = 0
    is_over: threading.Event = field(default_factory=threading.Event)


@contextmanager
def flooding_upstream(context: ssl.SSLContext) -> Iterator[Flood]:
    """Yield a server of HTTP/2 that reads one request and sends PINGs, up to MOST, until it is cut off."""
    context.set_alpn_protocols(["h2"])
    listener = socket.create_server(("127.0.0.1", 0))
    flood = Flood(listener.getsockname()[1])

    def serve() -> None:
        piece = frame(PING, b"12345678") * 4000
        with suppress(OSError), context.wrap_socket(listener.accept()[0], server_side=True) as transport:
            transport.settimeout(TIMEOUT_S)
            transport.sendall(frame(SETTINGS))
            _read_request(transport)
            while flood.sent < MOST:
                transport.sendall(piece)
                flood.sent += len(piece)
        flood.is_over.set()

    serving = threading.Thread(target=serve)
    serving.start()
    try:
        yield flood
    finally:
        listener.close()
        serving.join()


def test_an_upstream_that_floods_on_after_its_end_is_cut_off(caplog: pytest.LogCaptureFixture) -> None:
    with authority() as ca, flooding_upstream(ca.server_context(HOST)) as flood:
        route = a_route_to(flood.port, ca.ca_file)
        with routes_stage(flood.port, ca.ca_file, [route]) as stage, stage.client() as client:
            with caplog.at_level(logging.WARNING):
                assert client.get(fields=[KEY]).status == 502
                assert flood.is_over.wait(TIMEOUT_S)
            assert flood.sent < MOST
            assert [each.getMessage() for each in caplog.records] == []
