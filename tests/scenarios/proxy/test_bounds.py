"""What is over is not kept: neither the connection of a client that left, nor what was made for it."""

from __future__ import annotations

import asyncio
import gc
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from nono.policy.schema.route_rules import NO_IDENTITY
from nono.proxy.transport.splice import SpliceEnd
from nono.proxy.transport.turns import Turns
from nono.proxy.upstream.connection import PoolKey, UpstreamConnection
from nono.proxy.upstream.pool import Pool
from support.proxy.interception import connect, intercepting
from support.proxy.thread import PHANTOM, TIMEOUT_S, Client, Hosts, ProxyUnderTest, a_route, proxy, wait_until
from support.servers.http1 import Authority, Received, upstream

HOST = "api.test"
FIELDS = f"Authorization: Bearer {PHANTOM}\r\n"
IDLE_S = 121  # longer than a client may be idle
UNREAD = bytes(64 * 1024 * 1024)  # more than all the buffers on the way hold


@dataclass
class Stage:
    """A client whose requests are for target, and the proxy it is connected to."""

    client: Client
    target: str
    authority: str
    proxy: ProxyUnderTest

    def request(self, method: str = "GET", fields: str = "") -> bytes:
        return f"{method} {self.target} HTTP/1.1\r\nHost: {self.authority}\r\n{FIELDS}{fields}\r\n".encode()

    def reset(self) -> None:
        self.client.transport.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.client.transport.close()

    def is_noticed(self) -> bool:
        """Let an idle client's time pass. Returns True once the proxy keeps no connection."""
        self.proxy.let_pass(IDLE_S)
        return self.proxy.running.client_connections == 0


@contextmanager
def reverse(handler: Callable[[Received], None], folder: Path) -> Iterator[Stage]:
    with (
        upstream(handler) as server,
        proxy(a_route(server.port)) as p,
        Client(p.port) as client,
    ):
        yield Stage(client, "/alpha/x", "127.0.0.1", p)


@contextmanager
def intercepted(handler: Callable[[Received], None], folder: Path) -> Iterator[Stage]:
    authority = Authority(str(folder / "ca.pem"))
    with upstream(handler, authority.server_context(HOST)) as server:
        route = a_route(server.port, host=HOST, scheme="https", tls_ca=authority.ca_file)
        with intercepting(route) as p, p.inside(HOST, server.port) as client:
            yield Stage(client, "/x", f"{HOST}:{server.port}", p)


StageOf = Callable[[Callable[[Received], None], Path], AbstractContextManager[Stage]]
each_way = pytest.mark.parametrize("stage_of", [reverse, intercepted])


class Silent:
    """An upstream that begins a response, and waits for the end of the proxy's interest or for release."""

    def __init__(self) -> None:
        self.gone = threading.Event()
        self.release = threading.Event()

    def __call__(self, request: Received) -> None:
        request.connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na")
        if self.release.is_set():
            request.connection.send(b"b")
            return
        with suppress(TimeoutError):
            request.connection.wait_gone()
            self.gone.set()


@each_way
@pytest.mark.parametrize("leaves", ["in order", "by reset"])
def test_a_client_that_left_behind_a_second_request_is_noticed(
    leaves: str, stage_of: StageOf, tmp_path: Path
) -> None:
    silent = Silent()
    with stage_of(silent, tmp_path) as stage:
        # The second is not read before the first has been answered, nor is what comes after it.
        stage.client.send(2 * stage.request())
        assert stage.client.read_until(b"\r\n\r\na")
        stage.client.transport.close() if leaves == "in order" else stage.reset()
        wait_until(stage.is_noticed)
        assert silent.gone.wait(TIMEOUT_S)


@each_way
def test_a_client_that_waits_behind_a_second_request_is_served(stage_of: StageOf, tmp_path: Path) -> None:
    begun, goes_on = threading.Event(), threading.Event()

    def handler(request: Received) -> None:
        request.connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na")
        begun.set()
        assert goes_on.wait(TIMEOUT_S)
        request.connection.send(b"b")

    with stage_of(handler, tmp_path) as stage:
        stage.client.send(2 * stage.request())
        assert begun.wait(TIMEOUT_S)
        for _ in range(2):
            assert not stage.is_noticed()
        goes_on.set()
        assert [stage.client.response().body for _ in range(2)] == [b"ab", b"ab"]


@each_way
def test_a_client_leaving_a_stalled_upload_is_noticed(stage_of: StageOf, tmp_path: Path) -> None:
    begun, stands, gone = threading.Event(), threading.Event(), threading.Event()

    def handler(request: Received) -> None:
        begun.set()
        assert stands.wait(TIMEOUT_S)
        with suppress(TimeoutError):
            request.connection.wait_gone()
            gone.set()

    with stage_of(handler, tmp_path) as stage:
        stage.client.send(stage.request("POST", f"Content-Length: {len(UNREAD)}\r\n"))
        assert begun.wait(TIMEOUT_S)
        stage.client.transport.settimeout(1.0)
        with pytest.raises(TimeoutError):
            stage.client.send(UNREAD)
        stage.reset()
        wait_until(stage.is_noticed)
        stands.set()
        assert gone.wait(TIMEOUT_S)


def _tunnel_ends() -> int:
    gc.collect()
    return sum(isinstance(each, SpliceEnd) for each in gc.get_objects())


@pytest.mark.parametrize("who", ["client", "upstream"])
def test_a_tunnel_that_has_ended_is_not_kept(who: str) -> None:
    ended = threading.Event()

    def handler(request: Received) -> None:
        request.connection.send(b"answer")
        if who == "upstream":
            request.connection.transport.close()
        else:
            request.connection.wait_gone()
        ended.set()

    before = _tunnel_ends()
    with (
        upstream(handler) as server,
        proxy(hosts=Hosts(raw=frozenset({(HOST, server.port)}))) as p,
        Client(p.port) as client,
    ):
        client.send(connect(f"{HOST}:{server.port}"))
        assert client.head()[0] == 200
        client.send(b"anything\r\n\r\n")
        assert client.read_exactly(6) == b"answer"
        if who == "upstream":
            assert client.is_closed()
        client.transport.close()
        assert ended.wait(TIMEOUT_S)
        wait_until(lambda: p.running.client_connections == 0)
        wait_until(lambda: _tunnel_ends() == before)


def test_a_pool_keeps_nothing_of_an_origin_whose_connections_are_gone() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        pool = Pool(idle_timeout_s=0.05, trim_after_s=0.01)
        all_gone = asyncio.Event()
        pool.connections.emptied = all_gone.set
        listener = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        async with listener:
            port = listener.sockets[0].getsockname()[1]
            for number in range(20):
                key = PoolKey("http", f"{number}.test", port, NO_IDENTITY)
                connection = UpstreamConnection(key, pool, Turns())
                await loop.create_connection(lambda made=connection: made, "127.0.0.1", port)  # type: ignore[misc]  # bound now
                pool.give(connection)
            while pool._idle:  # the first may be gone before the last is given
                await asyncio.wait_for(all_gone.wait(), TIMEOUT_S)
                all_gone.clear()
        pool.close()

    asyncio.run(main())
