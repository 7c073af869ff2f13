"""Sends a log to a collector in processes that are killed at random moments, and once to its end.

python -m support.outward.killed_sender DIRECTORY URL KILLS
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time

from nono.forked import fork_child
from nono.outward import shipment
from nono.outward.otlp import Sender

BATCH = 3


def main(directory: str, url: str, kills: str) -> None:
    shipment.BATCH_MAX = BATCH
    chance = random.Random(int(kills))
    Sender(url, 5).close()  # imports the SDK, which each process would do for itself

    def send() -> None:
        session = os.open(directory, os.O_RDONLY)
        with shipment.shipment(session, os.path.basename(directory), "host", url) as own:
            assert own is not None
            own.pump(Sender(url, 5), is_over=True)

    for _ in range(int(kills)):
        pid = fork_child(send)
        time.sleep(chance.random() * 0.15)  # the moment is what is tried, and any will do
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert os.waitpid(fork_child(send), 0)[1] == 0


if __name__ == "__main__":
    main(*sys.argv[1:])
