"""Word the findings of a replay."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nono.amounts import several
from nono.cli.text.report.layout import Section, laid_out
from nono.report.replay.compare import Difference, Effect, Result

TITLES = {
    Effect.BREAKS: "Was allowed, would be refused",
    Effect.ASKS: "Was allowed, somebody would be asked",
    Effect.OPENS: "Was refused, would be allowed",
    Effect.SAME: "Differs between the two, as it was under the first",
}
_FILES = (
    "Files: the logs hold none, because the kernel decides about those without a record. `nono run "
    "--rollback` keeps which were written."
)


def text_of_result(result: Result, names: tuple[str, str | None], skipped: Sequence[tuple[str, str]]) -> str:
    """Return the result as plain text. names: those of both profiles."""
    return laid_out(_head(result, names), _sections(result, names[1], skipped))


def _head(result: Result, names: tuple[str, str | None]) -> Iterator[str]:
    under, against = names
    beside = "" if against is None else f", beside {against}"
    accesses = several(result.judged, "access", "accesses")
    yield f"{accesses} of {several(result.sessions, 'session')} under {under}{beside}."
    if not result.differences:
        yield "Nothing would be decided otherwise."


def _sections(result: Result, against: str | None, skipped: Sequence[tuple[str, str]]) -> Iterator[Section]:
    for effect, title in TITLES.items():
        found = [each for each in result.differences if each.effect is effect]
        if found and against is None:
            alone = [(f"{each.times:,}", each.what, _why(each)) for each in found]
            yield Section(title, ("TIMES", "WHAT", "WHY"), alone, numbers=(0,))
        elif found:
            rows = [
                (f"{each.times:,}", f"{each.sessions:,}", each.what, _word(each.against), _why(each))
                for each in found
            ]
            yield Section(title, ("TIMES", "SESSIONS", "WHAT", "THE OTHER", "WHY"), rows, numbers=(0, 1))
    unjudged = [(f"{times:,}", why) for why, times in result.unjudged]
    note = "" if result.has_files else _FILES
    if unjudged or note:
        yield Section("Cannot be judged from the record", ("TIMES", "WHAT"), unjudged, note, (0,))
    if skipped:
        yield Section("Left out", ("SESSION", "WHY"), skipped)


def _word(status: str | None) -> str:
    return {"approval_required": "asks"}.get(status or "", status or "")


def _why(difference: Difference) -> str:
    if difference.option is None or difference.effect is Effect.OPENS:
        return difference.why
    return f"{difference.why}. Allowed by: {difference.option}"
