"""nono.watch: what libuv does with a socket that it has not added to its epoll itself."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from contextlib import ExitStack

import pytest
import uvloop

from nono.watch import watch

# A socket that is not connected reports a hang-up at once, as one does whose connection is refused.
ALONE = """
import asyncio, os, socket, sys, uvloop
from nono.watch import watch

async def turn_with_a_hang_up(below):
    held = [os.dup(0) for _ in range(below)]
    with socket.socket() as hung_up:
        watch(hung_up.fileno())
        await asyncio.sleep(0.01)
    print("alive")

uvloop.run(turn_with_a_hang_up(int(sys.argv[1])))
"""


@pytest.mark.parametrize("below", [0, 300])
def test_a_hang_up_before_anything_is_awaited_of_a_socket_does_not_abort(below: int) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", ALONE, str(below)], capture_output=True, text=True, timeout=60
    )
    assert (ended.returncode, ended.stdout) == (0, "alive\n"), ended.stderr


def test_a_watched_socket_is_read_and_written_as_any_other() -> None:
    async def talk() -> bytes:
        loop = asyncio.get_running_loop()
        ends = socket.socketpair()
        for end in ends:
            end.setblocking(False)
            watch(end.fileno())
        with ends[0], ends[1]:
            await loop.sock_sendall(ends[0], b"said")
            return await loop.sock_recv(ends[1], 9)

    assert uvloop.run(talk()) == b"said"


def test_room_is_made_for_ever_higher_numbers_and_leaves_no_descriptor() -> None:
    async def watch_many() -> tuple[int, int]:
        with ExitStack() as stack:
            sockets = [stack.enter_context(socket.socket()) for _ in range(100)]
            before = len(os.listdir("/proc/self/fd"))
            for each in sockets:
                watch(each.fileno())
            await asyncio.sleep(0.01)
            return before, len(os.listdir("/proc/self/fd"))

    before, after = uvloop.run(watch_many())
    assert after == before + 1  # the loop's epoll
