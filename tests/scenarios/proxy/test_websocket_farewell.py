"""An upstream whose WebSocket is over is read no further, and still gets the client's last bytes."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from support.proxy.http2_stage import HOST, a_route_to, authority, routes_stage
from support.proxy.localhost import intercepted_localhost
from support.proxy.thread import PHANTOM, TIMEOUT_S, Client, wait_until

HANDSHAKE = (
    b"GET /alpha/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer " + PHANTOM.encode() + b"\r\n"
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nhello"
)
MIB = 1 << 20
MOST = 512 * MIB  # what is sent where nobody ends the connection
LAST = bytes(range(256)) * 4096 * 2  # more than a socket takes at once


@contextmanager
def serving(context: ssl.SSLContext, serve: Callable[[ssl.SSLSocket], None]) -> Iterator[int]:
    """Yield the port of an upstream that completes one handshake and passes the connection to `serve`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run() -> None:
            with suppress(OSError), context.wrap_socket(listener.accept()[0], server_side=True) as transport:
                transport.settimeout(TIMEOUT_S)
                transport.recv(4096)
                transport.sendall(SWITCHED)
                serve(transport)

        serving = threading.Thread(target=run)
        serving.start()
        yield listener.getsockname()[1]
        serving.join()


@contextmanager
def opened(serve: Callable[[ssl.SSLSocket], None]) -> Iterator[Client]:
    """Yield a client whose WebSocket to the upstream is open."""
    with (
        authority() as ca,
        serving(ca.server_context(HOST), serve) as port,
        routes_stage(port, ca.ca_file, [a_route_to(port, ca.ca_file)]) as stage,
        Client(stage.proxy.port) as client,
    ):
        client.send(HANDSHAKE)
        client.read_until(b"hello")
        yield client


@pytest.mark.parametrize("how", [socket.SHUT_WR, None], ids=["half-close", "close"])
def test_an_upstream_that_floods_on_after_its_client_has_left_is_cut_off(how: int | None) -> None:
    sent, is_over, has_left = [0], threading.Event(), threading.Event()

    def flood(transport: ssl.SSLSocket) -> None:
        assert has_left.wait(TIMEOUT_S)
        try:
            while sent[0] < MOST:
                transport.sendall(bytes(MIB))
                sent[0] += MIB
        finally:
            is_over.set()

    with opened(flood) as client:
        if how is None:
            client.transport.close()
        else:
            client.transport.shutdown(how)
        has_left.set()
        assert is_over.wait(TIMEOUT_S)
    assert sent[0] < MOST


def test_an_upstream_that_reads_slowly_gets_all_that_its_client_has_sent() -> None:
    received, goes_on, is_over = bytearray(), threading.Event(), threading.Event()

    def read(transport: ssl.SSLSocket) -> None:
        assert goes_on.wait(TIMEOUT_S)
        while piece := transport.recv(65536):  # the end of TLS; an error without one
            received.extend(piece)
        is_over.set()

    with opened(read) as client:
        client.send(LAST)
        client.transport.close()
        goes_on.set()
        assert is_over.wait(TIMEOUT_S)
    assert bytes(received) == LAST


def test_a_client_that_is_lost_as_its_websocket_opens_is_forgotten() -> None:
    """Over TLS the loop chooses whom it tells of the end a turn before it does."""
    with intercepted_localhost(lambda request: request.connection.send(SWITCHED)) as (server, p):
        host = f"localhost:{server.port}".encode()
        for number in range(200):
            with p.inside("localhost", server.port) as client:
                client.send(HANDSHAKE.replace(b"/alpha/ws", b"/ws").replace(b"127.0.0.1", host))
                # The answer takes about as long: the end meets each turn of it.
                time.sleep(number % 50 * 1e-4)
                client.transport.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wait_until(lambda: p.running.client_connections == 0)
    assert server.connections  # under load a client may be lost before its request is read
