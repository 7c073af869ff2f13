"""nono.proxy.transport.server_handshake: how the handshake ended is told once, and no task waits for it."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import ssl
import struct
import termios
from collections.abc import Callable
from pathlib import Path
from typing import cast

import anyio
import pytest

from nono.proxy.tls.session_ca import SessionCa
from nono.proxy.transport import server_handshake
from nono.proxy.transport.server_handshake import Secured
from nono.proxy.transport.tls_reads import TlsReads
from support.servers.http1 import Authority

HOST = "api.test"


class Greeting(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(b"hello")


class Quiet(asyncio.Protocol):
    """Says nothing, and so acknowledges nothing along with it."""


class Front(asyncio.Protocol):
    """Reads the first bytes of a client, and gives them to the handshake."""

    def __init__(
        self,
        context: ssl.SSLContext,
        timeout_s: float = 30.0,
        successor: Callable[[], asyncio.Protocol] = Greeting,
    ) -> None:
        self.told: list[Secured | Exception] = []
        self.done = anyio.Event()
        self.made_tasks = False
        self.transport: asyncio.Transport
        self._context = context
        self._timeout_s = timeout_s
        self._successor = successor

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        before = asyncio.all_tasks()
        server_handshake.begin(self.transport, self._context, TlsReads(), data, self._timeout_s, self._ended)
        self.made_tasks = asyncio.all_tasks() != before

    def _ended(self, result: Secured | Exception) -> None:
        self.told.append(result)
        if isinstance(result, Secured):
            result.hand_over(self._successor())
        self.done.set()


async def serve(front: Front, client: Callable[[int], object]) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: front, "127.0.0.1", 0)
    async with server:
        with anyio.fail_after(20):
            await cast(asyncio.Future[None], client(server.sockets[0].getsockname()[1]))
            await front.done.wait()
    assert not front.made_tasks


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(str(tmp_path / "ca.pem"))


@pytest.mark.parametrize("use_uvloop", [True, False], ids=["uvloop", "asyncio"])
def test_a_handshake_ends_in_a_transport_for_the_successor(authority: Authority, use_uvloop: bool) -> None:
    async def client(port: int) -> None:
        trust = authority.client_context()
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust, server_hostname=HOST)
        assert await reader.readexactly(5) == b"hello"
        writer.close()

    front = Front(authority.server_context(HOST))
    anyio.run(serve, front, client, backend_options={"use_uvloop": use_uvloop})
    assert [type(each) for each in front.told] == [Secured]


@pytest.mark.parametrize("use_uvloop", [True, False], ids=["uvloop", "asyncio"])
def test_a_handshake_of_a_client_under_nagles_algorithm_is_acknowledged_at_once(
    authority: Authority, use_uvloop: bool
) -> None:
    unacknowledged: list[int] = []

    async def client(port: int) -> None:
        connected = socket.create_connection(("127.0.0.1", port))
        connected.setblocking(False)
        trust = authority.client_context()
        received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
        inside = trust.wrap_bio(received, sent, server_hostname=HOST)
        loop = asyncio.get_running_loop()
        with connected:
            while True:
                try:
                    inside.do_handshake()
                except ssl.SSLWantReadError:
                    await loop.sock_sendall(connected, sent.read())
                    received.write(await loop.sock_recv(connected, 1 << 16))
                else:
                    break
            await loop.sock_sendall(connected, sent.read())
            await front.done.wait()
            unacknowledged.append(struct.unpack("i", fcntl.ioctl(connected, termios.TIOCOUTQ, bytes(4)))[0])

    # As the proxy's own, which sends no tickets: with them an acknowledgement would go along.
    context = authority.server_context(HOST)
    context.num_tickets = 0
    front = Front(context, successor=Quiet)
    anyio.run(serve, front, client, backend_options={"use_uvloop": use_uvloop})
    assert unacknowledged == [0]


def test_a_client_that_has_no_suite_in_common_is_told_of_once(authority: Authority) -> None:
    async def client(port: int) -> None:
        trust = authority.client_context()
        trust.maximum_version = ssl.TLSVersion.TLSv1_2
        trust.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")  # the server's key is on a curve
        with pytest.raises((ssl.SSLError, ConnectionResetError)):  # an alert, or the reset after it
            await asyncio.open_connection("127.0.0.1", port, ssl=trust, server_hostname=HOST)

    front = Front(SessionCa.create().server_context(HOST))
    anyio.run(serve, front, client, backend_options={"use_uvloop": True})
    [failure] = front.told
    assert isinstance(failure, ssl.SSLError)
    assert front.transport.is_closing()


@pytest.mark.parametrize("leaves", [True, False], ids=["leaves", "stays silent"])
def test_a_client_that_does_not_go_on_is_told_of_once(authority: Authority, leaves: bool) -> None:
    async def client(port: int) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\x16\x03\x01\x00\x10\x01")  # the beginning of a ClientHello
        await writer.drain()
        if not leaves:
            await front.done.wait()
        writer.close()

    front = Front(authority.server_context(HOST), timeout_s=0.2)
    anyio.run(serve, front, client, backend_options={"use_uvloop": True})
    [failure] = front.told
    assert isinstance(failure, OSError)
    assert front.transport.is_closing()


@pytest.mark.parametrize("use_uvloop", [True, False], ids=["uvloop", "asyncio"])
def test_a_connection_that_is_aborted_meanwhile_is_told_of_once(
    authority: Authority, use_uvloop: bool
) -> None:
    """start_tls() returns then as if it had succeeded."""

    async def client(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        hello, answer = ssl.MemoryBIO(), ssl.MemoryBIO()
        with pytest.raises(ssl.SSLWantReadError):
            authority.client_context().wrap_bio(answer, hello, server_hostname=HOST).do_handshake()
        writer.write(hello.read())
        assert await reader.readexactly(5)
        front.transport.abort()
        await front.done.wait()
        writer.close()

    front = Front(authority.server_context(HOST))
    anyio.run(serve, front, client, backend_options={"use_uvloop": use_uvloop})
    [failure] = front.told
    assert isinstance(failure, ConnectionAbortedError)
