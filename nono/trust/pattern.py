"""Match paths with a trust policy's patterns, in bounded time even for a hostile pattern."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

PATTERNS_MAX = 100
PATTERN_CHARACTERS_MAX = 1024
_ANY_DEPTH = "**"


def is_matched(pattern: str, path: str) -> bool:
    """Match a path relative to the root of a project.

    `*`, `?` and `[a-z]` do not match a slash; `**` between slashes matches any number of directories. A
    pattern without a slash matches a file name at any depth, because agents read instructions from any
    directory.
    """
    if "/" not in pattern:
        return fnmatchcase(path.rpartition("/")[2], pattern)
    return _match(pattern.split("/"), path.split("/"))


def check(pattern: str) -> str:
    """Return the pattern. Raises ValueError if it cannot match anything below the root."""
    if not pattern or len(pattern) > PATTERN_CHARACTERS_MAX or "\0" in pattern:
        raise ValueError(f"a pattern has 1 to {PATTERN_CHARACTERS_MAX} characters")
    if not {"", ".", ".."}.isdisjoint(pattern.split("/")):
        raise ValueError(
            f"the pattern '{pattern}' is not relative to the root: no leading '/', no '.', no '..'"
        )
    return pattern


def is_wildcard_matched(pattern: str, text: str) -> bool:
    """Match a claim of a certificate: `*` matches any run of characters, slashes included."""
    first, *others = pattern.split("*")
    if not others:
        return pattern == text
    if not text.startswith(first):
        return False
    at = len(first)
    for part in others[:-1]:
        found = text.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return text[at:].endswith(others[-1])


def _match(patterns: Sequence[str], names: Sequence[str]) -> bool:
    """Match name by name; after a mismatch the last `**` takes one more name."""
    at = pattern_at = 0
    retry: tuple[int, int] | None = None
    while at < len(names):
        if pattern_at < len(patterns) and patterns[pattern_at] == _ANY_DEPTH:
            pattern_at += 1
            retry = pattern_at, at
        elif pattern_at < len(patterns) and fnmatchcase(names[at], patterns[pattern_at]):
            pattern_at += 1
            at += 1
        elif retry is not None:
            pattern_at, at = retry[0], retry[1] + 1
            retry = pattern_at, at
        else:
            return False
    return all(each == _ANY_DEPTH for each in patterns[pattern_at:])
