"""Parse JSON that is signed or untrusted, refusing ambiguous text."""

from __future__ import annotations

import json


def parse_object(text: bytes, what: str) -> dict[str, object]:
    """Return a JSON object. Raises ValueError, which begins with `what`, for anything else.

    Duplicate names are refused, because readers differ on which one counts.
    """
    try:
        found = json.loads(text.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{what} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{what} is not a JSON object")
    return found


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    names = dict(pairs)
    if len(names) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return names


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not a number")
