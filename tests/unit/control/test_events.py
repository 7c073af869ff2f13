"""The stream of events for one reader is whole as long as it reads, and bounded when it does not."""

from __future__ import annotations

import asyncio
import json

from nono.control.events import UNREAD_BYTES_MAX, EventStream


async def rest(stream: EventStream) -> list[dict[str, object]]:
    stream.close()
    return [json.loads(line) for piece in [p async for p in stream.pieces()] for line in piece.splitlines()]


def test_events_come_in_their_order() -> None:
    async def read() -> list[dict[str, object]]:
        stream = EventStream()
        for number in range(5):
            stream.put({"type": "x", "n": number})
        return await rest(stream)

    assert [event["n"] for event in asyncio.run(read())] == [0, 1, 2, 3, 4]


def test_a_reader_waits_for_the_next_event() -> None:
    async def read() -> bytes:
        stream = EventStream()
        pieces = stream.pieces()
        first = asyncio.ensure_future(anext(pieces))
        await asyncio.sleep(0)
        stream.put({"type": "x"})
        return await asyncio.wait_for(first, 5)

    assert asyncio.run(read()) == b'{"type": "x"}\n'


def test_what_a_slow_reader_has_missed_is_counted() -> None:
    async def read() -> tuple[int, list[dict[str, object]]]:
        stream = EventStream()
        for number in range(10_000):
            stream.put({"type": "x", "n": number, "pad": "p" * 1000})
        return stream.unread_bytes, await rest(stream)

    unread, events = asyncio.run(read())
    assert unread <= UNREAD_BYTES_MAX
    assert [event["n"] for event in events[:-1]] == [*range(len(events) - 1)]
    assert events[-1] == {"type": "events_missed", "count": 10_000 - len(events) + 1}


def test_no_event_overtakes_those_that_were_missed() -> None:
    async def read() -> list[dict[str, object]]:
        stream = EventStream()
        stream.put({"type": "long", "pad": "p" * (UNREAD_BYTES_MAX - 100)})
        stream.put({"type": "long", "pad": "p" * 1000})
        stream.put({"type": "short"})
        return await rest(stream)

    assert [event["type"] for event in asyncio.run(read())] == ["long", "events_missed"]
