"""A recorder in front of another that writes identical refusals once and their number later."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from time import monotonic
from typing import Literal, cast

from nono.audit import event
from nono.audit.coalesce import Coalescer, Folded
from nono.audit.event import SEVERAL, TIME, Event, Recorder
from nono.clock import unix_ms

_FURTHER = "further {}, of more kinds than are kept apart within a window"

Decision = Literal["allow", "deny"]
Key = tuple[tuple[str, Hashable], ...]  # the fields of a network event but for its time


class FoldingRecorder:
    """Everything passes at once but refused network events and what was decided about opens without asking.

    A child repeats those as fast as it can.

    What else it can repeat like that is handed to fold() by whoever knows.
    """

    def __init__(self, recorder: Recorder, clock: Callable[[], float] = monotonic) -> None:
        self._recorder = recorder
        self._clock = clock
        self._coalescers: dict[Decision, Coalescer[Key]] = {"deny": Coalescer(), "allow": Coalescer()}
        # By whether they were granted.
        self._opens: dict[bool, Coalescer[event.Unasked]] = {False: Coalescer(), True: Coalescer()}

    def __call__(self, recorded: Event, /) -> None:
        """OSError when it could not be written; what was only counted has been seen all the same."""
        if isinstance(recorded, event.UnaskedDecision):
            self._fold_open(recorded)
            return
        fields = recorded.get("event")
        if not isinstance(fields, dict) or fields.get("decision") != "deny":
            self._recorder(recorded)
            return
        self.fold(recorded)

    def fold(self, recorded: Event, /) -> None:
        """A network event, written once in a window however often it is repeated; OSError as above."""
        fields = cast(Event, recorded["event"])
        key = cast(Key, tuple(item for item in fields.items() if item[0] != TIME))
        coalescer = self._coalescers[cast(Decision, fields["decision"])]
        if coalescer.admit(key, self._clock()):
            self._recorder(recorded)
        self.flush()

    def _fold_open(self, recorded: event.UnaskedDecision) -> None:
        unasked = recorded.unasked
        if self._opens[unasked.is_granted].admit(unasked, self._clock()):
            self._recorder(recorded)
        self.flush()

    def flush(self) -> None:
        """Write the counts of the windows that have ended."""
        for decision, coalescer in self._coalescers.items():
            self._write(decision, coalescer.flush(self._clock()))
        for is_granted, opens in self._opens.items():
            self._write_opens(opens.flush(self._clock()), is_granted=is_granted)

    def drain(self) -> None:
        """The last call of a session: write every count that is still owed."""
        for decision, coalescer in self._coalescers.items():
            self._write(decision, coalescer.drain())
        for is_granted, opens in self._opens.items():
            self._write_opens(opens.drain(), is_granted=is_granted)

    def _write(self, decision: Decision, folded: list[Folded[Key]]) -> None:
        for item in folded:
            if item.key is None:
                self._recorder(_several(decision, item.repeats))
            else:
                self._recorder(_again(item.key, item.repeats))

    def _write_opens(self, folded: list[Folded[event.Unasked]], *, is_granted: bool) -> None:
        what = _FURTHER.format("opened files" if is_granted else "refusals")
        for item in folded:
            unasked = item.key or event.Unasked(SEVERAL, "Read", what, is_granted)
            self._recorder(event.UnaskedDecision(unasked, item.repeats))


def _again(key: Key, repeats: int) -> Event:
    return {"type": "network", "event": {TIME: unix_ms(), "repeats": repeats, **dict(key)}}


def _several(decision: Decision, repeats: int) -> Event:
    what = "refusals" if decision == "deny" else "connections"
    reason = _FURTHER.format(what)
    return event.network(mode="connect", decision=decision, target=SEVERAL, reason=reason, repeats=repeats)
