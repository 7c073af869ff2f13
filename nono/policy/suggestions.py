"""The question behind a mistyped name."""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """A hint with the known name that is most like name; None when none is."""
    from difflib import get_close_matches  # a millisecond that only a mistake costs

    near = get_close_matches(name, list(known), n=1)
    return f"did you mean '{near[0]}'?" if near else None
