"""Take every question of a run: record it, ask identical ones once, and answer no in doubt."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from math import ceil

import anyio
from anyio.abc import TaskGroup

from nono.approval import audit_events
from nono.approval.backends import Backends
from nono.approval.open_questions import OpenQuestions, Waiting
from nono.approval.request import Answer, EndpointRequest, Identity, Question, Request
from nono.audit import event
from nono.audit.event import Recorder
from nono.policy.schema.route_rules import RateLimit
from nono.policy.services.rate_limit import TokenBucket

# Limits the questions only: opens that a grant or a rule decides are never delayed.
QUESTIONS = RateLimit(requests_per_minute=600, burst=5, max_delay_s=0.0)
WAITING_MAX = 16  # questions open at a time
CALLERS_MAX = 64  # waiting for the same question
REFUSED_MAX = 4096  # remembered refusals
WITHDRAWN = Answer("error", event.WITHDRAWN)


@dataclass(slots=True, eq=False)
class _Asked:
    """An open question, and the callers waiting for its answer."""

    answered: anyio.Event = field(default_factory=anyio.Event)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    waiting: int = 0
    answer: Answer = WITHDRAWN


class ApprovalBroker:
    """The Approver of a run, inside the block of `approval_broker`.

    Identical file opens share one question while it is open, and a refusal that somebody gave answers later
    ones too. A yes counts only for the callers that were waiting. Each endpoint request is a question of its
    own: two of them may differ in their bodies.
    """

    def __init__(
        self,
        backends: Backends,
        record: Recorder,
        session_id: str,
        tasks: TaskGroup,
        questions: OpenQuestions | None = None,
    ) -> None:
        """Ask the backends. An answer given to `questions` counts too if it comes first."""
        self._backends = backends
        self.questions = questions or OpenQuestions(lambda _: None)
        self._record = record
        self._session_id = session_id
        self._tasks = tasks
        self._bucket = TokenBucket(QUESTIONS, time.monotonic())
        self._open = 0
        self._shared: dict[Identity, _Asked] = {}
        self._refused: dict[Identity, Answer] = {}

    async def __call__(self, request: Request, /) -> Answer:
        key = request.identity
        if key is not None and (refused := self._refused.get(key)) is not None:
            return refused
        asked = self._shared.get(key) if key is not None else None
        if asked is None:
            if self._open >= WAITING_MAX or self._bucket.take(time.monotonic()) is None:
                return self._not_asked(request, "asked for faster than a person can answer (rate limit)")
            asked = _Asked()
            self._open += 1
            if key is not None:
                self._shared[key] = asked
            self._tasks.start_soon(self._ask, asked, request, key)
        elif asked.waiting >= CALLERS_MAX:
            return self._not_asked(request, "too many wait for the same answer (rate limit)")
        asked.waiting += 1
        try:
            await asked.answered.wait()
        finally:
            asked.waiting -= 1
            if asked.waiting == 0 and not asked.answered.is_set():
                self._close(asked, key)  # the next caller asks again
                asked.scope.cancel()
        return asked.answer

    async def _ask(self, asked: _Asked, request: Request, key: Identity) -> None:
        try:
            with asked.scope:
                asked.answer = await self._answer(request)
        finally:
            self._close(asked, key)
            self._open -= 1
            if key is not None and asked.answer.is_remembered and len(self._refused) < REFUSED_MAX:
                self._refused[key] = asked.answer
            asked.answered.set()

    def _close(self, asked: _Asked, key: Identity) -> None:
        if key is not None and self._shared.get(key) is asked:
            del self._shared[key]

    async def _answer(self, request: Request) -> Answer:
        name, timeout_s = self._whom(request)
        question_id = os.urandom(8).hex()
        elsewhere = partial(self.questions.closed, question_id)
        question = Question(question_id, request, self._session_id, name, elsewhere)
        started = time.monotonic()
        try:
            self._record(audit_events.asked(question))
        except OSError:
            return Answer("error", "the question could not be recorded")
        answer = WITHDRAWN
        try:
            with self.questions.asking(question, timeout_s) as waiting:
                answer = await self._first(question, timeout_s, waiting)
        finally:
            self.questions.close(question.id, answer)
            duration_ms = int((time.monotonic() - started) * 1000)
            try:
                self._record(audit_events.answered(question, answer, duration_ms))
            except OSError:  # a yes that cannot be recorded is a no
                answer = Answer("error", "the answer could not be recorded")
        return answer._replace(backend=answer.backend or question.backend)

    async def _first(self, question: Question, timeout_s: float, waiting: Waiting) -> Answer:
        """Return the first answer: from the backend, or from a person who answers the open question."""
        answers: list[Answer] = []

        async def at_backend() -> None:
            ends, left_s = time.monotonic() + timeout_s, timeout_s
            while True:
                arrival = self.questions.arrival  # from before the question, so that none is missed
                answer = await self._backends.ask(question.backend, question, left_s)
                if not (answer.is_unasked and self.questions.waits):
                    decide(answer)
                    return
                self.questions.unseen(waiting.shown)
                if self._backends.is_chain(question.backend):
                    return  # its other backends have answered, and are not asked twice
                await arrival.wait()
                # As a person reads it; elsewhere() ends it in time.
                left_s = min(timeout_s, ceil(ends - time.monotonic()))

        async def elsewhere() -> None:
            with anyio.move_on_after(timeout_s):
                decide(await waiting.answered())
                return
            decide(Answer("timeout", f"nobody has answered within {timeout_s:g} s", question.backend))

        def decide(answer: Answer) -> None:
            answers.append(answer)
            tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(at_backend)
            tasks.start_soon(elsewhere)
        return answers[0]

    def _whom(self, request: Request) -> tuple[str, float]:
        """Return the name of the backend to ask, and its time limit.

        A rule overrides the profile's defaults.
        """
        if not isinstance(request, EndpointRequest):
            return self._backends.default, self._backends.timeout_s(self._backends.default)
        name = request.rule.backend or self._backends.default
        timeout_s = request.rule.timeout_s
        return name, self._backends.timeout_s(name) if timeout_s is None else timeout_s

    def _not_asked(self, request: Request, reason: str) -> Answer:
        answer = Answer("denied", reason)
        try:
            self._record(audit_events.not_asked(request, reason))
        except OSError:
            return Answer("error", "the refusal could not be recorded")
        return answer


@asynccontextmanager
async def approval_broker(
    backends: Backends, record: Recorder, session_id: str, questions: OpenQuestions | None = None
) -> AsyncIterator[ApprovalBroker]:
    """Open an ApprovalBroker; leaving the block withdraws open questions."""
    async with anyio.create_task_group() as tasks:
        try:
            yield ApprovalBroker(backends, record, session_id, tasks, questions)
        finally:
            tasks.cancel_scope.cancel()
