"""Hold one finding of `nono doctor`, print findings, and write them as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nono.cli.text.wrap_text import wrapped
from nono.named_tuple import NamedTuple
from nono.printable import printable
from nono.str_enum import StrEnum

_MARK_COLUMNS = 7
_CHECK_COLUMNS = 16


class Mark(StrEnum):
    """How a check ended. Only `missing` makes `nono doctor` fail."""

    OK = "ok"
    WARN = "warn"
    MISSING = "missing"


class Finding(NamedTuple):
    """The result of one check."""

    check: str  # a short name that stays the same between versions
    mark: Mark
    meaning: str
    remedy: str | None = None  # what to do about it; None: nothing


def is_well(findings: Iterable[Finding]) -> bool:
    return all(finding.mark is not Mark.MISSING for finding in findings)


def finding_lines(finding: Finding) -> Iterator[str]:
    """Yield a finding as lines of 80 columns: mark, check and meaning in columns, the remedy below them."""
    hanging = " " * (_MARK_COLUMNS + _CHECK_COLUMNS + 6)
    head = f"  {finding.mark.value:<{_MARK_COLUMNS}}  {printable(finding.check):<{_CHECK_COLUMNS}}  "
    yield from wrapped(finding.meaning, head, hanging)
    if finding.remedy is not None:
        yield from wrapped(f"fix: {finding.remedy}", hanging, hanging + "  ")


def finding_entry(finding: Finding) -> dict[str, str | None]:
    """Return a finding as an object for JSON."""
    return {
        "check": finding.check,
        "mark": finding.mark.value,
        "meaning": finding.meaning,
        "remedy": finding.remedy,
    }
