"""Every question is recorded, asked once, and answered with no unless somebody said yes."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, cast

import anyio
import pytest

from nono.approval import broker
from nono.approval.backends import Backends
from nono.approval.broker import WAITING_MAX, ApprovalBroker, approval_broker
from nono.approval.open_questions import OpenQuestions
from nono.approval.request import Answer, EndpointRequest, FileOpen, Question, Request
from nono.audit.event import Event
from nono.policy.capability import Access
from nono.policy.endpoints.policy import EndpointVerdict
from nono.policy.schema.route_rules import RateLimit
from nono.policy.services.approval import TERMINAL, Approval, ApprovalBackend, ChainBackend, TerminalBackend

FILE = FileOpen("/outside/file", Access.READ, "file", truncates=False, pid=4)
PAY = EndpointRequest("api", "POST", "/pay", "alpha", EndpointVerdict("approve", "endpoint_policy.default"))
GRANTED, DENIED = Answer("granted"), Answer("denied", "no", is_remembered=True)


class Person:
    """Answers when it is let; keeps what it was asked."""

    def __init__(self, answer: Answer | Exception = GRANTED, *, waits: bool = False) -> None:
        self.answer = answer
        self.asked: list[Request] = []
        self.within_s: list[float] = []
        self.may = anyio.Event()
        self.began = anyio.Event()
        self.cancelled = False
        if not waits:
            self.may.set()

    async def ask(self, question: Question, expires_s: float) -> Answer:
        self.asked.append(question.request)
        self.within_s.append(expires_s)
        self.began.set()
        try:
            await self.may.wait()
        except anyio.get_cancelled_exc_class():
            self.cancelled = True
            raise
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def decisions(events: list[Event]) -> list[Any]:
    found: list[Any] = []
    for event in events:
        fields = cast(Event, event.get("entry") or event["event"])
        found.append(fields["decision"])
    return found


def ask(
    person: Person,
    work: Callable[[ApprovalBroker], Awaitable[None]],
    *,
    approval: Approval | None = None,
    record: Callable[[Event], None] | None = None,
    questions: OpenQuestions | None = None,
) -> list[Event]:
    """Return what was recorded while work was done at a desk."""
    events: list[Event] = []

    async def run() -> None:
        reached = dict.fromkeys((TERMINAL, "who"), person)
        backends = Backends(approval or Approval(), reached)
        async with approval_broker(backends, record or events.append, "session", questions) as approver:
            with anyio.fail_after(10):
                await work(approver)

    anyio.run(run)
    return events


@pytest.mark.parametrize("request_", [FILE, PAY], ids=["file", "endpoint"])
@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (GRANTED, "granted"),
        (DENIED, "denied"),
        (RuntimeError("broken"), "error"),
        (OSError(5, "gone"), "error"),
    ],
    ids=["granted", "denied", "broken", "gone"],
)
def test_an_answer_is_recorded_behind_its_question(
    request_: Request, answer: Answer | Exception, outcome: str
) -> None:
    async def work(approver: ApprovalBroker) -> None:
        assert (await approver(request_)).outcome == outcome

    recorded = decisions(ask(Person(answer), work))
    assert len(recorded) == 2
    if isinstance(request_, FileOpen):
        assert recorded[0] == "Requested"
        assert (recorded[1] == "Granted") is (outcome == "granted")
    else:
        assert recorded == ["approve_requested", f"approve_{outcome}"]


def test_silence_is_a_no_recorded_as_a_timeout() -> None:
    person = Person(waits=True)

    async def work(approver: ApprovalBroker) -> None:
        assert (await approver(FILE)).outcome == "timeout"

    assert decisions(ask(person, work, approval=Approval(timeout_s=0.05))) == ["Requested", "Timeout"]
    assert person.cancelled


NOBODY = Answer("denied", "no terminal", is_unasked=True)


@pytest.mark.parametrize(
    "backend", [TerminalBackend(), ChainBackend("any", (TERMINAL,))], ids=["one", "chain"]
)
def test_a_question_that_reached_nobody_is_asked_again_when_somebody_comes(
    backend: TerminalBackend | ChainBackend,
) -> None:
    person = Person(NOBODY)
    questions = OpenQuestions(lambda _: None, waits=True)
    is_alone = isinstance(backend, TerminalBackend)  # others in a chain have answered, and are left in peace

    async def work(approver: ApprovalBroker) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(answered, approver)
            await anyio.wait_all_tasks_blocked()
            for answer in (NOBODY, GRANTED):
                person.answer = answer
                questions.somebody_came()
                await anyio.wait_all_tasks_blocked()

    async def answered(approver: ApprovalBroker) -> None:
        got = await approver(FILE)
        assert got.outcome == ("granted" if is_alone else "timeout"), got

    named = {TERMINAL: ApprovalBackend(TerminalBackend()), "who": ApprovalBackend(backend)}
    ask(person, work, approval=Approval(named, "who", 0.5), questions=questions)
    assert len(person.asked) == (3 if is_alone else 1)
    assert sorted(person.within_s, reverse=True) == person.within_s


def test_who_asks_for_the_same_file_meanwhile_waits_for_the_same_answer() -> None:
    person = Person(waits=True)

    async def work(approver: ApprovalBroker) -> None:
        answers: list[Answer] = []

        async def one(request: Request) -> None:
            answers.append(await approver(request))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one, FILE)
            tasks.start_soon(one, FILE._replace(pid=5))
            tasks.start_soon(one, FILE._replace(access=Access.WRITE))
            await anyio.wait_all_tasks_blocked()
            person.may.set()
        assert [answer.is_granted for answer in answers] == [True] * 3
        assert len(person.asked) == 2

    ask(person, work)


def test_only_a_no_is_remembered() -> None:
    person = Person(GRANTED)

    async def work(approver: ApprovalBroker) -> None:
        assert (await approver(FILE)).is_granted
        assert (await approver(FILE)).is_granted
        assert len(person.asked) == 2
        person.answer = DENIED
        for _ in range(3):
            assert not (await approver(FILE)).is_granted
        assert len(person.asked) == 3
        person.answer = GRANTED
        assert (await approver(FILE._replace(access=Access.WRITE))).is_granted

    ask(person, work)


def test_a_failure_is_not_remembered_as_a_no() -> None:
    person = Person(OSError(5, "gone"))

    async def work(approver: ApprovalBroker) -> None:
        assert not (await approver(FILE)).is_granted
        person.answer = GRANTED
        assert (await approver(FILE)).is_granted

    ask(person, work)


def test_requests_to_an_endpoint_are_each_asked_about() -> None:
    person = Person(waits=True)

    async def work(approver: ApprovalBroker) -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(approver, PAY)
            await anyio.wait_all_tasks_blocked()
            person.may.set()
        assert len(person.asked) == 2

    ask(person, work)


def test_a_flood_of_questions_is_refused_without_asking() -> None:
    person = Person(GRANTED)

    async def work(approver: ApprovalBroker) -> None:
        began = time.monotonic()
        answers = [await approver(FILE._replace(path=f"/outside/{number}")) for number in range(50)]
        refilled = 10 * (time.monotonic() - began)  # 600 a minute
        assert 5 <= len(person.asked) <= 5 + refilled
        refused = [answer for answer in answers if not answer.is_granted]
        assert all("rate limit" in answer.reason for answer in refused)

    recorded = ask(person, work)
    assert len(recorded) == len(person.asked) * 2 + (50 - len(person.asked))


def test_no_more_questions_are_open_than_somebody_could_answer() -> None:
    person = Person(waits=True)

    async def work(approver: ApprovalBroker) -> None:
        async with anyio.create_task_group() as tasks:
            for number in range(WAITING_MAX + 3):
                tasks.start_soon(approver, FILE._replace(path=f"/outside/{number}"))
                await anyio.sleep(0.11)  # the time in which one more may be asked
            assert len(person.asked) == WAITING_MAX
            person.may.set()

    ask(person, work)


@pytest.fixture
def any_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    often = RateLimit(requests_per_minute=60_000, burst=1000, max_delay_s=0.0)
    monkeypatch.setattr(broker, "QUESTIONS", often)


@pytest.mark.usefixtures("any_rate")
def test_a_question_that_is_answered_gives_its_place_to_another() -> None:
    person = Person(GRANTED)

    async def work(approver: ApprovalBroker) -> None:
        for number in range(WAITING_MAX + 1):
            assert (await approver(FILE._replace(path=f"/outside/{number}"))).is_granted

    ask(person, work)


@pytest.mark.usefixtures("any_rate")
def test_what_is_remembered_of_refusals_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command chooses the names of the files that it asks for."""
    monkeypatch.setattr(broker, "REFUSED_MAX", 2)
    person = Person(DENIED)

    async def work(approver: ApprovalBroker) -> None:
        for _ in range(2):
            for number in range(3):
                assert not (await approver(FILE._replace(path=f"/outside/{number}"))).is_granted
        assert [cast(FileOpen, each).path[-1] for each in person.asked] == ["0", "1", "2", "2"]

    ask(person, work)


