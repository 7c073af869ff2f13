"""Folds identical refusals, so that a child which repeats a refused call cannot fill the disk.

The first refusal of each key in a window is recorded at once. Repeats are counted and come out as one record
when the window ends. A window that met more keys than it keeps apart (a port scan) is followed by one twice
as long, so that even a scan that never ends costs a bounded number of records per hour.
"""

from __future__ import annotations

from collections.abc import Hashable

from nono.named_tuple import NamedTuple

MAX_KEYS = 1024
WINDOW_S = 1.0
MAX_WINDOW_S = 256.0


class Folded[Key: Hashable](NamedTuple):
    """Refusals that were only counted. key None: those beyond the keys that one window keeps apart."""

    key: Key | None
    repeats: int  # at least 1; the refusal recorded at once is not among them


class Coalescer[Key: Hashable]:
    """The windows of one recorder. Every now_s is of the caller's monotonic clock, in seconds."""

    def __init__(self, *, window_s: float = WINDOW_S, max_keys: int = MAX_KEYS) -> None:
        self._shortest_s = self._length_s = window_s
        self._max_keys = max_keys
        self._end_s: float | None = None
        self._repeats: dict[Key, int] = {}
        self._beyond = 0
        self._finished: list[Folded[Key]] = []

    @property
    def deadline_s(self) -> float | None:
        """When flush next has something to do, None while no window is open."""
        return self._end_s

    def admit(self, key: Key, now_s: float) -> bool:
        """Whether this refusal is written at once; False: it was counted, and will be part of a Folded."""
        self._finish(now_s)
        if self._end_s is None:
            self._end_s = now_s + self._length_s
        if key in self._repeats:
            self._repeats[key] += 1
            return False
        if len(self._repeats) >= self._max_keys:
            self._beyond += 1
            return False
        self._repeats[key] = 0
        return True

    def flush(self, now_s: float) -> list[Folded[Key]]:
        """The counts of the windows that have ended, each exactly once."""
        self._finish(now_s)
        finished, self._finished = self._finished, []
        return finished

    def drain(self) -> list[Folded[Key]]:
        """Ends the open window now and returns every count still owed: the last call of a session."""
        return self.flush(float("inf"))

    def _finish(self, now_s: float) -> None:
        if self._end_s is None or now_s < self._end_s:
            return
        self._finished += [Folded(key, repeats) for key, repeats in self._repeats.items() if repeats]
        if self._beyond:
            self._finished.append(Folded(None, self._beyond))
            self._length_s = min(self._length_s * 2, max(MAX_WINDOW_S, self._shortest_s))
        else:
            self._length_s = self._shortest_s
        self._end_s = None
        self._repeats.clear()
        self._beyond = 0
