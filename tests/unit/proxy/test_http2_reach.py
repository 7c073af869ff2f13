"""Whose the HTTP/2 connection is while it is being made."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import anyio

from nono.policy.route_rules import NO_IDENTITY
from nono.proxy.connection_set import ConnectionSet
from nono.proxy.engine import Engine
from nono.proxy.filter import HostPolicy
from nono.proxy.http2_reach import Upstreams
from nono.proxy.upstream import PoolKey

KEY = PoolKey("https", "api.example", 443, NO_IDENTITY)


class _Transport(asyncio.Transport):
    """One that chose HTTP/2 and whose peer says nothing."""

    closed = False

    def get_extra_info(self, name: str, default: object = None) -> object:
        return SimpleNamespace(selected_alpn_protocol=lambda: "h2") if name == "ssl_object" else default

    def write(self, data: bytes | bytearray | memoryview) -> None: ...

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None: ...

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


def test_no_stream_begins_before_the_settings_are_here_and_a_connection_given_up_is_closed() -> None:
    transport = _Transport()

    async def run() -> None:
        async def opened(make: Callable[[], asyncio.Protocol], *_: object, **__: object) -> asyncio.Protocol:
            protocol = make()
            protocol.connection_made(transport)
            connected.set()
            return protocol  # the settings of the upstream, which are waited for, never come

        connected = anyio.Event()
        engine = SimpleNamespace(
            pool=SimpleNamespace(connections=ConnectionSet()),
            reach=SimpleNamespace(open=opened, dialer=SimpleNamespace(connect_timeout_s=60.0)),
        )
        upstreams = Upstreams(cast(Engine, engine))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(upstreams.reach, KEY, cast(HostPolicy, None), lambda: True)
            await connected.wait()
            assert upstreams.at_hand(KEY) is None
            tasks.cancel_scope.cancel()
        assert upstreams.at_hand(KEY) is None

    anyio.run(run)
    assert transport.closed
