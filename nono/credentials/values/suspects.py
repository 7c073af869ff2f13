"""Choose the parts of a text that could hold a spelling with escapes."""

from __future__ import annotations

from collections.abc import Sequence

from nono.credentials.values.escapes import DENSE, Span, kinds

_LINE_FEED = 10


def around_escapes(
    text: bytes, reach: int, octets: bytes, *, tokens: bool, is_of_run: bytes | None
) -> list[Span]:
    """Return the parts of `text` within `reach` octets of an escape, ascending; NULs do not count as escapes.

    octets: those that spellings consist of.
    is_of_run: translates the octets of a run to 1 and others to 0. If it is given, no part reaches into
        another run, so that what is found in one does not depend on its neighbours.
    """
    counted = [(text.count(lead), kind) for lead, kind in kinds(tokens) if lead in text]
    if is_of_run is None and DENSE * sum([count for count, _ in counted]) > len(text):
        return [(0, len(text))]
    found = sorted([each.span() for _, kind in counted for each in kind.finditer(text)])
    if not found:
        return []
    if is_of_run is not None:
        return _within_runs(text, text.translate(is_of_run), found, reach)
    of_spelling = octets + b"\r\n"  # including soft line breaks
    found = [
        (start, end)
        for start, end in found
        # On at least one side the spelling continues for three octets, which is rare in binary data.
        if not text[end : end + 3].translate(None, of_spelling)
        or not text[max(start - 3, 0) : start].translate(None, of_spelling)
    ]
    if len(found) * reach > len(text):
        return [(0, len(text))]
    parts = list[Span]()
    begun, done = 0, -reach
    for start, end in found:
        if start - reach > done + reach:
            if parts or done >= 0:
                parts.append((begun, done + reach))
            begun = max(start - reach, 0)
        done = max(done, end)
    return [*parts, (begun, min(done + reach, len(text)))] if found else []


def _within_runs(text: bytes, flags: bytes, escapes: Sequence[Span], reach: int) -> list[Span]:
    """Return what is within `reach` of an escape and in its run; `flags` has a NUL for each octet of none."""
    parts = list[Span]()
    begun = done = limit = 0
    for start, end in escapes:
        if start >= limit or start - reach >= done:
            parts.append((begun, min(done, limit)))
            begun = max(start - reach, 0)
            if start >= limit:
                begun = max(begun, flags.rfind(b"\0", begun, start) + 1)
        if end > limit:
            # A soft line break is within a run. Other escapes may end with the octet after theirs.
            limit = flags.find(b"\0", end if text[end - 1] == _LINE_FEED else start)
            limit = len(flags) if limit < 0 else limit
        done = end + reach
    return [*parts[1:], (begun, min(done, limit))]
