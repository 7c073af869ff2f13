"""A connection that nobody wants any more is told to nobody, at whichever moment that is found out."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

import anyio
import pytest

from nono.policy.schema.route_rules import TlsIdentity
from nono.proxy.transport.handover import Handover
from nono.proxy.upstream.dial import Dialer
from support.servers.http1 import Authority, HttpUpstream, upstream


class Told(asyncio.Protocol):
    """Knows whether it was told of a connection, and of its end."""

    def __init__(self, told: list[Told]) -> None:
        self.transport: asyncio.Transport | None = None
        self.received = b""
        self.lost = anyio.Event()
        self._told = told

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._told.append(self)

    def data_received(self, data: bytes) -> None:
        self.received += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


async def never_asked(host: str, port: int) -> list[str]:
    pytest.fail(f"the address is known, and {host} was looked up")


async def dial(dialer: Dialer, server: HttpUpstream, ca: str | None, told: list[Told]) -> Told:
    return await dialer.open(
        lambda: Told(told),
        ["127.0.0.1"],
        server.port,
        server_name=None if ca is None else "api.test",
        tls=TlsIdentity(ca=ca),
    )


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "TLS"])
def test_a_dial_cancelled_at_any_loop_turn_leaves_no_connection_behind(
    encrypted: bool, tmp_path: Path
) -> None:
    authority = Authority(str(tmp_path / "ca.pem"))
    faults: list[object] = []

    async def main(server: HttpUpstream) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: faults.append(context))
        ca = authority.ca_file if encrypted else None
        dialer = Dialer(never_asked)
        dialer.context(TlsIdentity(ca=ca))  # loaded by a thread, it would take most of the turns
        completed = 0
        for turns in range(200):
            told: list[Told] = []
            task = asyncio.ensure_future(dial(dialer, server, ca, told))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            try:
                protocol = await task
            except asyncio.CancelledError:
                assert told == []
                continue
            completed += 1
            assert told == [protocol]
            assert protocol.transport is not None
            protocol.transport.abort()
            await protocol.lost.wait()
        assert completed < 200

    with upstream(tls=authority.server_context("api.test") if encrypted else None) as server:
        anyio.run(main, server, backend_options={"use_uvloop": True})
    assert faults == []


def test_early_bytes_with_their_end_reach_the_successor() -> None:
    async def main() -> None:
        told: list[Told] = []
        done = anyio.Event()

        class Early(Handover):
            def eof_received(self) -> bool:
                done.set()
                return super().eof_received()

        async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"hello")
            writer.write_eof()
            assert await reader.read() == b""
            writer.close()

        server = await asyncio.start_server(greet, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            transport, early = await asyncio.get_running_loop().create_connection(Early, "127.0.0.1", port)
            await done.wait()
            successor = Told(told)
            early.replace_with(successor, transport)
            assert successor.received == b"hello"
            await successor.lost.wait()

    anyio.run(main, backend_options={"use_uvloop": True})


def test_a_connection_that_is_gone_is_handed_to_nobody() -> None:
    async def main() -> None:
        lost = anyio.Event()

        class Watched(Handover):
            def connection_lost(self, exc: Exception | None) -> None:
                super().connection_lost(exc)
                lost.set()

        server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            transport, opening = await asyncio.get_running_loop().create_connection(
                Watched, "127.0.0.1", port
            )
            transport.abort()
            await lost.wait()
            told: list[Told] = []
            with pytest.raises(ConnectionResetError):
                opening.replace_with(Told(told), transport)
            assert told == []

    anyio.run(main, backend_options={"use_uvloop": True})


class Chooser(asyncio.Protocol):
    """Puts another in its place at once, as ALPN's choice does, and is kept by nobody."""

    def __init__(self, chosen: Told) -> None:
        self._chosen = chosen

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).set_protocol(self._chosen)
        self._chosen.connection_made(transport)


@pytest.mark.parametrize("is_chosen", [False, True])
@pytest.mark.parametrize("use_uvloop", [True, False], ids=["uvloop", "asyncio"])
def test_a_successor_is_told_of_the_end_whenever_it_was_set(
    use_uvloop: bool, is_chosen: bool, tmp_path: Path
) -> None:
    """Over TLS the loop chooses whom it tells a turn before it does."""
    authority = Authority(str(tmp_path / "ca.pem"))

    async def main(server: HttpUpstream) -> None:
        trust = authority.client_context()
        handed = 0
        for turns in range(20):
            transport, opening = await asyncio.get_running_loop().create_connection(
                Handover, "127.0.0.1", server.port, ssl=trust, server_hostname="api.test"
            )
            transport.abort()
            for _ in range(turns):
                await asyncio.sleep(0)
            successor = Told([])
            try:
                opening.replace_with(Chooser(successor) if is_chosen else successor, transport)
            except ConnectionResetError:
                continue
            handed += 1
            with anyio.fail_after(20):
                await successor.lost.wait()
        assert 0 < handed < 20

    with upstream(tls=authority.server_context("api.test")) as server:
        anyio.run(main, server, backend_options={"use_uvloop": use_uvloop})
