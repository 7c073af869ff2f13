"""A body of any length passes through a proxy that does not grow by it, however slow its reader is.

Under NONO_TEST_LONG=1 the bodies have 4 GiB.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from support.soak.actors import upload
from support.soak.client import Clients, Connection, Http2Client, stream_body, summed
from support.soak.proxy import KEY, WATCHED
from support.soak.stage import Stage, soak_stage
from support.soak.upstream import Sum, pattern

MIB = 1 << 20
IS_LONG = bool(os.environ.get("NONO_TEST_LONG"))
SIZE = (4 << 30) if IS_LONG else 64 * MIB
SIZE_OVER_HTTP2 = SIZE if IS_LONG else SIZE // 2  # the h2 library is slow on the other three ends, too
WARM = 8 * MIB  # passed before, so that what is imported and kept for the next body is there
MOST_GROWTH_KIB = 16 * 1024
LIMIT_S = 1200 if IS_LONG else 120

CASES = [
    ("reverse", "length", SIZE),
    ("reverse", "chunked", SIZE),
    ("reverse", "bomb", SIZE),
    ("intercepted", "length", SIZE),
    ("intercepted", "bomb", SIZE),
    ("http2", "length", SIZE_OVER_HTTP2),
    ("http2", "bomb", SIZE_OVER_HTTP2),
]


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with soak_stage() as stage:
        yield stage


@pytest.mark.timeout(LIMIT_S)
@pytest.mark.parametrize(
    ("transport", "behaviour", "size"), CASES, ids=[f"{case[0]}-{case[1]}" for case in CASES]
)
def test_a_proxy_does_not_grow_by_a_download(transport: str, behaviour: str, size: int, stage: Stage) -> None:
    assert asyncio.run(_download(stage, transport, behaviour, WARM)) == WARM
    before_kib = stage.proxy.ask("reset_peak")
    assert asyncio.run(_download(stage, transport, behaviour, size)) == size
    assert _peak_kib(stage) - before_kib <= MOST_GROWTH_KIB


@pytest.mark.timeout(LIMIT_S)
@pytest.mark.parametrize(
    ("transport", "size"), [("reverse", SIZE), ("intercepted", SIZE), ("http2", SIZE_OVER_HTTP2)]
)
def test_a_proxy_does_not_grow_by_an_upload(transport: str, size: int, stage: Stage) -> None:
    assert asyncio.run(_upload(stage, transport, WARM)) == WARM
    before_kib = stage.proxy.ask("reset_peak")
    assert asyncio.run(_upload(stage, transport, size)) == size
    assert _peak_kib(stage) - before_kib <= MOST_GROWTH_KIB


def _peak_kib(stage: Stage) -> int:
    peak: int = stage.proxy.ask("state", objects=False)["peak_kib"]
    return peak


async def _download(stage: Stage, transport: str, behaviour: str, size: int) -> int:
    """Return the bytes that came, with a halt, and decoded."""
    clients = Clients(stage.where)
    path, fields = f"/v1/1/{behaviour}/{size}", {"accept-encoding": "gzip"}
    if transport == "http2":
        async with clients.http2(WATCHED) as client:
            stream = await client.request("GET", path, fields)
            assert (await stream.head())[":status"] == "200"
            total, _ = await summed(_halting(stream_body(stream), stage), KEY.encode())
    else:
        async with clients.connect(
            "reverse" if transport == "reverse" else "intercepted", WATCHED
        ) as connection:
            await connection.begin("GET", path, fields)
            answer = await connection.answer()
            assert answer.status == 200
            assert "content-encoding" not in answer.fields
            total, _ = await summed(_halting(answer.body, stage), KEY.encode())
    return total


async def _halting(body: AsyncIterator[bytes], stage: Stage) -> AsyncIterator[bytes]:
    """Yield body. After its first piece, nothing is read until the upstream cannot send any more."""
    halts = True
    async for piece in body:
        yield piece
        if halts:
            halts = False
            await _standstill(lambda: asyncio.to_thread(stage.upstream.ask, "progress"))


async def _standstill(progress: Callable[[], Awaitable[int]]) -> None:
    """Wait until progress stays what it is.

    On a busy machine that may be too early, which spares the proxy.
    """
    last, repeated = await progress(), 0
    while repeated < 3:
        await asyncio.sleep(0.1)
        now = await progress()
        repeated = repeated + 1 if now == last else 0
        last = now


async def _upload(stage: Stage, transport: str, size: int) -> int:
    """Return the bytes that the upstream received: the first, and the rest once we could send no more."""
    await asyncio.to_thread(stage.upstream.ask, "hold")
    clients = Clients(stage.where)
    path = f"/v1/1/held_upload/{size}"
    progress = Sum()

    async def sent() -> int:
        return progress.size

    async def release() -> None:
        await _standstill(sent)
        await asyncio.to_thread(stage.upstream.ask, "release")

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(release())
        if transport == "http2":
            async with clients.http2(WATCHED) as client:
                return await _http2_upload(client, path, size, progress)
        async with clients.connect(
            "reverse" if transport == "reverse" else "intercepted", WATCHED
        ) as connection:
            return await _http1_upload(connection, path, size, progress)


async def _http1_upload(connection: Connection, path: str, size: int, progress: Sum) -> int:
    await upload(connection, path, size, progress, chunked=True)
    answer = await connection.answer()
    assert answer.status == 200
    return _told(b"".join([piece async for piece in answer.body]))


async def _http2_upload(client: Http2Client, path: str, size: int, progress: Sum) -> int:
    stream = await client.request("POST", path, end=False)
    async for piece in pattern(size):
        await stream.send(piece)
        progress.add(piece)
    await stream.send(b"", end=True)
    return _told(b"".join([piece async for piece in stream_body(stream)]))


def _told(answer: bytes) -> int:
    """Return the upstream's answer to an upload: its length and CRC-32."""
    return int(answer.split()[0])
