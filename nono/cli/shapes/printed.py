"""Writes what --json prints: every object says in `format` which version of its shape it has.

A field may be added without another version; readers pass over what they do not know. A field that is
renamed, removed or means something else makes a new one. It is not called `version`, which a profile has of
its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

FORMAT = 1

Fields = Mapping[str, object]


def printed(document: Fields) -> str:
    """Return one object as text."""
    return json.dumps(with_format(document), indent=2)


def printed_list(documents: Iterable[Fields]) -> str:
    """Return objects as an array. Each says its format: an array has no place for it."""
    return json.dumps([*map(with_format, documents)], indent=2)


def printed_line(document: Fields) -> str:
    """Return one object on one line, for a stream."""
    return json.dumps(with_format(document))


def list_line(documents: Iterable[Fields]) -> str:
    """Return objects as an array on one line, for a stream."""
    return json.dumps([*map(with_format, documents)])


def with_format(document: Fields) -> Fields:
    return {"format": FORMAT, **document}
