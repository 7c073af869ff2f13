"""Refuse regular expressions that could take long for a path that the command chooses (ADR 31).

Python's engine backtracks, and nothing can stop it meanwhile. The bound is on the steps for a path of
MAX_PATH characters; it is an upper estimate, so some harmless expressions are refused too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import product
from math import prod
from typing import Any

from nono.named_tuple import NamedTuple

MAX_PATH = 1024  # characters; a longer path is not searched
_MAX_STEPS = 2 * MAX_PATH**2  # 10 ms
_MAX_COPIES = 8  # copies of a repeated group
_MAX_WAYS = 64  # through alternatives and optional groups
_MAX_ITEMS = 512  # of one way
_MANY = 16  # a repeat with more choices counts as unbounded

_ALPHABET = frozenset(map(chr, range(0x21, 0x7F)))  # characters of a request target
_CATEGORIES = {
    "CATEGORY_DIGIT": re.compile(r"\d"),
    "CATEGORY_NOT_DIGIT": re.compile(r"\D"),
    "CATEGORY_WORD": re.compile(r"\w"),
    "CATEGORY_NOT_WORD": re.compile(r"\W"),
    "CATEGORY_SPACE": re.compile(r"\s"),
    "CATEGORY_NOT_SPACE": re.compile(r"\S"),
}
_BEGINNINGS = ("AT_BEGINNING", "AT_BEGINNING_STRING")


class _Item(NamedTuple):
    """A character out of a set, `least` to `most` times; an anchor has an empty set."""

    characters: frozenset[str]
    least: int = 1
    most: float = 1
    is_beginning: bool = False


_Way = tuple[_Item, ...]


def slow(pattern: str) -> str | None:
    """Return why `pattern`, which compiles, could take too long; None if it cannot."""
    try:
        ways = list(_ways(_parsed(pattern)))
    except _SlowError as slow:
        return str(slow)
    if sum(map(_steps, ways)) > _MAX_STEPS:
        return (
            "it could take very long for some paths: begin it with '^', and separate its repeats by "
            "something that the first of two does not match, as '/' does in '[^/]+/[^/]+'"
        )
    return None


class _SlowError(ValueError):
    """The expression is of a kind whose running time cannot be bounded."""


def _parsed(pattern: str) -> Sequence[tuple[Any, Any]]:
    parser: Any = re._parser  # type: ignore[attr-defined]  # typeshed does not know it
    return list(parser.parse(pattern))


def _ways(nodes: Sequence[tuple[Any, Any]]) -> Iterator[_Way]:
    """Yield each way through a sequence: one for each choice of its alternatives and optional groups."""
    parts = [list(_ways_of(str(kind), value)) for kind, value in nodes]
    if prod(map(len, parts)) > _MAX_WAYS:
        raise _SlowError(f"it has more than {_MAX_WAYS} combinations of alternatives")
    for chosen in product(*parts):
        yield tuple(item for way in chosen for item in way)


def _ways_of(kind: str, value: Any) -> Iterator[_Way]:
    match kind:
        case "AT":
            yield (_Item(frozenset(), 0, 0, str(value) in _BEGINNINGS),)
        case "LITERAL" | "NOT_LITERAL" | "ANY" | "IN":
            yield (_Item(_characters(kind, value)),)
        case "SUBPATTERN":
            yield from _ways(list(value[-1]))
        case "ATOMIC_GROUP":
            yield from _ways(list(value))
        case "BRANCH":
            for branch in value[1]:
                yield from _ways(list(branch))
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            yield from _repeated(*value)
        case _:
            raise _SlowError("it looks ahead, behind or back to a group, whose time cannot be bounded")


def _repeated(least: int, most: int, body: Any) -> Iterator[_Way]:
    nodes = list(body)
    if len(nodes) == 1 and str(nodes[0][0]) in ("LITERAL", "NOT_LITERAL", "ANY", "IN"):
        yield (_Item(_characters(str(nodes[0][0]), nodes[0][1]), int(least), int(most)),)
        return
    if int(most) > _MAX_COPIES:
        raise _SlowError(
            f"it repeats a group more than {_MAX_COPIES} times: '*' and '+' may follow one character or a set"
        )
    once = list(_ways(nodes))
    for count in range(int(least), int(most) + 1):
        if len(once) ** count > _MAX_WAYS or count * max(map(len, once)) > _MAX_ITEMS:
            raise _SlowError("it repeats too much in groups that are repeated")
        for chosen in product(once, repeat=count):
            yield tuple(item for way in chosen for item in way)


def _characters(kind: str, value: Any) -> frozenset[str]:
    """Return the characters of a path that the node matches, in either case."""
    match kind:
        case "ANY":
            return _ALPHABET
        case "LITERAL":
            return _both_cases(chr(value))
        case "NOT_LITERAL":
            return _ALPHABET - {chr(value)}
    members: frozenset[str] = frozenset()
    is_negated = False
    for member, argument in value:
        match str(member):
            case "NEGATE":
                is_negated = True
            case "LITERAL":
                members |= {chr(argument)}
            case "RANGE":
                members |= {each for each in _ALPHABET if argument[0] <= ord(each) <= argument[1]}
            case _:
                category = _CATEGORIES[str(argument)]
                members |= {each for each in _ALPHABET if category.fullmatch(each)}
    return _ALPHABET - members if is_negated else frozenset().union(*map(_both_cases, members))


def _both_cases(character: str) -> frozenset[str]:
    return frozenset((character.lower(), character.upper()))


def _steps(way: _Way) -> int:
    """Estimate the steps for the worst path.

    A repeat costs a factor only if it can give characters back to what follows.
    """
    starts = 1 if way[:1] and way[0].is_beginning else MAX_PATH
    choices = [
        MAX_PATH if item.most - item.least > _MANY else int(item.most) - item.least + 1
        for at, item in enumerate(way)
        if item.most > item.least and not item.characters.isdisjoint(_next(way[at + 1 :]))
    ]
    return MAX_PATH * starts * prod(choices)


def _next(rest: _Way) -> frozenset[str]:
    """Return the characters that `rest` can begin with."""
    found: frozenset[str] = frozenset()
    for item in rest:
        found |= item.characters
        if item.least:
            break
    return found
