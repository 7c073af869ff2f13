"""Word the sessions of `nono top`: a row of cells for each, the lines below, and the JSON of a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nono.amounts import several
from nono.approval.listing import Listed
from nono.cli.text.session_text import command_line, duration, one_line, short_name, status
from nono.named_tuple import NamedTuple
from nono.printable import shell_word
from nono.sessions.record import Record

HEADERS = ("NAME", "STATE", "CPU", "MEM", "REQS", "DENIED", "TOKENS", "COST")
WIDTHS = (12, 13, 5, 6, 6, 6, 6, 7)  # with a space on both sides of each, they fit into 80 columns
RECENT_S = 900  # how long an ended session remains visible
UNKNOWN = "-"
TEXT_MAX = 300  # characters of a text that a command can make as long as it likes
ASKS_MAX = 3  # questions shown below the table; all of them can be answered
_BYTES = ((1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K"))
_COUNTS = ((10**9, "G"), (10**6, "M"), (10**3, "k"))


class Load(NamedTuple):
    """The resources that the processes of a session use."""

    cpu_percent: float | None  # of one CPU, since the last look; None: there was no earlier look
    memory_bytes: int  # resident; memory shared by several processes counts for each of them


class Watched(NamedTuple):
    """One session as it was at the last look."""

    record: Record
    questions: tuple[Listed, ...]  # the open ones, the oldest first
    load: Load | None  # None: it does not run, or not here
    live: Mapping[str, Any] | None  # what it reports about itself (docs/control.md); None: nothing


def shown(every: Sequence[Watched], now_ms: int, *, has_all: bool) -> list[Watched]:
    """Return the sessions to show: those that need somebody first, those that have ended last."""
    return sorted(
        (each for each in every if has_all or not _is_past(each.record, now_ms)),
        key=lambda each: 2 if each.record.is_ended else 1 - bool(each.questions),
    )


def _is_past(record: Record, now_ms: int) -> bool:
    return record.is_ended and now_ms - (record.ended_unix_ms or 0) > RECENT_S * 1000


def cells(watched: Watched) -> tuple[str, ...]:
    """Return the row of a session, a cell for each of HEADERS."""
    load, counts, usage = watched.load, _part(watched, "counts"), _part(watched, "usage")
    cpu = None if load is None else load.cpu_percent
    tokens = [n for name in ("input_tokens", "output_tokens") if isinstance(n := usage.get(name), int)]
    cost = usage.get("cost_usd")
    return (
        short_name(watched.record)[: WIDTHS[0]],
        status(watched.record, watched.questions),
        UNKNOWN if cpu is None else f"{cpu:.0f}%",
        UNKNOWN if load is None else _short(load.memory_bytes, _BYTES),
        _count(_part(watched, "traffic").get("requests")),
        _count(counts.get("refused")),
        _count(sum(tokens) if usage.get("responses") else None),
        f"${cost:,.2f}" if isinstance(cost, int | float) else UNKNOWN,
    )


def _part(watched: Watched, name: str) -> Mapping[str, Any]:
    part = (watched.live or {}).get(name)
    return part if isinstance(part, dict) else {}


def _count(number: object) -> str:
    return _short(number, _COUNTS) if isinstance(number, int) else UNKNOWN


def _short(number: int, units: Sequence[tuple[int, str]]) -> str:
    """Return a number with two or three digits."""
    for size, unit in units:
        if number >= size:
            return f"{number / size:.0f}{unit}" if number >= 10 * size else f"{number / size:.1f}{unit}"
    return str(number)


def headline(every: Sequence[Watched]) -> str:
    """Return the line above the table."""
    living = [each for each in every if not each.record.is_ended]
    asking = sum(len(each.questions) for each in living)
    count = several(len(living), "session runs", "sessions run")
    waits = f", {several(asking, 'question waits', 'questions wait')} for you" if asking else ""
    return f"nono top: {count}{waits}"


def details(watched: Watched, now_ms: int) -> Iterator[str]:
    """Yield the lines about the session under the cursor."""
    record = watched.record
    until_ms = (record.ended_unix_ms or now_ms) if record.is_ended else now_ms
    profile = f", profile {shell_word(record.profile)}" if record.profile else ""
    yield f"{record.session_id}, {duration((until_ms - record.started_unix_ms) // 1000)}{profile}"
    yield f"in {shell_word(record.workdir)}"
    yield f"$ {_cut(command_line(record.command))}"
    for question in watched.questions[:ASKS_MAX]:
        yield f"asks: {_cut(one_line(question.what))}"
    if len(watched.questions) > ASKS_MAX:
        yield f"asks {len(watched.questions) - ASKS_MAX} more"


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_MAX else f"{text[:TEXT_MAX]} ..."


def oldest(every: Sequence[Watched]) -> tuple[Watched, Listed] | None:
    """Return the question that has waited longest, and who asks it; None: there is none."""
    asking = [(each, question) for each in every for question in each.questions]
    return min(asking, key=lambda pair: pair[1].asked_unix_ms, default=None)


def document(watched: Watched, now_ms: int) -> Mapping[str, object]:
    """Return a session as JSON types. Every text is escaped and on one line."""
    return {
        "id": watched.record.session_id,
        "name": short_name(watched.record),
        "cells": cells(watched),
        "details": [*details(watched, now_ms)],
        "questions": [
            {
                "id": each.id,
                "what": one_line(each.what),
                "fields": [(one_line(name), one_line(value)) for name, value in each.fields],
                "left": duration((each.expires_unix_ms - now_ms) // 1000),
            }
            for each in watched.questions
        ],
    }
