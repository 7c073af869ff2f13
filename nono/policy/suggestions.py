"""Suggests "did you mean ...?" for mistyped names."""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """Return a hint with the known name closest to `name`; None if none is close."""
    from difflib import get_close_matches  # costs a millisecond, paid only on a mistake

    near = get_close_matches(name, list(known), n=1)
    return f"did you mean '{near[0]}'?" if near else None
