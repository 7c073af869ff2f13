"""nono.cli.commands.top.screen: what the screen of `nono top` shows of given sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from textual.app import App
from textual.pilot import Pilot

from nono.approval.listing import Listed
from nono.cli.commands.top import acts, questions
from nono.cli.commands.top.questions import Asked
from nono.cli.commands.top.screen import Top
from nono.cli.text.top_text import Watched
from nono.sessions.record import Record
from unit.cli.text.test_top_text import EVIL, QUESTION, watched
from unit.sessions.test_record import RECORD

FIRST, SECOND = RECORD._replace(session_id="a" * 16), RECORD._replace(session_id="b" * 16)
MARKUP = "[bold]GET[/] [@click=app.quit]here[/]"


def looked_at(
    every: list[Watched],
    then: Callable[[Top, Pilot[None]], Awaitable[None]],
    size: tuple[int, int] = (80, 24),
) -> None:
    """Show these sessions on a screen, and go on once it shows them."""

    async def run() -> None:
        top = Top(lambda: every, {}, has_all=True)
        async with top.run_test(size=size) as pilot:
            while not top.selected:
                await pilot.pause(0.01)
            await pilot.pause()
            await then(top, pilot)

    asyncio.run(run())


def text_of(app: App[None]) -> str:
    """Return the characters on the screen."""
    lines = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in line) for line in lines)


def question(record: Record, **changes: Any) -> Watched:
    asked: Listed = QUESTION._replace(**changes)
    return watched(record, asked)


def test_every_column_fits_a_screen_of_80_columns() -> None:
    async def then(top: Top, pilot: Pilot[None]) -> None:
        shown = text_of(top)
        assert "COST" in shown
        assert "needs you (1)" in shown
        assert "quit" in shown

    looked_at([question(FIRST)], then)


def test_text_of_a_command_is_no_markup() -> None:
    async def then(top: Top, pilot: Pilot[None]) -> None:
        assert "[bold]x[/]" in text_of(top)
        assert "[@click=app.quit]q[/]" in text_of(top)

    looked_at([watched(EVIL)], then)


def test_text_of_a_question_is_no_markup() -> None:
    async def then(top: Top, pilot: Pilot[None]) -> None:
        await pilot.press("a")
        await pilot.pause()
        assert MARKUP in text_of(top)
        await pilot.press("escape")

    looked_at([question(FIRST, fields=(("Request", MARKUP),))], then)


def test_the_cursor_stays_on_its_session_when_others_move() -> None:
    async def then(top: Top, pilot: Pilot[None]) -> None:
        await pilot.press("down")
        assert top.selected is not None
        assert top.selected.record == SECOND
        top.show([watched(SECOND), watched(FIRST)])
        await pilot.pause()
        assert top.selected.record == SECOND

    looked_at([watched(FIRST), watched(SECOND)], then)


@pytest.mark.parametrize(
    ("shown_s", "key", "told"), [(60, "y", []), (0, "y", ["allow"]), (60, "n", ["deny"])]
)
def test_a_yes_typed_as_the_question_appears_answers_nothing(
    shown_s: float, key: str, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = list[str]()

    def answer(session_id: str, question: Listed, word: str, environ: object) -> str:
        answers.append(word)
        return word

    async def then(top: Top, pilot: Pilot[None]) -> None:
        await pilot.press("a")
        while not isinstance(top.screen, Asked):
            await pilot.pause(0.01)
        await pilot.press(key)
        assert isinstance(top.screen, Asked) == (not told)
        while told and not answers:
            await pilot.pause(0.01)
        assert answers == told

    monkeypatch.setattr(questions, "SHOWN_S", shown_s)
    monkeypatch.setattr(acts, "answer", answer)
    looked_at([question(FIRST)], then)


def test_a_question_stays_when_an_older_one_appears() -> None:
    async def then(top: Top, pilot: Pilot[None]) -> None:
        await pilot.press("a")
        top.show([question(FIRST), question(SECOND, id="older", what="another", asked_unix_ms=1)])
        await pilot.pause()
        assert QUESTION.id in text_of(top)

    looked_at([question(FIRST)], then)
