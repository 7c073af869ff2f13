"""Deduplicate events, so that a command that repeats a refused call cannot fill the disk.

The first event of each key in a window is recorded at once. Repeats are counted and written as one record
when the window ends. A window with more keys than it counts separately (a port scan) is followed by one twice
as long, so that even an endless scan costs a bounded number of records per hour.

An allowed connection is always named: beyond these keys it is written each time. Otherwise a scan would hide
whom the command reached after it. The budget of the log bounds that, as it does for requests through the
proxy.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from time import monotonic

from nono.audit import event
from nono.audit.event import SEVERAL, TIME, Event, Recorder
from nono.clock import unix_ms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from nono.audit.windows import Deduplicator, Repeated

_FURTHER = "further {}, of more kinds than are kept apart within a window"

type Decision = Literal["allow", "deny"]
NetworkKey = tuple[tuple[str, Hashable], ...]  # the fields of a network event except its time


class DedupRecorder:
    """Passes on every event except refused network events and opens decided without asking.

    A command can repeat those as fast as it likes, so they are deduplicated. A caller that knows of other
    repeatable events passes them to dedup().
    """

    def __init__(self, recorder: Recorder, clock: Callable[[], float] = monotonic) -> None:
        self._recorder = recorder
        self._clock = clock
        self._network: dict[Decision, Deduplicator[NetworkKey]] = {}
        self._is_failing = False  # the last record could not be written, so no event is only counted
        self._opens: dict[bool, Deduplicator[event.Unasked]] = {}  # by is_granted

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
        fields: dict[str, Hashable] = recorded["event"]  # type: ignore[assignment]  # of a network event
        decision: Decision = fields["decision"]  # type: ignore[assignment]  # event.network() takes no other
        key = tuple(item for item in fields.items() if item[0] != TIME)
        self._dedup(recorded, key, _windows(self._network, decision), names_all=decision == "allow")

    def _dedup_open(self, recorded: event.UnaskedDecision) -> None:
        unasked = recorded.unasked
        self._dedup(recorded, unasked, _windows(self._opens, unasked.is_granted), names_all=False)

    def _dedup[Key: Hashable](
        self, recorded: Event, key: Key, windows: Deduplicator[Key], *, names_all: bool
    ) -> None:
        is_admitted = windows.admit(key, self._clock(), names_all=names_all)
        if is_admitted or self._is_failing:
            was_failing, self._is_failing = self._is_failing, True
            try:
                self._recorder(recorded)
            except OSError:
                if is_admitted:
                    windows.withdraw(key, names_all=names_all)
                raise
            self._is_failing = False
            if was_failing and not is_admitted:
                windows.withdraw(key, names_all=names_all)
        self.flush()

    def flush(self) -> None:
        """Write the counts of the windows that have ended."""
        for network in self._network.values():
            self._write(network.flush(self._clock()))
        for is_granted, opens in self._opens.items():
            self._write_opens(opens.flush(self._clock()), is_granted=is_granted)

    def drain(self) -> None:
        """Write every outstanding count: the last call of a session."""
        for network in self._network.values():
            self._write(network.drain())
        for is_granted, opens in self._opens.items():
            self._write_opens(opens.drain(), is_granted=is_granted)

    def _write(self, repeated: list[Repeated[NetworkKey]]) -> None:
        for key, repeats in repeated:
            self._recorder(_several(repeats) if key is None else _again(key, repeats))

    def _write_opens(self, repeated: list[Repeated[event.Unasked]], *, is_granted: bool) -> None:
        what = _FURTHER.format("opened files" if is_granted else "refusals")
        for key, repeats in repeated:
            unasked = key or event.Unasked(SEVERAL, "Read", what, is_granted)
            self._recorder(event.UnaskedDecision(unasked, repeats))


def _windows[Kind: Hashable, Key: Hashable](
    kinds: dict[Kind, Deduplicator[Key]], kind: Kind
) -> Deduplicator[Key]:
    if kind not in kinds:
        # Imported here: a generic class brings typing, and no command should wait for that.
        from nono.audit.windows import Deduplicator

        kinds[kind] = Deduplicator()
    return kinds[kind]


def _again(key: NetworkKey, repeats: int) -> Event:
    return {"type": "network", "event": {TIME: unix_ms(), "repeats": repeats, **dict(key)}}


def _several(repeats: int) -> Event:
    reason = _FURTHER.format("refusals")
    return event.network(mode="connect", decision="deny", target=SEVERAL, reason=reason, repeats=repeats)
