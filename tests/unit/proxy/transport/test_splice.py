"""The end of a connection that is passed on byte by byte."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from nono.proxy.transport.connection_set import ConnectionSet
from nono.proxy.transport.splice import SpliceEnd, TimedEnd


class Tls:
    """A transport of TLS. is_lost: uvloop has lost the connection, and will tell in the next turn."""

    def __init__(self, *, is_lost: bool = False, unsent: int = 0) -> None:
        self.said: list[str] = []
        self._is_lost = is_lost
        self._unsent = unsent

    def get_extra_info(self, name: str) -> object:
        assert name == "socket"
        return None if self._is_lost else self

    def fileno(self) -> int:
        raise OSError("closed already")

    def can_write_eof(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return self._unsent

    def close(self) -> None:
        self.said.append("close")

    def abort(self) -> None:
        self.said.append("abort")


class Plain:
    """A transport of TCP that notes what it is told."""

    def __init__(self) -> None:
        self.said: list[str | bytes] = []

    def __getattr__(self, name: str) -> Callable[[], None]:
        return lambda: self.said.append(name)

    def write(self, piece: bytes) -> None:
        self.said.append(piece)

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return False


async def joined() -> tuple[TimedEnd, SpliceEnd, Plain, Plain]:
    """Return both ends of a pair, the client's first, and their transports."""
    client, upstream = TimedEnd(ConnectionSet(), 60.0), SpliceEnd(ConnectionSet())
    transports = Plain(), Plain()
    for end, transport in zip((client, upstream), transports, strict=True):
        end.connection_made(cast(asyncio.Transport, transport))
    client.join(upstream)
    return client, upstream, *transports


@pytest.mark.parametrize("sender", ["client", "upstream", "nobody"])
def test_a_pair_is_idle_where_neither_end_has_sent_anything(sender: str) -> None:
    async def part() -> None:
        client, upstream, *_ = await joined()
        for each in (client, upstream):
            each.last_active -= 61.0
        if sender != "nobody":
            {"client": client, "upstream": upstream}[sender].data_received(b"x")
        client._overdue()
        assert client.was_idle is (sender == "nobody")
        client.connection_lost(None)

    asyncio.run(part())


@pytest.mark.parametrize(("fault", "told"), [(None, "close"), (ConnectionResetError(), "abort")])
@pytest.mark.parametrize("which", ["client", "upstream"])
def test_one_end_is_reset_where_the_other_was(which: str, fault: Exception | None, told: str) -> None:
    async def part() -> list[str | bytes]:
        client, upstream, of_client, of_upstream = await joined()
        lost, others = {"client": (client, of_upstream), "upstream": (upstream, of_client)}[which]
        others.said.clear()
        lost.connection_lost(fault)
        return others.said

    assert asyncio.run(part()) == [told]


def test_no_more_than_one_read_is_held_before_bytes_may_flow() -> None:
    async def part() -> None:
        end, transport = SpliceEnd(ConnectionSet()), Plain()
        end.connection_made(cast(asyncio.Transport, transport))
        end.data_received(b"early")
        assert (end.early, transport.said) == (b"early", ["pause_reading"])

    asyncio.run(part())


@pytest.mark.parametrize("is_lost", [True, False])
def test_a_connection_that_is_lost_meanwhile_is_ended_without_a_fault(is_lost: bool) -> None:
    transport, faults = Tls(is_lost=is_lost), list[object]()

    async def close() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
        end = SpliceEnd(ConnectionSet())
        end.connection_made(cast(asyncio.Transport, transport))
        end.close()
        for _ in range(3):
            await asyncio.sleep(0)

    asyncio.run(close())
    assert (transport.said, faults) == (["close", "abort"], [])


@pytest.mark.parametrize(("left_s", "said"), [(60.0, []), (-1.0, ["abort"])], ids=["in time", "too late"])
def test_an_end_has_so_much_time_to_read_the_last_bytes(left_s: float, said: list[str]) -> None:
    async def part() -> list[str]:
        end, transport = SpliceEnd(ConnectionSet()), Tls(unsent=1)
        end.connection_made(cast(asyncio.Transport, transport))
        end._abort_once_sent(asyncio.get_running_loop().time() + left_s, 60.0)
        for _ in range(3):
            await asyncio.sleep(0)
        return transport.said

    assert asyncio.run(part()) == said
