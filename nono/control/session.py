"""Hold the parts of a session that the control interface may read and change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from nono.audit.broadcast import Broadcast
from nono.control.summary import summary
from nono.sessions.record import Record

if TYPE_CHECKING:
    from nono.approval.listing import Listed
    from nono.approval.open_questions import Closed, OpenQuestions
    from nono.approval.request import Answer
    from nono.audit.traffic import Spent, Traffic
    from nono.control.events import EventStream
    from nono.control.rules import LiveRules


class ControlledSession:
    """One session, as its supervisor passes it to the interface. All methods run on the supervisor's loop."""

    def __init__(
        self,
        key: str,
        record: Callable[[], Record | None],
        events: Broadcast,
        questions: OpenQuestions | None,
        rules: LiveRules,
        traffic: Traffic | None,
        spent: Callable[[], Spent | None] | None,
    ) -> None:
        """Take the parts of a session.

        key: The key that every request must present.
        record: Returns the current record of the session.
        questions: The open questions; None if nothing is ever asked.
        rules: The rules added to the policy.
        traffic: The requests of the session; None if it has no proxy.
        spent: Returns the tokens that models have used; None if nothing counts them.
        """
        self.key = key
        self._questions = questions
        self.rules = rules
        self._record = record
        self._events = events
        self._traffic = traffic
        self._spent = spent
        self._streams: list[EventStream] = []

    def summary(self) -> Mapping[str, Any]:
        spent = None if self._spent is None else self._spent()
        return summary(self._record(), self._events, self.questions(), self.rules.rules, self._traffic, spent)

    def questions(self) -> tuple[Listed, ...]:
        """Return the open questions, oldest first."""
        return () if self._questions is None else self._questions.listed

    def answer(self, question_id: str, *, is_yes: bool, by: str) -> Answer | Closed | None:
        """Answer an open question, as OpenQuestions.answer does."""
        return None if self._questions is None else self._questions.answer(question_id, is_yes=is_yes, by=by)

    def follow(self, stream: EventStream) -> None:
        self._streams.append(stream)
        self._events.listen(stream.put)

    def unfollow(self, stream: EventStream) -> None:
        self._streams.remove(stream)
        self._events.leave(stream.put)

    def close(self) -> None:
        """End every event stream after its client has read the rest."""
        self.rules.close()
        for stream in self._streams:
            stream.close()
