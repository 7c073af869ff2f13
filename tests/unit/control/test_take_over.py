"""The first request of a control interface loads aiohttp, which holds nobody up; few are connected."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from typing import Any, cast

import pytest

from nono.control.take_over import CONNECTIONS_MAX, TakeOver

# 9 to 15 on two cores, twice that if they are busy; 170 and more where the loop itself imports.
PAUSE_MS_MAX = 50.0
TRIES = 5
# Turns the loop as fast as it goes, and prints how long its longest turn was: in processor time of all
# threads, of which what else the machine does is no part.
MEASURED = """
import asyncio, sys, time, uvloop
import nono.launch.run_proxy, nono.proxy.service
from nono.control.take_over import TakeOver

async def main():
    loop, longest, last = asyncio.get_running_loop(), 0.0, time.process_time()
    def turn():
        nonlocal longest, last
        now = time.process_time()
        longest, last = max(longest, now - last), now
        loop.call_soon(turn)
    loop.call_soon(turn)
    assert not {"aiohttp", "nono.control.session"} & {*sys.modules}
    def session():
        from nono.control.session import ControlledSession
        return ControlledSession("", lambda: None, None, None, None, None, None)
    await TakeOver(session)._start()
    await asyncio.sleep(0)  # the turn in which it ends counts too
    assert "aiohttp" in sys.modules
    print(longest * 1000)

uvloop.run(main())
"""


@pytest.mark.alone
def test_loading_it_leaves_the_loop_its_turns() -> None:
    pauses = []
    for _ in range(TRIES):
        done = subprocess.run(
            [sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True, timeout=60
        )
        pauses.append(float(done.stdout))
        if pauses[-1] < PAUSE_MS_MAX:
            return
    raise AssertionError(f"the loop was kept for {pauses} ms")


# Prints how long a thread may keep the interpreter before, while and after aiohttp is imported, in seconds.
INTERVALS = """
import asyncio, sys
from nono.control.take_over import TakeOver

class Seen:
    def find_spec(self, name, path=None, target=None):
        if name == "aiohttp":
            print(sys.getswitchinterval())

async def main():
    print(sys.getswitchinterval())
    sys.meta_path.insert(0, Seen())
    def session():
        from nono.control.session import ControlledSession
        return ControlledSession("", lambda: None, None, None, None, None, None)
    await TakeOver(session)._start()
    print(sys.getswitchinterval())

asyncio.run(main())
"""


def test_the_import_gives_the_interpreter_back_sooner_than_others() -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERVALS], capture_output=True, text=True, check=True, timeout=60
    )
    before, meanwhile, after = map(float, done.stdout.split())
    assert meanwhile == 0.0005
    assert before == after > meanwhile


class Server(asyncio.Protocol):
    """What aiohttp makes of a session, with so many clients connected already; and one more client of it."""

    def __init__(self, connected: int) -> None:
        self.connections = range(connected)
        self.received: list[bytes] = []
        self._transport: asyncio.BaseTransport | None = None

    @property
    def server(self) -> Server:
        return self

    def __call__(self) -> Server:
        return self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self.received.append(data)

    async def cleanup(self) -> None:
        if self._transport is not None:
            self._transport.close()
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("connected", "is_over", "is_served"),
    [(CONNECTIONS_MAX - 1, False, True), (CONNECTIONS_MAX, False, False), (0, True, False)],
    ids=["the last place", "no place", "the session ends"],
)
def test_a_connection_that_is_not_served_is_closed(
    connected: int, is_over: bool, is_served: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(connected)

    async def start(_: TakeOver) -> Server:
        return server

    async def take(accepted: socket.socket) -> None:
        take_over = TakeOver(cast(Any, None))
        if is_over:
            await take_over.close()
        take_over.take(accepted, b"GET")
        await asyncio.gather(*take_over._taken)
        assert (accepted.fileno() >= 0) is is_served
        await take_over.close()

    monkeypatch.setattr(TakeOver, "_start", start)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        asyncio.run(take(ours))
    assert server.received == [b"GET"] * is_served
