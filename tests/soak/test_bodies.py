"""A body of any length passes through a proxy that does not grow by it, however slow its reader is.

Under NONO_TEST_LONG=1 the bodies have 4 GiB.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator

import pytest

from support.soak_actors import upload
from support.soak_client import Clients, Connection, Http2Client, stream_body, summed
from support.soak_proxy import KEY, WATCHED
from support.soak_stage import Stage, soak_stage
from support.soak_upstream import HALT_BYTES, HALT_S, pattern

MIB = 1 << 20
SIZE = (4 << 30) if os.environ.get("NONO_TEST_LONG") else 256 * MIB
WARM = 8 * MIB  # passed before, so that what is imported and kept for the next body is there
MOST_GROWTH_KIB = 16 * 1024
LIMIT_S = 1200 if os.environ.get("NONO_TEST_LONG") else 120

WAYS = ("reverse", "intercepted", "http2")
DOWNLOADS = ("length", "chunked", "bomb")


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with soak_stage() as stage:
        yield stage


@pytest.mark.timeout(LIMIT_S)
@pytest.mark.parametrize("behaviour", DOWNLOADS)
@pytest.mark.parametrize("way", WAYS)
def test_a_proxy_does_not_grow_by_a_download(way: str, behaviour: str, stage: Stage) -> None:
    assert asyncio.run(_download(stage, way, behaviour, WARM)) == WARM
    before_kib = stage.proxy.ask("reset_peak")
    assert asyncio.run(_download(stage, way, behaviour, SIZE)) == SIZE
    assert _peak_kib(stage) - before_kib <= MOST_GROWTH_KIB


@pytest.mark.timeout(LIMIT_S)
@pytest.mark.parametrize("way", WAYS)
def test_a_proxy_does_not_grow_by_an_upload(way: str, stage: Stage) -> None:
    assert asyncio.run(_upload(stage, way, WARM)) == WARM
    before_kib = stage.proxy.ask("reset_peak")
    assert asyncio.run(_upload(stage, way, SIZE)) == SIZE
    assert _peak_kib(stage) - before_kib <= MOST_GROWTH_KIB


def _peak_kib(stage: Stage) -> int:
    peak: int = stage.proxy.ask("state", objects=False)["peak_kib"]
    return peak


async def _download(stage: Stage, way: str, behaviour: str, size: int) -> int:
    """The bytes that came, read by halts and decoded, in full."""
    clients = Clients(stage.where)
    path, fields = f"/v1/1/{behaviour}/{size}", {"accept-encoding": "gzip"}
    if way == "http2":
        async with clients.http2(WATCHED) as client:
            stream = await client.request("GET", path, fields)
            assert (await stream.head())[":status"] == "200"
            total, _ = await summed(_halting(stream_body(stream)), KEY.encode())
    else:
        async with clients.connect("reverse" if way == "reverse" else "intercepted", WATCHED) as connection:
            await connection.begin("GET", path, fields)
            answer = await connection.answer()
            assert answer.status == 200
            assert "content-encoding" not in answer.fields
            total, _ = await summed(_halting(answer.body), KEY.encode())
    return total


async def _halting(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """body, with a pause now and then in which nothing is read."""
    left = HALT_BYTES
    async for piece in body:
        yield piece
        left -= len(piece)
        if left < 0:
            left = HALT_BYTES
            await asyncio.sleep(HALT_S)


async def _upload(stage: Stage, way: str, size: int) -> int:
    """The bytes that the upstream received, by halts."""
    clients = Clients(stage.where)
    path = f"/v1/1/halting_upload/{size}"
    if way == "http2":
        async with clients.http2(WATCHED) as client:
            return await _http2_upload(client, path, size)
    async with clients.connect("reverse" if way == "reverse" else "intercepted", WATCHED) as connection:
        return await _http1_upload(connection, path, size)


async def _http1_upload(connection: Connection, path: str, size: int) -> int:
    await upload(connection, path, size, chunked=True)
    answer = await connection.answer()
    assert answer.status == 200
    return _told(b"".join([piece async for piece in answer.body]))


async def _http2_upload(client: Http2Client, path: str, size: int) -> int:
    stream = await client.request("POST", path, end=False)
    async for piece in pattern(size):
        await stream.send(piece)
    await stream.send(b"", end=True)
    return _told(b"".join([piece async for piece in stream_body(stream)]))


def _told(answer: bytes) -> int:
    """The upstream's answer to an upload: its length and CRC-32."""
    return int(answer.split()[0])
