"""Hold the open questions of a session. Whoever controls the session may answer; the first answer counts."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio

from nono.approval.listing import Listed, listed
from nono.approval.request import Answer, Question
from nono.clock import unix_ms
from nono.named_tuple import NamedTuple

CLOSED_MAX = 256  # remembered, to inform those who answer too late


class Closed(NamedTuple):
    """A question that is no longer open, and how it ended."""

    answer: Answer


class Waiting:
    """One open question."""

    def __init__(self, shown: Listed) -> None:
        self.shown = shown
        self._answered = anyio.Event()
        self._answer: Answer | None = None

    def answer(self, answer: Answer) -> None:
        self._answer = answer
        self._answered.set()

    async def answered(self) -> Answer:
        """Wait until the question is answered here."""
        await self._answered.wait()
        assert self._answer is not None
        return self._answer


class OpenQuestions:
    """The open questions, oldest first. All methods run on one event loop."""

    def __init__(
        self,
        changed: Callable[[tuple[Listed, ...]], None],
        *,
        waits: bool = False,
        unseen: Callable[[Listed], None] = lambda _: None,
    ) -> None:
        """Start without questions.

        changed: Called with all open questions whenever one is added or removed.
        waits: Questions wait for an answer here even if no backend can ask anybody.
        unseen: Called with a question that waits so.
        """
        self.waits = waits
        self.unseen = unseen
        self._told = [changed]
        self._open: dict[str, Waiting] = {}
        self._closed: OrderedDict[str, Answer] = OrderedDict()
        self.arrival = anyio.Event()  # set when somebody comes who can be asked; then replaced

    @property
    def listed(self) -> tuple[Listed, ...]:
        return tuple(each.shown for each in self._open.values())

    def tell(self, changed: Callable[[tuple[Listed, ...]], None]) -> None:
        """Call another function with all open questions whenever they change."""
        self._told.append(changed)

    def somebody_came(self) -> None:
        """Ask the questions again that could be shown to nobody."""
        arrived, self.arrival = self.arrival, anyio.Event()
        arrived.set()

    def _changed(self) -> None:
        for changed in self._told:
            changed(self.listed)

    @contextmanager
    def asking(self, question: Question, timeout_s: float) -> Iterator[Waiting]:
        """Keep a question open until the block is left."""
        waiting = Waiting(listed(question, unix_ms(), timeout_s))
        self._open[question.id] = waiting
        self._changed()
        try:
            yield waiting
        finally:
            del self._open[question.id]
            self._changed()

    def close(self, question_id: str, answer: Answer) -> None:
        """Remember how a question ended."""
        self._closed[question_id] = answer
        if len(self._closed) > CLOSED_MAX:
            self._closed.popitem(last=False)

    def closed(self, question_id: str) -> Answer | None:
        """Return how a question ended; None if it is open."""
        return self._closed.get(question_id)

    def answer(self, question_id: str, *, is_yes: bool, by: str) -> Answer | Closed | None:
        """Answer a question. Returns None for an id that is unknown or no longer remembered.

        by: Who answers, for the audit log.
        """
        if (first := self.closed(question_id)) is not None:
            return Closed(first)
        waiting = self._open.get(question_id)
        if waiting is None:
            return None
        answer = (
            Answer("granted", "", by)
            if is_yes
            else Answer("denied", "a person said no", by, is_remembered=True)
        )
        self.close(question_id, answer)  # first, so that a second answer learns that it is late
        waiting.answer(answer)
        return answer
