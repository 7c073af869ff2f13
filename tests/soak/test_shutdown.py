"""A proxy that ends lets the responses that run end too, within its grace, and takes nothing new."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from support.soak.client import Clients, Connection, Transport, stream_body, summed
from support.soak.http2 import StreamLostError
from support.soak.proxy import UNWATCHED, WATCHED
from support.soak.stage import Stage, soak_stage

EVENTS = 1000
HELD = b"data: first\n\n"
WHOLE = len(HELD) + sum(len(b"data: %d\n\n" % number) for number in range(EVENTS))
TRANSPORTS: list[tuple[Transport, str]] = [
    ("reverse", WATCHED),
    ("reverse", UNWATCHED),
    ("intercepted", WATCHED),
    ("absolute", ""),
]
LONG_GRACE_S, SHORT_GRACE_S = 60.0, 0.3
EMPTY = {"clients": 0, "upstreams": 0}


@contextmanager
def closing(grace_s: float) -> Iterator[tuple[Stage, Clients]]:
    with soak_stage(close_grace_s=grace_s) as stage:
        yield stage, Clients(stage.where)


async def _refuses(stage: Stage) -> None:
    """Wait until the proxy accepts no connection any more."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", stage.where.port)
        except ConnectionRefusedError:
            return
        writer.transport.abort()
        await asyncio.sleep(0.01)


async def _answer_of(stage: Stage, order: str) -> object:
    return await asyncio.to_thread(stage.proxy.ask, order)


async def _closed_without_an_answer(connection: Connection) -> bool:
    try:
        return await connection.reader.read(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize(
    ("transport", "service"), TRANSPORTS, ids=["reverse", "unwatched", "intercepted", "absolute"]
)
def test_a_running_response_ends_whole_as_the_last_of_its_connection(
    transport: Transport, service: str
) -> None:
    async def run(stage: Stage, clients: Clients) -> None:
        async with (
            clients.connect(transport, service) as busy,
            clients.connect(transport, service) as idle,
        ):
            await idle.begin("GET", "/v1/1/length/10")
            assert (await summed((await idle.answer()).body))[0] == 10
            await busy.begin("GET", f"/v1/2/held/{EVENTS}")
            answer = await busy.answer()
            assert await anext(answer.body) == HELD
            closed = asyncio.create_task(_answer_of(stage, "close"))
            await _refuses(stage)
            assert await _closed_without_an_answer(idle)
            await asyncio.to_thread(stage.upstream.ask, "release")
            size, _ = await summed(answer.body)
            assert len(HELD) + size == WHOLE
            assert await _closed_without_an_answer(busy)
            assert await closed == EMPTY

    with closing(LONG_GRACE_S) as (stage, clients):
        asyncio.run(run(stage, clients))


def test_a_running_http2_stream_ends_whole_as_the_last() -> None:
    async def run(stage: Stage, clients: Clients) -> None:
        async with clients.http2(WATCHED) as client:
            stream = await client.request("GET", f"/v1/1/held/{EVENTS}")
            assert (await stream.head())[":status"] == "200"
            assert await stream.read() == HELD
            closed = asyncio.create_task(_answer_of(stage, "close"))
            await _refuses(stage)
            late = await client.request("GET", "/v1/2/length/10")
            with pytest.raises(StreamLostError):
                await late.head()
            await asyncio.to_thread(stage.upstream.ask, "release")
            size, _ = await summed(stream_body(stream))
            assert len(HELD) + size == WHOLE
            assert await closed == EMPTY

    with closing(LONG_GRACE_S) as (stage, clients):
        asyncio.run(run(stage, clients))
        assert stage.upstream.ask("report")["seen"] == [1]


def test_a_response_that_does_not_end_is_cut_when_the_grace_is_over() -> None:
    async def run(stage: Stage, clients: Clients) -> None:
        async with (
            clients.connect("reverse", WATCHED) as reverse,
            clients.connect("intercepted", WATCHED) as intercepted,
            clients.http2(WATCHED) as http2,
        ):
            answers = []
            for connection in (reverse, intercepted):
                await connection.begin("GET", "/v1/1/held/1")
                answer = await connection.answer()
                assert await anext(answer.body) == HELD
                answers.append(answer)
            stream = await http2.request("GET", "/v1/2/held/1")
            assert await stream.read() == HELD
            assert await _answer_of(stage, "close") == EMPTY
            for answer in answers:  # never as if it were whole
                with pytest.raises((OSError, EOFError)):
                    await summed(answer.body)
            with pytest.raises(StreamLostError):
                await stream.read()

    with closing(SHORT_GRACE_S) as (stage, clients):
        asyncio.run(run(stage, clients))


def test_a_tunnel_and_a_websocket_do_not_hold_the_end_up() -> None:
    async def run(stage: Stage, clients: Clients) -> None:
        async with clients.connect("tunnel", "") as tunnel, clients.connect("reverse", WATCHED) as websocket:
            await tunnel.begin("GET", "/v1/1/held/1")
            answer = await tunnel.answer()
            assert await anext(answer.body) == HELD
            fields = {
                "Connection": "Upgrade", "Upgrade": "websocket",
                "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version": "13",
            }  # fmt: skip
            await websocket.begin("GET", "/v1/2/websocket/0", fields)
            assert (await websocket.answer()).status == 101
            # Within the grace of a response, and not after it.
            async with asyncio.timeout(LONG_GRACE_S / 2):
                assert await _answer_of(stage, "close") == EMPTY
            with pytest.raises((OSError, EOFError)):
                await summed(answer.body)
            assert await _closed_without_an_answer(websocket)

    with closing(LONG_GRACE_S) as (stage, clients):
        asyncio.run(run(stage, clients))
