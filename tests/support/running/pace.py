"""How slow this machine is, for tests of time."""

from __future__ import annotations

import os
import time

# How many times longer than on an ordinary machine a test may wait: NONO_TEST_PACE, which guests set.
PACE = float(os.environ.get("NONO_TEST_PACE", "1"))

_ORDINARY_S = 0.0035  # of CPU time for _work() on the machine that limits of CPU time were written for


def slowness() -> float:
    """Return how many times the CPU time of that machine this one takes now; at least 1."""
    return max(1.0, min(_work_s() for _ in range(5)) / _ORDINARY_S)


def _work_s() -> float:
    began = time.thread_time()
    total = 0
    for number in range(100_000):
        total += number & 7
    return time.thread_time() - began
