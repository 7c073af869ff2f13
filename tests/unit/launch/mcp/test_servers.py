"""nono.launch.mcp.servers: what a command can have started outside the limits of its run."""

from __future__ import annotations

import os
import socket

import anyio
import pytest

from nono.launch.mcp.servers import AT_ONCE, STARTS, _Running


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


def test_a_server_beyond_those_at_once_counts_for_no_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent with more servers asks again and again for the last, and may be started anew itself."""
    ends = list[int]()  # each is written to by nobody: closing it ends a server
    waited = list[float]()

    def going_on(running: _Running, name: str, withheld: frozenset[str], client: socket.socket) -> int:
        read, write = os.pipe()
        ends.append(write)
        pid = os.posix_spawn("/bin/cat", ["cat"], {}, file_actions=[(os.POSIX_SPAWN_DUP2, read, 0)])
        os.close(read)
        return pid

    async def sleep(delay_s: float) -> None:
        waited.append(delay_s)

    monkeypatch.setattr(_Running, "_spawned", going_on)
    monkeypatch.setattr("nono.launch.mcp.servers.time.monotonic", lambda: 100.0)
    monkeypatch.setattr("nono.launch.mcp.servers.anyio.sleep", sleep)
    running = _Running({}, set())

    async def start() -> None:
        (await running.open("tracker", frozenset())).close()

    async def run() -> None:
        for _ in range(2):
            for _ in range(AT_ONCE):
                await start()
            for _ in range(STARTS.burst):
                with pytest.raises(OSError, match=f"{AT_ONCE} servers of this run have not ended"):
                    await start()
            while ends:
                os.close(ends.pop())
            await running.end(lambda sentence: None)

    anyio.run(run)
    assert waited == [0] * 2 * AT_ONCE
