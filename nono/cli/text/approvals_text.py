"""Word the questions of sessions for a terminal. They arrive escaped, and are made printable again here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from nono.approval.listing import ID_SHOWN, Listed
from nono.cli.text.session_text import duration, one_line, short_name
from nono.printable import without_middle
from nono.sessions.record import Record

HEADERS = ("ID", "SESSION", "WAITS", "LEFT", "KIND", "WHAT")
_WIDE = 200  # characters of what is asked


def table(rows: Sequence[tuple[Listed, Record]], now_ms: int) -> Iterator[str]:
    """Yield the lines of the table."""
    cells = [HEADERS, *(_row(question, record, now_ms) for question, record in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        yield "  ".join(cell.ljust(size) for cell, size in zip(row, widths, strict=True)).rstrip()


def _row(question: Listed, record: Record, now_ms: int) -> tuple[str, ...]:
    return (
        question.id[:ID_SHOWN],
        short_name(record),
        duration((now_ms - question.asked_unix_ms) // 1000),
        duration((question.expires_unix_ms - now_ms) // 1000),
        one_line(question.kind),
        without_middle(one_line(question.what), _WIDE),
    )


def details(question: Listed, record: Record, now_ms: int) -> Iterator[str]:
    """Yield the lines about one question."""
    left = duration((question.expires_unix_ms - now_ms) // 1000)
    fields = [("Question", question.id), ("Session", f"{record.session_id} ({short_name(record)})")]
    fields += [*question.fields, ("Expires", f"in {left}, with a no")]
    width = max(len(name) for name, _ in fields) + 1
    for name, value in fields:
        label = f"{one_line(name)}:"
        yield f"{label:<{width}} {one_line(value)}"


def outcome(question: Listed, status: int, document: Mapping[str, object]) -> str:
    """Word the response to an answer."""
    about = f"{question.id[:ID_SHOWN]}, {without_middle(one_line(question.what), _WIDE)}"
    match status:
        case 200:
            word = "Allowed" if document.get("outcome") == "granted" else "Denied"
            return f"{word} {about}."
        case 409:
            return f"Too late for {about}: {_closed(document)}."
        case 404:
            return f"Too late for {about}: nobody waits for it any more."
    return f"{about}: not answered ({one_line(str(document.get('error', status)))})."


def _closed(document: Mapping[str, object]) -> str:
    by = one_line(str(document.get("by", "")))
    match document.get("outcome"):
        case "granted":
            return f"it was allowed before, by {by}"
        case "denied":
            return f"it was denied before, by {by}"
        case "timeout":
            return "nobody had answered in time"
    return "whoever waited is gone"
