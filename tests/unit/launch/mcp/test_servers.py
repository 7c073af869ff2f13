"""nono.launch.mcp.servers: what a command can have started outside the limits of its run."""

from __future__ import annotations

import os
import socket

import anyio
import pytest

from nono.launch.mcp.servers import STARTS, _Running


def _ended_at_once(running: _Running, name: str, withheld: frozenset[str], client: socket.socket) -> int:
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return pid


def test_a_loop_of_starts_waits_and_is_refused_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now, waited = [100.0], list[float]()

    async def sleep(delay_s: float) -> None:
        waited.append(delay_s)

    monkeypatch.setattr(_Running, "_spawned", _ended_at_once)
    monkeypatch.setattr("nono.launch.mcp.servers.time.monotonic", lambda: now[0])
    monkeypatch.setattr("nono.launch.mcp.servers.anyio.sleep", sleep)
    spared = set[int]()
    running = _Running({}, spared)

    async def starts(count: int) -> list[float]:
        waited.clear()
        for _ in range(count):
            (await running.open("tracker", frozenset())).close()
        return [*waited]

    async def run() -> None:
        interval_s = 60 / STARTS.requests_per_minute
        assert await starts(STARTS.burst) == [0] * STARTS.burst
        in_turn = int(STARTS.max_delay_s / interval_s)
        assert await starts(in_turn) == pytest.approx([interval_s * (each + 1) for each in range(in_turn)])
        with pytest.raises(OSError, match="started servers too often"):
            await starts(1)
        now[0] += interval_s
        assert await starts(1) == pytest.approx([STARTS.max_delay_s])
        await running.end(lambda sentence: None)

    anyio.run(run)
    assert spared == set()
