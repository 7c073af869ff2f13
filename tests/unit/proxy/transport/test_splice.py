"""The end of a connection that is passed on byte by byte."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from nono.proxy.transport.connection_set import ConnectionSet
from nono.proxy.transport.splice import SpliceEnd


class Tls:
    """A transport of TLS. is_lost: uvloop has lost the connection, and will tell in the next turn."""

    def __init__(self, *, is_lost: bool) -> None:
        self.said: list[str] = []
        self._is_lost = is_lost

    def get_extra_info(self, name: str) -> object:
        assert name == "socket"
        return None if self._is_lost else self

    def fileno(self) -> int:
        raise OSError("closed already")

    def can_write_eof(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def close(self) -> None:
        self.said.append("close")

    def abort(self) -> None:
        self.said.append("abort")


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
