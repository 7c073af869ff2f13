"""Choose names for sessions that nobody has named."""

from __future__ import annotations

from collections.abc import Sequence

from nono.errors import UsageError
from nono.printable import printable_line

LATEST = "latest"  # the name for the session started last
_ADJECTIVES = (
    "bold calm cool deep fair fast firm glad keen kind mild neat rich tall warm wise".split()  # noqa: SIM905 - a list of words reads better than one of literals
)
_NOUNS = (
    "arch bark clay cove dawn fern fjord gale iris lark mesa moss pine reed tide wren".split()  # noqa: SIM905 - as above
)
NAME_MAX = 64


def name_from(randomness: Sequence[int]) -> str:
    """Return an adjective and a noun, selected by two random bytes."""
    first, second = randomness
    return f"{_ADJECTIVES[first % len(_ADJECTIVES)]}-{_NOUNS[second % len(_NOUNS)]}"


def check_name(name: str) -> str:
    """Return the name. Raises UsageError for one that would not fit a table or a command line."""
    if len(name) > NAME_MAX or not name.isprintable() or name != name.strip() or name.startswith("-"):
        raise UsageError(
            f"--name '{printable_line(name)}': expected up to {NAME_MAX} printable characters, not beginning "
            "with '-', nor beginning or ending with a blank."
        )
    if name == LATEST:
        raise UsageError(f"--name '{name}': that means the session started last.")
    return name


def reads_as_id(name: str) -> bool:
    """Return True if the name could be the beginning of a session's id, which takes precedence over names."""
    return set(name) <= set("0123456789abcdef")
