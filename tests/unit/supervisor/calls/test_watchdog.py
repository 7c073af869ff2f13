"""A connect that waits although it was told not to is ended."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import signal
import socket
from pathlib import Path

import pytest

from nono.supervisor.calls import watchdog
from nono.supervisor.calls.watchdog import BlockingCallWatchdog


def test_only_a_connect_whose_flag_was_taken_away_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "IDLE_S", 1.5)  # longer than a busy machine stands still
    path = str(tmp_path / "s")
    before = signal.getsignal(signal.SIGALRM)

    async def connect_twice() -> None:
        ends = BlockingCallWatchdog()
        ends.start()
        with socket.socket(socket.AF_UNIX) as full:
            full.bind(path)
            full.listen(0)
            with socket.socket(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as second:
                for client, expected in ((first, 0), (second, errno.EINTR)):
                    client.setblocking(False)
                    flags = fcntl.fcntl(client, fcntl.F_GETFL)
                    fcntl.fcntl(client, fcntl.F_SETFL, flags & ~os.O_NONBLOCK)  # as the command would
                    ends.arm()
                    assert client.connect_ex(path) == expected
        assert signal.getitimer(signal.ITIMER_REAL) != (0.0, 0.0)
        async with asyncio.timeout(20):
            while signal.getitimer(signal.ITIMER_REAL) != (0.0, 0.0):  # noqa: ASYNC110 - nobody is told
                await asyncio.sleep(0.05)
        ends.arm()
        assert signal.getitimer(signal.ITIMER_REAL) != (0.0, 0.0)
        ends.close()

    try:
        asyncio.run(connect_twice())
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
        # One that expired before the timer was stopped may not have been delivered.
        signal.raise_signal(signal.SIGALRM)
    finally:
        signal.signal(signal.SIGALRM, before)
