"""Whose the HTTP/2 connection is while it is being made."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import anyio
import pytest

from nono.policy.schema.route_rules import NO_IDENTITY
from nono.proxy.exchange.context import ProxyContext
from nono.proxy.exchange.held import HeldBytes
from nono.proxy.http import refusal
from nono.proxy.http.refusal import Refusal
from nono.proxy.http2.upstreams import Upstreams
from nono.proxy.transport.connection_set import ConnectionSet
from nono.proxy.transport.turns import Turns
from nono.proxy.upstream.connection import PoolKey
from nono.proxy.verdict.host_policy import HostPolicy

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


def test_a_connection_given_up_before_its_settings_is_closed() -> None:
    transport = _Transport()

    async def run() -> None:
        async def opened(make: Callable[[], asyncio.Protocol], *_: object, **__: object) -> asyncio.Protocol:
            protocol = make()
            protocol.connection_made(transport)
            connected.set()
            return protocol  # the settings of the upstream, which are waited for, never come

        connected = anyio.Event()
        context = SimpleNamespace(
            pool=SimpleNamespace(connections=ConnectionSet(), idle_timeout_s=90.0),
            http2_places=anyio.Semaphore(1),
            http2_held=HeldBytes(0),
            turns=Turns(),
            connector=SimpleNamespace(connect=opened, dialer=SimpleNamespace(connect_timeout_s=60.0)),
        )
        upstreams = Upstreams(cast(ProxyContext, context))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(upstreams.reach, KEY, cast(HostPolicy, None), lambda: True)
            await connected.wait()
            assert upstreams.at_hand(KEY) is None
            tasks.cancel_scope.cancel()
        assert upstreams.at_hand(KEY) is None

    anyio.run(run)
    assert transport.closed


@pytest.mark.parametrize("is_of_the_way", [True, False])
def test_only_streams_waiting_for_a_handshake_share_its_failure(
    is_of_the_way: bool,
) -> None:
    """With a failure of one's own, such as a record that could not be written, it ends for that one only."""

    async def run() -> list[str]:
        async def opened(*_: object, **__: object) -> Refusal:
            await anyio.wait_all_tasks_blocked()
            attempts.append(f"attempt {len(attempts) + 1}")
            answer = refusal.upstream_failed("api.test", attempts[-1], "timeout")
            return answer if is_of_the_way else answer._replace(category=None)

        async def reach() -> None:
            answer = await upstreams.reach(KEY, cast(HostPolicy, None), lambda: True)
            assert isinstance(answer, Refusal)
            answers.append(answer.error)

        attempts: list[str] = []
        answers: list[str] = []
        context = SimpleNamespace(
            pool=SimpleNamespace(idle_timeout_s=90.0),
            connector=SimpleNamespace(connect=opened),
            http2_places=anyio.Semaphore(1),
        )
        upstreams = Upstreams(cast(ProxyContext, context))
        for waiting in (3, 2):
            async with anyio.create_task_group() as tasks:
                for _ in range(waiting):
                    tasks.start_soon(reach)
        return answers

    shared = ["attempt 1"] * 3 + ["attempt 2"] * 2
    assert anyio.run(run) == (shared if is_of_the_way else [f"attempt {number}" for number in range(1, 6)])
