"""Decide which requests to models begin a person's turn, from all requests of a run in order."""

from __future__ import annotations

from typing import Any

from nono.named_tuple import NamedTuple
from nono.proxy.conversation.asked import Asked, Marked

MAX_IDS = 256  # turns and sessions, as agents name them; a name recurs soon or never

NO_TOOLS = "it offers no tools, as the small questions of agents do not"
FEWER_TOOLS = "it offers fewer tools than the conversation before"
ANEW = "a conversation begins, and who begins it cannot be told"


class Judged(NamedTuple):
    """The turn of a request."""

    turn: int  # its turn; 0 before the first
    begins: bool = False
    unclear: str = ""  # why it may begin a turn after all


class _Opening(NamedTuple):
    """How the last turn of a service began."""

    items: int
    answers: int
    tools: int
    has_gone_on: bool = False  # tools were used since


class TurnTable:
    """The turns of a run so far."""

    def __init__(self) -> None:
        self.turn = 0
        self._ids: dict[tuple[str, str], None] = {}
        self._openings: dict[tuple[str, str], _Opening] = {}  # by service and session

    def goes_on(self, service: str, marked: Marked) -> bool:
        """Return True if the agent's marks show that a request begins no turn: its body is not needed."""
        return marked.is_aside or (service, marked.turn) in self._ids

    def judge(self, service: str, asked: Asked) -> Judged:
        """Take the next request. In doubt it begins no turn, and the result says so."""
        marked = asked.marked
        if self.goes_on(service, marked):
            return Judged(self.turn)
        if marked.turn:
            return self._of_marked(service, asked)
        key = (service, marked.session)
        opening = self._openings.get(key)
        if asked.speaker != "person" or asked.wants_json:
            if opening is not None and asked.answers:
                self._openings[key] = opening._replace(has_gone_on=True)
            return Judged(self.turn)
        if not asked.tools:
            return Judged(self.turn, unclear=NO_TOOLS if asked.answers else "")
        if opening is not None:
            is_same = not opening.has_gone_on and opening[:2] == (asked.items, asked.answers)
            if marked.is_retry or is_same:
                return Judged(self.turn)
            if not asked.answers and not asked.opens_session:
                return Judged(self.turn, unclear=ANEW)
            if asked.tools < opening.tools:
                return Judged(self.turn, unclear=FEWER_TOOLS)
        return self._begun(service, asked)

    def _of_marked(self, service: str, asked: Asked) -> Judged:
        self._ids[service, asked.marked.turn] = None
        _forget_oldest(self._ids)
        return Judged(self.turn) if asked.speaker == "notice" else self._begun(service, asked)

    def _begun(self, service: str, asked: Asked) -> Judged:
        self.turn += 1
        key = (service, asked.marked.session)
        self._openings[key] = _Opening(asked.items, asked.answers, asked.tools)
        _forget_oldest(self._openings)
        return Judged(self.turn, begins=True)


def _forget_oldest[Key](kept: dict[Key, Any]) -> None:
    if len(kept) > MAX_IDS:
        del kept[next(iter(kept))]