def test_a_question_that_nobody_waits_for_is_withdrawn() -> None:
    person = Person(waits=True)

    async def work(approver: ApprovalBroker) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(approver, FILE)
            await person.began.wait()
            tasks.cancel_scope.cancel()
        await anyio.wait_all_tasks_blocked()
        assert person.cancelled
        person.may.set()
        assert (await approver(FILE)).is_granted

    recorded = decisions(ask(person, work))
    assert recorded[1] == {"Denied": {"reason": "the question was withdrawn"}}


@pytest.mark.parametrize("fails_at", [0, 1], ids=["question", "answer"])
def test_what_cannot_be_recorded_is_not_granted(fails_at: int) -> None:
    person = Person(GRANTED)
    events: list[Event] = []

    def record(event: Event) -> None:
        if len(events) == fails_at:
            raise OSError(28, "No space left on device")
        events.append(event)

    async def work(approver: ApprovalBroker) -> None:
        assert (await approver(FILE)).outcome == "error"

    ask(person, work, record=record)
    assert len(person.asked) == fails_at


def chained(mode: str, **people: Person) -> tuple[Approval, dict[str, Person]]:
    backends = {name: ApprovalBackend(TerminalBackend()) for name in people}
    backends["chain"] = ApprovalBackend(ChainBackend(cast(Any, mode), tuple(people)))
    return Approval(backends, "chain", timeout_s=0.2), people


