"""Compare two looks at what is outside: each difference is a sight, "where it is: before -> after"."""

from __future__ import annotations

from collections.abc import Iterator

MOST_SHOWN = 80


def flat(look: object, place: str = "") -> Iterator[tuple[str, str]]:
    """Return every leaf by its place. Each entry of a list is a sight."""
    if isinstance(look, dict):
        for name, value in look.items():
            yield from flat(value, f"{place}/{name}" if place else str(name))
    elif isinstance(look, list):
        for number, value in enumerate(look):
            yield from flat(value, f"{place}/{value if isinstance(value, int | str) else number}")
    else:
        yield place, str(look)


def differences(before: object, after: object) -> list[str]:
    old, new = dict(flat(before)), dict(flat(after))
    return [
        f"{place}: {_shown(old.get(place))} -> {_shown(new.get(place))}"
        for place in dict.fromkeys((*old, *new))
        if old.get(place) != new.get(place)
    ]


def _shown(text: str | None) -> str:
    if text is None:
        return "nothing"
    return text if len(text) <= MOST_SHOWN else text[:MOST_SHOWN] + "..."


def kind(sight: str) -> str:
    """Return the place of a sight without numbers, by which two runs of a program are compared."""
    place = sight.split(": ", 1)[0]
    return "".join("0" if each.isdigit() else each for each in place)
