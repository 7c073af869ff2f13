"""Count repeated events in windows of time, at a price that does not depend on how often they repeat."""

from __future__ import annotations

from collections.abc import Hashable

from nono.named_tuple import NamedTuple

MAX_KEYS = 1024
WINDOW_S = 1.0
MAX_WINDOW_S = 256.0


class Repeated[Key: Hashable](NamedTuple):
    """Events that were only counted. `key` None: those beyond the keys that a window counts separately."""

    key: Key | None
    repeats: int  # at least 1; the event recorded at once is not included


class Deduplicator[Key: Hashable]:
    """The windows of one recorder. Every `now_s` is the caller's monotonic clock in seconds."""

    def __init__(self, *, window_s: float = WINDOW_S, max_keys: int = MAX_KEYS) -> None:
        self._shortest_s = self._length_s = window_s
        self._max_keys = max_keys
        self._end_s: float | None = None
        self._repeats: dict[Key, int] = {}
        self._beyond = 0
        self._finished: list[Repeated[Key]] = []

    @property
    def deadline_s(self) -> float | None:
        """The time at which flush() next has something to do, None while no window is open."""
        return self._end_s

    def admit(self, key: Key, now_s: float, *, names_all: bool = False) -> bool:
        """Count an event. Returns True if it must be written now, and so is not counted in a Repeated.

        names_all: Beyond the keys that a window counts separately, it is written each time.
        """
        self._finish(now_s)
        if self._end_s is None:
            self._end_s = now_s + self._length_s
        if key in self._repeats:
            self._repeats[key] += 1
            return False
        if len(self._repeats) >= self._max_keys:
            self._beyond += not names_all
            return names_all
        self._repeats[key] = 0
        return True

    def withdraw(self, key: Key, *, names_all: bool = False) -> None:
        """Undo the last admit(): the event could not be written, or was written all the same."""
        if self._repeats.get(key) == 0:
            del self._repeats[key]
        elif key in self._repeats:
            self._repeats[key] -= 1
        elif self._beyond and not names_all:
            self._beyond -= 1

    def flush(self, now_s: float) -> list[Repeated[Key]]:
        """Return the counts of the windows that have ended, each exactly once."""
        self._finish(now_s)
        finished, self._finished = self._finished, []
        return finished

    def drain(self) -> list[Repeated[Key]]:
        """End the open window now and return every outstanding count: the last call of a session."""
        return self.flush(float("inf"))

    def _finish(self, now_s: float) -> None:
        if self._end_s is None or now_s < self._end_s:
            return
        self._finished += [Repeated(key, repeats) for key, repeats in self._repeats.items() if repeats]
        if self._beyond:
            self._finished.append(Repeated(None, self._beyond))
            self._length_s = min(self._length_s * 2, max(MAX_WINDOW_S, self._shortest_s))
        else:
            self._length_s = self._shortest_s
        self._end_s = None
        self._repeats.clear()
        self._beyond = 0
