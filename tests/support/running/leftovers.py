"""Tell what the process of a test holds, for tests that must leave nothing behind."""

from __future__ import annotations

import gc
import os
from contextlib import suppress
from pathlib import Path


def descriptors() -> set[int]:
    """Return the open ones, once what earlier tests left to the garbage collector is gone."""
    gc.collect()
    listed = {int(name) for name in os.listdir("/proc/self/fd")}
    return {number for number in listed if os.path.lexists(f"/proc/self/fd/{number}")}  # less the listing's


def children() -> set[int]:
    """Return the processes of this one that were not waited for, zombies too."""
    found: set[int] = set()
    for thread in os.listdir("/proc/self/task"):
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread may end meanwhile
            found.update(map(int, Path(f"/proc/self/task/{thread}/children").read_text().split()))
    return found
