"""The first request of a control interface loads aiohttp, and holds nobody up meanwhile."""

from __future__ import annotations

import subprocess
import sys

import pytest

# 3 to 4 on an idle machine of two cores, up to 10 on one that is busy; 6 to 13 without the shorter interval.
PAUSE_MS_MAX = 10.0
TRIES = 5
# Turns the loop as fast as it goes, and prints the longest time for which another thread had the interpreter
# between two turns: in processor time, which what else the machine does at the moment is no part of.
MEASURED = """
import asyncio, sys, time, uvloop
import nono.launch.run_proxy, nono.proxy.service
from nono.control.take_over import TakeOver

async def main():
    loop, longest, last = asyncio.get_running_loop(), 0.0, time.process_time() - time.thread_time()
    def turn():
        nonlocal longest, last
        now = time.process_time() - time.thread_time()
        longest, last = max(longest, now - last), now
        loop.call_soon(turn)
    loop.call_soon(turn)
    assert not {"aiohttp", "nono.control.session"} & {*sys.modules}
    def session():
        from nono.control.session import ControlledSession
        return ControlledSession("", lambda: None, None, None, None, None, None)
    await TakeOver(session)._start()
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
    raise AssertionError(f"the interpreter was kept for {pauses} ms")
