"""Send logs to a collector from processes that are killed at random moments, then send each to its end.

python -m support.outward.killed_sender ROOT URL KILLS
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


def main(root: str, url: str, kills: str) -> None:
    shipment.BATCH_MAX = BATCH
    Sender(url, 5).close()  # imports the SDK, which each process would do for itself
    chance = random.Random(kills)
    for name in sorted(os.listdir(root)):
        for _ in range(int(kills)):
            pid = fork_child(lambda name=name: send(root, name, url))  # type: ignore[misc] # bound at once
            time.sleep(chance.random() * 0.1)  # any moment will do
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        assert os.waitpid(fork_child(lambda name=name: send(root, name, url)), 0)[1] == 0  # type: ignore[misc] # as above


def send(root: str, name: str, url: str) -> None:
    session = os.open(os.path.join(root, name), os.O_RDONLY)
    with shipment.shipment(session, name, "host", url) as own:
        assert own is not None
        own.pump(Sender(url, 5), is_over=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
