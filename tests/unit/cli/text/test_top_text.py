"""nono.cli.text.top_text: the rows of `nono top`."""

from __future__ import annotations

from typing import Any

import pytest

from nono.approval.listing import Listed
from nono.cli.text.top_text import (
    HEADERS,
    RECENT_S,
    WIDTHS,
    Load,
    Watched,
    cells,
    details,
    document,
    headline,
    oldest,
    shown,
)
from nono.sessions.record import Record
from unit.sessions.test_record import RECORD

QUESTION = Listed("0123456789", "host", "connect to new.test:80", (("Host", "new.test"),), "", 100, 60_100)
LIVE: dict[str, Any] = {
    "counts": {"refused": 3},
    "traffic": {"requests": 1234},
    "usage": {"responses": 2, "input_tokens": 1_200_000, "output_tokens": 34_000, "cost_usd": 3.871},
}
ENDED = RECORD._replace(status="exited", exit_code=143, ended_unix_ms=5000)
EVIL = RECORD._replace(command=("[bold]x[/]", "\x1b[31m\u202e"), workdir="/w\n[@click=app.quit]q[/]")


def watched(record: Record = RECORD, *questions: Listed, live: Any = None) -> Watched:
    return Watched(record, questions, Load(12.6, 300 << 20), live)


@pytest.mark.parametrize(
    ("each", "row"),
    [
        pytest.param(watched(live=LIVE), "calm-fern running 13% 300M 1.2k 3 1.2M $3.87", id="running"),
        pytest.param(watched(RECORD, QUESTION), "calm-fern needs you (1) 13% 300M - - - -", id="needs you"),
        pytest.param(
            watched(RECORD._replace(status="paused")), "calm-fern paused 13% 300M - - - -", id="paused"
        ),
        pytest.param(Watched(ENDED, (), None, None), "calm-fern exited(143) - - - - - -", id="ended"),
        pytest.param(
            watched(live={**LIVE, "usage": {**LIVE["usage"], "responses": 0, "cost_usd": None}}),
            "calm-fern running 13% 300M 1.2k 3 - -",
            id="no model was used",
        ),
        pytest.param(
            watched(live={"counts": [], "usage": 3}), "calm-fern running 13% 300M - - - -", id="odd"
        ),
    ],
)
def test_a_session_is_a_row_of_short_words(each: Watched, row: str) -> None:
    assert " ".join(cells(each)) == row


def test_a_row_fits_a_screen_of_80_columns() -> None:
    assert sum(WIDTHS) + 2 * len(WIDTHS) <= 80
    wide = RECORD._replace(name="n" * 64)
    assert all(len(cell) <= size for cell, size in zip(cells(watched(wide, live=LIVE)), WIDTHS, strict=True))
    assert len(HEADERS) == len(WIDTHS)


def test_who_needs_somebody_comes_first() -> None:
    asks = watched(RECORD._replace(session_id="b"), QUESTION)
    every = [watched(ENDED), watched(), asks]
    assert shown(every, 6000, has_all=False) == [asks, watched(), watched(ENDED)]


def test_what_has_ended_goes_after_a_while() -> None:
    now_ms = 5001 + RECENT_S * 1000
    assert shown([watched(ENDED)], now_ms, has_all=False) == []
    assert shown([watched(ENDED)], now_ms, has_all=True) == [watched(ENDED)]


def test_the_question_that_waits_longest_is_the_oldest_of_all_sessions() -> None:
    later, first = watched(RECORD, QUESTION._replace(id="x", asked_unix_ms=200)), watched(ENDED, QUESTION)
    assert oldest([later, first]) == (first, QUESTION)
    assert oldest([watched()]) is None


def test_no_text_of_a_command_holds_a_character_that_a_terminal_obeys() -> None:
    asks = watched(EVIL, QUESTION._replace(what="a\nb\x1b[2J", fields=(("a\r", "b\x07"),)))
    texts = [*details(asks, 0), headline([asks]), *cells(asks), *map(str, _leaves(document(asks, 0)))]
    assert all(text.isprintable() for text in texts)


def _leaves(value: Any) -> list[object]:
    if isinstance(value, dict):
        return [leaf for each in value.values() for leaf in _leaves(each)]
    return [leaf for each in value for leaf in _leaves(each)] if isinstance(value, list | tuple) else [value]


def test_a_command_line_of_any_length_takes_little_of_the_screen() -> None:
    long = watched(RECORD._replace(command=("x" * (1 << 20),)), *[QUESTION] * 100)
    lines = [*details(long, 0)]
    assert len(lines) < 10
    assert max(map(len, lines)) < 400
