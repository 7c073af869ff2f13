"""nono.cli.commands.sessions.approvals: which question is meant, and what the exit code says of an answer."""

from __future__ import annotations

import argparse
from http import HTTPStatus
from typing import Any, cast

import pytest

from nono.approval.listing import Listed
from nono.cli.commands.sessions import approvals
from nono.cli.commands.sessions.approvals import Open
from nono.cli.commands.sessions.talk import Told
from nono.errors import ConfigError, NonoError


def question(question_id: str) -> Open:
    shown = Listed(question_id, "host", "connect to a.test", (), "a.test", 0, 1)
    return Open(cast(Any, None), shown)  # no session is asked


FOUND = [question("abcd1"), question("abcd2"), question("ef012")]


@pytest.mark.parametrize(
    ("query", "meant"),
    [
        ("ef012", "ef012"),
        ("ef01", "ef012"),
        ("ef0", NonoError),  # too short to be meant
        ("", NonoError),
        ("abcd", ConfigError),  # two of them
        ("abcd2", "abcd2"),
        ("ffff", NonoError),
    ],
)
def test_a_question_is_meant_by_enough_of_its_id(query: str, meant: str | type[NonoError]) -> None:
    if isinstance(meant, str):
        assert approvals._meant(query, FOUND).question.id == meant
        return
    with pytest.raises(meant):
        approvals._meant(query, FOUND)


@pytest.mark.parametrize("late", [None, 0, 1])
def test_an_answer_that_came_too_late_fails(
    late: int | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def answered(each: Open, word: str) -> tuple[Told, str]:
        is_late = late is not None and each is FOUND[late]
        return Told(HTTPStatus.CONFLICT if is_late else HTTPStatus.OK, {}), f"{word} {each.question.id}"

    monkeypatch.setattr(approvals, "_answered", answered)
    parsed = argparse.Namespace(for_s=None, action="deny", silent=True)
    assert approvals._answer(FOUND[:2], parsed) == (0 if late is None else 1)
    assert capsys.readouterr().err == ("" if late is None else f"deny {FOUND[late].question.id}\n")
