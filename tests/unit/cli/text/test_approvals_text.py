"""What a person reads of open questions, and of an answer."""

from __future__ import annotations

import pytest

from nono.approval.listing import Listed
from nono.cli.text.approvals_text import details, outcome, table
from unit.sessions.test_record import RECORD

QUESTION = Listed(
    "0123456789abcdef", "host", "connect to a.test", (("Host", "a.test"),), "a.test:443", 60_000, 360_000
)
NOW_MS = 90_000


def test_a_question_is_listed_with_what_has_passed_and_what_is_left() -> None:
    _, row = table([(QUESTION, RECORD._replace(name="web"))], NOW_MS)
    assert row.split() == ["01234567", "web", "30s", "4m", "host", "connect", "to", "a.test"]


def test_of_a_long_question_both_ends_are_told_and_how_much_is_left_out() -> None:
    question = QUESTION._replace(what=f"DELETE a.test/{'x' * 300}/keys")
    _, row = table([(question, RECORD)], NOW_MS)
    for line in (row, outcome(question, 404, {})):
        assert "DELETE a.test/x" in line
        assert "...(119 more)..." in line
        assert "x/keys" in line


def test_all_of_a_question_is_told_in_columns() -> None:
    assert [*details(QUESTION, RECORD._replace(name="web"), NOW_MS)] == [
        "Question: 0123456789abcdef",
        f"Session:  {RECORD.session_id} (web)",
        "Host:     a.test",
        "Expires:  in 4m, with a no",
    ]


@pytest.mark.parametrize(
    ("status", "answer", "words"),
    [
        (200, {"outcome": "granted"}, "Allowed 01234567, connect to a.test."),
        (200, {"outcome": "denied"}, "Denied 01234567, connect to a.test."),
        (200, {}, "Denied 01234567, connect to a.test."),
        (409, {"outcome": "granted", "by": "ada"}, "Too late for *: it was allowed before, by ada."),
        (409, {"outcome": "denied", "by": "ada"}, "Too late for *: it was denied before, by ada."),
        (409, {"outcome": "timeout"}, "Too late for *: nobody had answered in time."),
        (409, {"outcome": "cancelled"}, "Too late for *: whoever waited is gone."),
        (404, {}, "Too late for *: nobody waits for it any more."),
        (500, {"error": "broken\n"}, "*: not answered (broken\\n)."),
    ],
)
def test_what_an_answer_came_to_is_said(status: int, answer: dict[str, object], words: str) -> None:
    assert outcome(QUESTION, status, answer) == words.replace("*", "01234567, connect to a.test")