@pytest.mark.parametrize(
    ("mode", "first", "second", "is_granted"),
    [
        ("all", GRANTED, GRANTED, True),
        ("all", GRANTED, DENIED, False),
        ("all", DENIED, GRANTED, False),
        ("all", GRANTED, OSError(5, "gone"), False),
        ("any", GRANTED, DENIED, True),
        ("any", DENIED, GRANTED, True),
        ("any", OSError(5, "gone"), GRANTED, True),
        ("any", DENIED, DENIED, False),
        ("any", DENIED, OSError(5, "gone"), False),
    ],
)
def test_a_chain_asks_all_or_any(
    mode: str, first: Answer | Exception, second: Answer | Exception, is_granted: bool
) -> None:
    approval, people = chained(mode, a=Person(first), b=Person(second))
    question = Question("1", FILE, "", "chain")
    answer = anyio.run(Backends(approval, people).ask, "chain", question, 1.0)
    assert answer.is_granted is is_granted


@pytest.mark.parametrize("mode", ["all", "any"])
def test_each_of_a_chain_is_given_its_own_time_within_that_of_the_chain(mode: str) -> None:
    approval, people = chained(mode, a=Person(GRANTED), b=Person(GRANTED), c=Person(GRANTED))
    own = {"a": 0.3, "b": 9.0}
    timed = {name: each._replace(timeout_s=own.get(name)) for name, each in approval.backends.items()}
    if mode == "any":
        for each in people.values():
            each.answer = DENIED  # so that all are asked
    question = Question("1", FILE, "", "chain")
    anyio.run(Backends(approval._replace(backends=timed), people).ask, "chain", question, 1.0)
    assert {name: each.within_s for name, each in people.items()} == {"a": [0.3], "b": [1.0], "c": [0.2]}


def test_one_that_is_silent_holds_up_any_only_until_another_agrees() -> None:
    approval, people = chained("any", silent=Person(waits=True), quick=Person(GRANTED))
    approval = approval._replace(timeout_s=60.0)
    question = Question("1", FILE, "", "chain")
    assert anyio.run(Backends(approval, people).ask, "chain", question, 5.0).is_granted
    assert people["silent"].cancelled
