"""An open question is answered by whoever may, once, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

import anyio
import pytest

from nono.approval.backends import Backends
from nono.approval.broker import CALLERS_MAX, WAITING_MAX, ApprovalBroker, approval_broker
from nono.approval.listing import Listed, listed, parse, to_json
from nono.approval.open_questions import CLOSED_MAX, Closed, OpenQuestions
from nono.approval.request import (
    Answer,
    EndpointRequest,
    FileOpen,
    HeldBody,
    HostRequest,
    LimitRequest,
    Question,
    Request,
)
from nono.audit.event import Event
from nono.policy.capability import Access
from nono.policy.endpoints.policy import EndpointVerdict
from nono.policy.services.approval import TERMINAL, Approval

HOST = HostRequest("new.test", 443)
RULE = EndpointVerdict("approve", "endpoint_policy.default")
FORGING = "\x1b[2J\x1b]0;x\x07\r\n[nono] Access granted.\u202e"


class Nobody:
    """A backend that never answers, or that can ask nobody."""

    def __init__(self, answer: Answer | None = None) -> None:
        self.answer = answer
        self.asked = 0
        self.was_withdrawn = False

    async def ask(self, question: Question, expires_s: float) -> Answer:
        self.asked += 1
        if self.answer is not None:
            return self.answer
        try:
            await anyio.sleep_forever()
        finally:
            self.was_withdrawn = True
        raise AssertionError("unreachable")


class Stage:
    """A broker, what it has recorded, and what other processes would read."""

    def __init__(
        self, approver: ApprovalBroker, events: list[Event], shown: list[tuple[Listed, ...]]
    ) -> None:
        self.approver = approver
        self.events = events
        self.shown = shown

    @property
    def questions(self) -> OpenQuestions:
        return self.approver.questions

    async def asked(self) -> Listed:
        """Return the only open question, once it is."""
        while len(self.questions.listed) != 1:  # noqa: ASYNC110 - the queue tells other processes only
            await anyio.sleep(0.001)
        return self.questions.listed[0]

    def answers(self) -> list[tuple[object, object]]:
        """Return decision and backend of each recorded answer."""
        fields = [cast(Event, event.get("event") or event.get("entry")) for event in self.events]
        return [(each["decision"], each.get("approval_backend", each.get("backend"))) for each in fields]


def at(
    work: Callable[[Stage], Awaitable[None]],
    backend: Nobody | None = None,
    *,
    waits: bool = True,
    timeout_s: float = 10.0,
) -> Stage:
    stages: list[Stage] = []

    async def run() -> None:
        events: list[Event] = []
        shown: list[tuple[Listed, ...]] = []
        questions = OpenQuestions(shown.append, waits=waits)
        backends = Backends(Approval(timeout_s=timeout_s), {TERMINAL: backend or Nobody()})
        async with approval_broker(backends, events.append, "session", questions) as approver:
            stages.append(Stage(approver, events, shown))
            with anyio.fail_after(20):
                await work(stages[0])

    anyio.run(run)
    return stages[0]


@pytest.mark.parametrize(("is_yes", "outcome"), [(True, "granted"), (False, "denied")])
def test_the_first_answer_counts(is_yes: bool, outcome: str) -> None:
    backend, got = Nobody(), list[Answer]()

    async def work(stage: Stage) -> None:
        async with anyio.create_task_group() as tasks:

            async def ask() -> None:
                got.append(await stage.approver(HOST))

            tasks.start_soon(ask)
            question = await stage.asked()
            first = stage.questions.answer(question.id, is_yes=is_yes, by="one")
            second = stage.questions.answer(question.id, is_yes=not is_yes, by="two")
            assert isinstance(first, Answer)
            assert isinstance(second, Closed)
            assert (second.answer.outcome, second.answer.backend) == (outcome, "one")

    stage = at(work, backend)
    assert [answer.outcome for answer in got] == [outcome]
    assert stage.answers() == [("approve_requested", TERMINAL), (f"approve_{outcome}", "one")]
    assert backend.was_withdrawn
    assert stage.shown[-1] == ()


def test_an_answer_to_nothing_is_none() -> None:
    async def work(stage: Stage) -> None:
        assert stage.questions.answer("0" * 16, is_yes=True, by="one") is None

    at(work)


def test_an_answer_that_comes_after_the_time_is_told_so() -> None:
    async def work(stage: Stage) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stage.approver, HOST)
            question = await stage.asked()
        late = stage.questions.answer(question.id, is_yes=True, by="one")
        assert isinstance(late, Closed)
        assert late.answer.outcome == "timeout"

    stage = at(work, timeout_s=1.5)
    assert stage.answers()[-1][0] == "approve_timeout"
    assert stage.shown[-1] == ()


def test_how_the_last_questions_ended_is_remembered() -> None:
    async def work(stage: Stage) -> None:
        for number in range(CLOSED_MAX + 1):
            stage.questions.close(str(number), Answer("granted"))
        assert stage.questions.closed("0") is None
        assert stage.questions.closed("1") == Answer("granted")

    at(work)


@pytest.mark.parametrize("waits", [True, False], ids=["somebody knows of it", "nobody does"])
def test_whom_no_terminal_reaches_is_waited_for_only_where_somebody_knows_of_it(waits: bool) -> None:
    got = list[Answer]()

    async def work(stage: Stage) -> None:
        async with anyio.create_task_group() as tasks:

            async def ask() -> None:
                got.append(await stage.approver(HOST))

            tasks.start_soon(ask)
            if waits:
                stage.questions.answer((await stage.asked()).id, is_yes=True, by="one")

    at(work, Nobody(Answer("denied", "no terminal", is_unasked=True)), waits=waits)
    assert [answer.outcome for answer in got] == ["granted" if waits else "denied"]


def test_who_asks_about_the_same_host_waits_for_the_same_answer() -> None:
    got = list[Answer]()

    async def work(stage: Stage) -> None:
        async with anyio.create_task_group() as tasks:

            async def ask() -> None:
                got.append(await stage.approver(HOST))

            for _ in range(3):
                tasks.start_soon(ask)
            question = await stage.asked()
            await anyio.wait_all_tasks_blocked()
            stage.questions.answer(question.id, is_yes=True, by="one")

    stage = at(work)
    assert [answer.outcome for answer in got] == ["granted"] * 3
    assert len(stage.answers()) == 2


def test_a_yes_is_not_remembered() -> None:
    async def work(stage: Stage) -> None:
        for _ in range(2):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(stage.approver, HOST)
                stage.questions.answer((await stage.asked()).id, is_yes=True, by="one")

    assert [decision for decision, _ in at(work).answers()] == ["approve_requested", "approve_granted"] * 2


def test_ten_thousand_questions_stay_bounded() -> None:
    most, refused = [0], [0]

    async def work(stage: Stage) -> None:
        async with anyio.create_task_group() as tasks:

            async def ask(number: int) -> None:
                answer = await stage.approver(HostRequest(f"host-{number}.test", 443))
                refused[0] += answer.outcome == "denied"

            for number in range(10_000):
                tasks.start_soon(ask, number)
            await anyio.wait_all_tasks_blocked()
            most[0] = max(map(len, stage.shown))
            tasks.cancel_scope.cancel()

    stage = at(work)
    assert most[0] <= WAITING_MAX
    assert refused[0] >= 10_000 - WAITING_MAX - 5
    assert stage.questions.listed == ()


def test_the_callers_of_one_question_are_bounded() -> None:
    got = list[Answer]()

    async def work(stage: Stage) -> None:
        async with anyio.create_task_group() as tasks:

            async def ask() -> None:
                got.append(await stage.approver(HOST))

            for _ in range(CALLERS_MAX + 10):
                tasks.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            assert [answer.outcome for answer in got] == ["denied"] * 10
            tasks.cancel_scope.cancel()

    at(work)


def test_a_question_that_nobody_waits_for_any_more_is_gone() -> None:
    async def work(stage: Stage) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stage.approver, HOST)
            await stage.asked()
            tasks.cancel_scope.cancel()
        while stage.questions.listed:  # noqa: ASYNC110 - as above
            await anyio.sleep(0.001)

    stage = at(work)
    assert stage.shown[-1] == ()
    assert stage.answers()[-1][0] == "approve_error"


REQUESTS = [
    FileOpen(f"/tmp/{FORGING}", Access.READ, "file", truncates=False, pid=1),
    EndpointRequest("api.test", "POST", f"/{FORGING}", "alpha", RULE, target=f"/{FORGING}"),
    HostRequest(f"new.test{FORGING}", 443),
    LimitRequest(f"alpha{FORGING}", "api.test", f"reached{FORGING}"),
]


@pytest.mark.parametrize("request_", REQUESTS, ids=["file", "endpoint", "host", "limit"])
def test_no_text_of_a_question_can_forge_the_screen(request_: Request) -> None:
    shown = listed(Question("0" * 16, request_, "session", TERMINAL), 0, 60.0)
    text = shown.what + "".join(value for _, value in shown.fields)
    assert text.isprintable()
    assert "\x1b" not in text
    assert "\\x1b" in text


@pytest.mark.parametrize("request_", REQUESTS, ids=["file", "endpoint", "host", "limit"])
def test_a_question_is_read_as_it_was_written(request_: Request) -> None:
    shown = (listed(Question("0" * 16, request_, "session", TERMINAL), 5, 60.0),)
    assert parse(to_json(shown)) == shown


def test_each_line_of_a_body_is_in_what_a_program_reads() -> None:
    body = HeldBody(19, "0f" * 32, b'{\n "to": "x",\n "n": 1\n}\n')
    request = EndpointRequest("api.test", "POST", "/pay", "shop", RULE, "/pay", body)
    document = listed(Question("id", request, "session", TERMINAL, lambda: None), 0, 60).document
    fields = cast(dict[str, str], document["fields"])
    assert fields["Begins"].split("\n") == ["| {", '|  "to": "x",', '|  "n": 1', "| }", "| "]
    assert "..." not in fields
    assert fields["Scope"] == "this one request"


@pytest.mark.parametrize("content", [None, b"", b"{", b"[1]", b'[["a"]]', b"[" * 100_000, b'{"a": 1}'])
def test_a_damaged_file_has_no_questions(content: bytes | None) -> None:
    assert parse(content) == ()


@pytest.mark.parametrize(
    ("request_", "target"),
    [
        (FileOpen("/a b/c", Access.READ, "file", truncates=False, pid=1), "/a b/c"),
        (FileOpen("/a", Access.READ, "directory", truncates=False, pid=1), ""),
        (HostRequest("a.test", 8443), "a.test:8443"),
        (HostRequest("2001:db8::1", 443), "[2001:db8::1]:443"),
        (EndpointRequest("api.test", "POST", "/v1/x", "alpha", RULE), "alpha:POST:/v1/x"),
        (EndpointRequest("api.test", "POST", "/v1/*", "alpha", RULE), ""),
        (EndpointRequest("api.test", "POST", "/v1/x", None, RULE), ""),
        (LimitRequest("alpha", "api.test", "reached"), ""),
        *((request_, "") for request_ in REQUESTS),
    ],
)
def test_a_rule_is_made_of_what_a_person_can_read_alone(request_: Request, target: str) -> None:
    assert listed(Question("0" * 16, request_, "session", TERMINAL), 0, 60.0).target == target
