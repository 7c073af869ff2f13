"""Kill processes while they connect, some to the proxy and some elsewhere, then connect once to each.

killed_callers FORBIDDEN_PORT COUNT
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from contextlib import suppress

from support.attack_programs.outcome import outcome, proxy, report

BATCH = 8


def connect_for_ever(addresses: list[tuple[str, int]], ready: int) -> None:
    os.write(ready, b"!")
    while True:
        for address in addresses:
            with suppress(OSError), socket.socket() as client:
                client.connect(address)


def main(port: int, count: int) -> None:
    stranger = ("127.0.0.1", port)
    for _ in range(count // BATCH):
        reading, writing = os.pipe()
        pids = []
        for _ in range(BATCH):
            pid = os.fork()
            if pid == 0:
                signal.alarm(60)
                connect_for_ever([stranger, proxy()], writing)
            pids.append(pid)
        for _ in pids:
            os.read(reading, 1)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        for pid in pids:
            os.waitpid(pid, 0)
        os.close(reading)
        os.close(writing)
    report(
        {
            "stranger": outcome(lambda: socket.create_connection(stranger).close()),
            "proxy": outcome(lambda: socket.create_connection(proxy()).close()),
        }
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
