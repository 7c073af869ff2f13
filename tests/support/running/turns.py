"""Take turns with the other processes that run tests: either beside them, or with the machine to oneself."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Turns:
    """Two lock files in a folder that every process of a run is given.

    A test holds `room`, shared or alone. It enters through `gate`. A test that wants to be alone holds the
    gate until the room is empty; otherwise new tests would keep entering.
    """

    def __init__(self, folder: Path) -> None:
        self._gate = (folder / "gate").open("wb")
        self._room = (folder / "room").open("wb")

    @contextmanager
    def turn(self, *, alone: bool) -> Iterator[None]:
        """Wait for a turn and keep it for the block."""
        fcntl.flock(self._gate, fcntl.LOCK_EX)
        try:
            fcntl.flock(self._room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        finally:
            fcntl.flock(self._gate, fcntl.LOCK_UN)
        try:
            yield
        finally:
            # Unlocked rather than closed: a child that a test forked and left behind shares the open file.
            fcntl.flock(self._room, fcntl.LOCK_UN)

    def close(self) -> None:
        self._gate.close()
        self._room.close()
