"""What is written to a client reaches its transport, until that closes or is another's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from nono.proxy.client.output import Output
from nono.proxy.transport.outbox import HELD_BYTES, Outbox


class Transport:
    """Keeps what is done with it."""

    def __init__(self, *, half_closes: bool = True) -> None:
        self.done = list[bytes | str]()
        self._half_closes = half_closes
        self.unsent = 0

    def write(self, octets: bytes) -> None:
        self.done.append(octets)

    def close(self) -> None:
        self.done.append("close")

    def write_eof(self) -> None:
        self.done.append("eof")

    def can_write_eof(self) -> bool:
        return self._half_closes

    def is_closing(self) -> bool:
        return "close" in self.done

    def get_write_buffer_size(self) -> int:
        return self.unsent


def done(work: Callable[[Output], object], transport: Transport | None = None) -> list[bytes | str]:
    """Return what `work`, in a turn in which another connection has sent first, did to the transport."""
    to = transport or Transport()

    async def main() -> None:
        outbox = Outbox()
        outbox.holds(output(Transport(), outbox))
        work(output(to, outbox))

    asyncio.run(main())
    return to.done


def output(transport: Transport, outbox: Outbox) -> Output:
    return Output(cast(asyncio.Transport, transport), outbox)


def _two_pieces(out: Output) -> None:
    out.send(b"a")
    out.send(b"b")
    out.flush()


def test_what_is_flushed_is_held_and_sent_in_one_piece() -> None:
    def work(out: Output) -> None:
        _two_pieces(out)
        _two_pieces(out)
        out.send_held()

    assert done(work) == [b"abab"]


@pytest.mark.parametrize(
    ("sizes", "sent"),
    [
        ([HELD_BYTES], []),
        ([HELD_BYTES + 1], [HELD_BYTES + 1]),
        ([1, HELD_BYTES - 1], []),
        ([1, HELD_BYTES], [1 + HELD_BYTES]),
        ([1, HELD_BYTES, 1], [1 + HELD_BYTES]),
    ],
)
def test_what_is_held_is_bounded(sizes: list[int], sent: list[int]) -> None:
    transport, before_the_end = Transport(), list[int]()

    def work(out: Output) -> None:
        for size in sizes:
            out.send(bytes(size))
            out.flush()
        before_the_end.extend(map(len, transport.done))

    assert sum(map(len, done(work, transport))) == sum(sizes)
    assert before_the_end == sent


def test_nothing_is_written_once_the_transport_was_let_go() -> None:
    def work(out: Output) -> None:
        _two_pieces(out)
        out.let_go()
        out.send_held()
        _two_pieces(out)

    assert done(work) == []


def test_nothing_is_written_to_a_transport_that_closes() -> None:
    def work(out: Output) -> None:
        out.leave()
        _two_pieces(out)
        out.send_held()

    assert done(work) == ["close"]


def test_what_is_held_is_not_written_to_a_transport_that_has_closed_meanwhile() -> None:
    transport = Transport()

    def work(out: Output) -> None:
        _two_pieces(out)
        transport.close()
        out.send_held()

    assert done(work, transport) == ["close"]


def test_nor_is_what_would_be_sent_at_once() -> None:
    transport = Transport()
    transport.close()

    async def main() -> None:
        _two_pieces(output(transport, Outbox()))

    asyncio.run(main())
    assert transport.done == ["close"]


@pytest.mark.parametrize(
    ("all_read", "half_closes", "end"),
    [
        pytest.param(True, True, "close", id="all was read"),
        pytest.param(False, True, "eof", id="bytes are unread, and would bring an RST"),
        pytest.param(False, False, "close", id="TLS has no half-close"),
    ],
)
def test_what_is_held_precedes_the_end(all_read: bool, half_closes: bool, end: str) -> None:
    def work(out: Output) -> None:
        _two_pieces(out)
        out.close(all_read=all_read)

    assert done(work, Transport(half_closes=half_closes)) == [b"ab", end]


def test_a_client_that_has_not_read_all_has_longer_to_leave() -> None:
    limits = list[float]()
    for unsent in (0, 1):
        transport = Transport()
        transport.unsent = unsent
        done(lambda out: limits.append(out.leave()), transport)
    assert limits[0] < limits[1]
