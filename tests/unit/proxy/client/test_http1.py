"""nono.proxy.client.http1: a connection that TLS has lost and of which uvloop has not told yet."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
import uvloop

from nono.proxy.client.http1 import ClientConnection
from support.servers.http1 import Authority

HOST = "api.test"


class Told(asyncio.Protocol):
    """Notes that it was told of the end of its connection."""

    is_lost = False

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True


@pytest.mark.parametrize("name", ["is_gone", "has_unread"])
def test_a_client_is_gone_as_soon_as_tls_has_lost_its_connection(tmp_path: Path, name: str) -> None:
    """uvloop has no socket for it then: a look at it ended in a fault."""
    authority = Authority(str(tmp_path / "ca.pem"))

    def come_and_leave(end: socket.socket) -> None:
        with authority.client_context().wrap_socket(end, server_hostname=HOST):
            pass

    async def main() -> None:
        ours, theirs = socket.socketpair()
        loop = asyncio.get_running_loop()
        left = loop.run_in_executor(None, come_and_leave, theirs)
        told = Told()
        transport, _ = await loop.connect_accepted_socket(
            lambda: told, ours, ssl=authority.server_context(HOST)
        )
        client = ClientConnection.__new__(ClientConnection)
        client._transport = transport
        answers = []
        while not told.is_lost:
            if transport.get_extra_info("socket") is None:
                answers.append(getattr(client, name))
            await asyncio.sleep(0)
        assert answers
        assert all(answers)
        await left

    uvloop.run(main())
