"""Write the output of --json. Every object holds the version of its shape in the field `format`.

Adding a field keeps the version, because readers skip unknown fields. Renaming or removing a field, or
changing its meaning, requires a new version. The field is not called `version`, because a profile has a field
of that name.
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
    """Return objects as an array. Each holds its format, because an array has no place for one."""
    return json.dumps([*map(with_format, documents)], indent=2)


def printed_line(document: Fields) -> str:
    """Return one object on one line, for a stream."""
    return json.dumps(with_format(document))


def list_line(documents: Iterable[Fields]) -> str:
    """Return objects as an array on one line, for a stream."""
    return json.dumps([*map(with_format, documents)])


def with_format(document: Fields) -> Fields:
    return {"format": FORMAT, **document}
