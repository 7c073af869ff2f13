"""How slow this machine is, for tests of time."""

from __future__ import annotations

import mmap
import os
import random
import time
from array import array

# How many times longer than on an ordinary machine a test may wait: NONO_TEST_PACE, which guests set.
PACE = float(os.environ.get("NONO_TEST_PACE", "1"))

# CPU time on the machine that limits of CPU time were written for.
_ORDINARY_WORK_S = 0.0035
_ORDINARY_MISSES_S = 0.0025
_PAGE = 4096
_PAGES = 16384  # more than the caches of a core and of its page tables hold


def slowness() -> float:
    """Return how many times the CPU time of that machine this one takes now; at least 1.

    A turn of the loop runs each line once, mostly on memory that has left the caches meanwhile. The price
    of that is measured apart: beside busy neighbours a virtual machine pays several times as much for it,
    and no more for a loop over a number.
    """
    work = min(_work_s() for _ in range(5)) / _ORDINARY_WORK_S
    misses = min(_misses_s() for _ in range(3)) / _ORDINARY_MISSES_S
    return max(1.0, work, misses)


def _work_s() -> float:
    began = time.thread_time()
    total = 0
    for number in range(100_000):
        total += number & 7
    return time.thread_time() - began


def _misses_s() -> float:
    places = array("Q", random.Random(0).sample(range(0, _PAGES * _PAGE, _PAGE), _PAGES))
    with mmap.mmap(-1, _PAGES * _PAGE) as memory:
        for place in places:
            memory[place] = 1
        began = time.thread_time()
        total = 0
        for place in places:
            total += memory[place]
        return time.thread_time() - began
