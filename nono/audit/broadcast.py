"""Pass each event of a session to listeners once it is written, and count the decisions."""

from __future__ import annotations

from collections.abc import Callable

from nono.audit.event import Event
from nono.audit.repeats import is_answer, repeats_of

Listener = Callable[[Event], None]

_ALLOWED = frozenset({"allow", "approve_granted", "Granted"})
_ASKED = frozenset({"approve_requested", "Requested"})


class Broadcast:
    """Takes the events of one session. Without listeners it only counts."""

    __slots__ = ("_listeners", "allowed", "asked", "events", "refused")

    def __init__(self) -> None:
        self._listeners: list[Listener] = []
        self.events = self.allowed = self.refused = self.asked = 0

    def __call__(self, event: Event) -> None:
        self.events += 1
        fields = event.get("event") or event.get("entry")
        if isinstance(fields, dict):
            decision = fields.get("decision")
            if decision == "allow" and "repeats" not in fields:  # as nearly all are
                self.allowed += 1
            elif not is_answer(fields):
                self._count(decision, event)
        for listener in self._listeners:
            listener(event)

    def _count(self, decision: object, event: Event) -> None:
        if not isinstance(decision, str):  # {"Denied": why}
            self.refused += repeats_of(event)
        elif decision in _ALLOWED:
            self.allowed += repeats_of(event)
        elif decision in _ASKED:
            self.asked += 1
        else:
            self.refused += repeats_of(event)

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def leave(self, listener: Listener) -> None:
        self._listeners.remove(listener)
