"""Has what a run does with files seen, for `nono learn`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from nono.launch.start import RunContext
from nono.policy.observation import Observation
from nono.supervisor.caller import open_root, standing
from nono.supervisor.path_watch import PathWatch


@contextmanager
def path_watch(
    start: RunContext, listener: int, readable: Sequence[str], observation: Observation
) -> Iterator[PathWatch]:
    """Of a launcher that is not the command yet; readable: what it may read of files that are nono's."""
    observation.ignore((*start.readable, *readable))
    root = open_root(start.launcher.pid)
    try:
        yield PathWatch(listener, root, standing(start.launcher.pid), observation)
    finally:
        os.close(root)
