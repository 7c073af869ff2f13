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
        self._is_kept = False

    @contextmanager
    def turn(self, *, alone: bool, keeps: bool = False) -> Iterator[None]:
        """Wait for a turn and keep it for the block.

        keeps: The next turn of this process is alone as well and begins at once, without letting others in.
        """
        if not self._is_kept:
            self._enter(fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        self._is_kept = keeps
        try:
            yield
        finally:
            if not keeps:
                # Unlocked rather than closed: a child that a test has left behind shares the open file.
                fcntl.flock(self._room, fcntl.LOCK_UN)

    def _enter(self, how: int) -> None:
        fcntl.flock(self._gate, fcntl.LOCK_EX)
        try:
            fcntl.flock(self._room, how)
        finally:
            fcntl.flock(self._gate, fcntl.LOCK_UN)

    def close(self) -> None:
        self._gate.close()
        self._room.close()
