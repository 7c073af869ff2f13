"""Deduplicate events, so that a child that repeats a refused call cannot fill the disk.

The first event of each key in a window is recorded at once. Repeats are counted and written as one record
when the window ends. A window with more keys than it counts separately (a port scan) is followed by one twice
as long, so that even an endless scan costs a bounded number of records per hour.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from time import monotonic
from typing import Literal, cast

from nono.audit import event
from nono.audit.event import SEVERAL, TIME, Event, Recorder
from nono.clock import unix_ms
from nono.named_tuple import NamedTuple

MAX_KEYS = 1024
WINDOW_S = 1.0
MAX_WINDOW_S = 256.0
_FURTHER = "further {}, of more kinds than are kept apart within a window"

Decision = Literal["allow", "deny"]
NetworkKey = tuple[tuple[str, Hashable], ...]  # the fields of a network event except its time


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

    def admit(self, key: Key, now_s: float) -> bool:
        """Count an event. Returns True if it must be written now, and so is not counted in a Repeated."""
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

    def withdraw(self, key: Key) -> None:
        """Undo the last admit(): the event could not be written, or was written all the same."""
        if self._repeats.get(key) == 0:
            del self._repeats[key]
        elif key in self._repeats:
            self._repeats[key] -= 1
        elif self._beyond:
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


class DedupRecorder:
    """Passes on every event except refused network events and opens decided without asking.

    A child can repeat those as fast as it likes, so they are deduplicated. A caller that knows of other
    repeatable events passes them to dedup().
    """

    def __init__(self, recorder: Recorder, clock: Callable[[], float] = monotonic) -> None:
        self._recorder = recorder
        self._clock = clock
        self._network: dict[Decision, Deduplicator[NetworkKey]] = {
            "deny": Deduplicator(),
            "allow": Deduplicator(),
        }
        self._is_failing = False  # the last record could not be written, so no event is only counted
        # By is_granted.
        self._opens: dict[bool, Deduplicator[event.Unasked]] = {False: Deduplicator(), True: Deduplicator()}

    def __call__(self, recorded: Event, /) -> None:
        """Record an event. Raises OSError if a record cannot be written; counted events stay counted."""
        if isinstance(recorded, event.UnaskedDecision):
            self._dedup_open(recorded)
            return
        fields = recorded.get("event")
        if not isinstance(fields, dict) or fields.get("decision") != "deny":
            self._recorder(recorded)
            return
        self.dedup(recorded)

    def dedup(self, recorded: Event, /) -> None:
        """Write a network event once per window, however often it recurs. Raises OSError as __call__ does."""
        fields = cast(Event, recorded["event"])
        key = cast(NetworkKey, tuple(item for item in fields.items() if item[0] != TIME))
        self._dedup(recorded, key, self._network[cast(Decision, fields["decision"])])

    def _dedup_open(self, recorded: event.UnaskedDecision) -> None:
        unasked = recorded.unasked
        self._dedup(recorded, unasked, self._opens[unasked.is_granted])

    def _dedup[Key: Hashable](self, recorded: Event, key: Key, windows: Deduplicator[Key]) -> None:
        is_admitted = windows.admit(key, self._clock())
        if is_admitted or self._is_failing:
            was_failing, self._is_failing = self._is_failing, True
            try:
                self._recorder(recorded)
            except OSError:
                if is_admitted:
                    windows.withdraw(key)
                raise
            self._is_failing = False
            if was_failing and not is_admitted:
                windows.withdraw(key)
        self.flush()

    def flush(self) -> None:
        """Write the counts of the windows that have ended."""
        for decision, network in self._network.items():
            self._write(decision, network.flush(self._clock()))
        for is_granted, opens in self._opens.items():
            self._write_opens(opens.flush(self._clock()), is_granted=is_granted)

    def drain(self) -> None:
        """Write every outstanding count: the last call of a session."""
        for decision, network in self._network.items():
            self._write(decision, network.drain())
        for is_granted, opens in self._opens.items():
            self._write_opens(opens.drain(), is_granted=is_granted)

    def _write(self, decision: Decision, repeated: list[Repeated[NetworkKey]]) -> None:
        for key, repeats in repeated:
            self._recorder(_several(decision, repeats) if key is None else _again(key, repeats))

    def _write_opens(self, repeated: list[Repeated[event.Unasked]], *, is_granted: bool) -> None:
        what = _FURTHER.format("opened files" if is_granted else "refusals")
        for key, repeats in repeated:
            unasked = key or event.Unasked(SEVERAL, "Read", what, is_granted)
            self._recorder(event.UnaskedDecision(unasked, repeats))


def _again(key: NetworkKey, repeats: int) -> Event:
    return {"type": "network", "event": {TIME: unix_ms(), "repeats": repeats, **dict(key)}}


def _several(decision: Decision, repeats: int) -> Event:
    what = "refusals" if decision == "deny" else "connections"
    reason = _FURTHER.format(what)
    return event.network(mode="connect", decision=decision, target=SEVERAL, reason=reason, repeats=repeats)
