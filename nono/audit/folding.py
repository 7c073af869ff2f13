"""A recorder in front of another that writes identical refusals once and their number later."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from time import monotonic
from typing import cast

from nono.audit import event
from nono.audit.coalesce import Coalescer, Folded, Record
from nono.audit.event import TIME, Event, Recorder
from nono.clock import unix_ms

SEVERAL = "<several>"  # the target of a record that stands for more kinds of refusals than were kept apart

Key = tuple[tuple[str, Hashable], ...]  # the fields of a network event but for its time


class FoldingRecorder:
    """Everything but a refused network event passes at once. A child repeats those as fast as it can."""

    def __init__(self, recorder: Recorder, clock: Callable[[], float] = monotonic) -> None:
        self._recorder = recorder
        self._clock = clock
        self._coalescer: Coalescer[Key] = Coalescer()

    def __call__(self, recorded: Event, /) -> None:
        """OSError when it could not be written; what was only counted has been seen all the same."""
        fields = recorded.get("event")
        if not isinstance(fields, dict) or fields.get("decision") != "deny":
            self._recorder(recorded)
            return
        key = cast(Key, tuple(item for item in fields.items() if item[0] != TIME))
        if isinstance(self._coalescer.admit(key, self._clock()), Record):
            self._recorder(recorded)
        self.flush()

    def flush(self) -> None:
        """Write the counts of the windows that have ended."""
        self._write(self._coalescer.flush(self._clock()))

    def drain(self) -> None:
        """The last call of a session: write every count that is still owed."""
        self._write(self._coalescer.drain())

    def _write(self, folded: list[Folded[Key]]) -> None:
        for item in folded:
            self._recorder(_several(item.repeats) if item.key is None else _again(item.key, item.repeats))


def _again(key: Key, repeats: int) -> Event:
    return {"type": "network", "event": {TIME: unix_ms(), "repeats": repeats, **dict(key)}}


def _several(repeats: int) -> Event:
    reason = "further refusals, of more kinds than are kept apart within a window"
    return event.network(mode="connect", decision="deny", target=SEVERAL, reason=reason, repeats=repeats)
