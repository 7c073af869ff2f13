"""Reduce the observed requests to few rules: variable parts of a path become `*`."""

from __future__ import annotations

import re
from collections.abc import Iterable

from nono.policy.endpoints.policy import EndpointRule

RULES_MAX = 24  # per host; more are reduced to one rule for each method and first segment
VALUES_MAX = 3  # values of one segment before it becomes a variable

_NUMBER = re.compile(r"[0-9]+")
_UUID = re.compile(r"[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")
_HEX = re.compile(r"(?=.*[0-9])[0-9a-fA-F]{7,}")
_OPAQUE = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])[A-Za-z0-9_~=-]{16,}")
_LITERAL = re.compile(r"[A-Za-z0-9._~!$&'(),;=:@+-]+")

Request = tuple[str, str]  # method, path without its query


def is_variable(segment: str) -> bool:
    """Return True if a segment names one thing among many: a number, a UUID, a hash, an opaque id.

    Also True for a segment that a pattern cannot spell literally, such as an escape or a star.
    """
    shapes = (_NUMBER, _UUID, _HEX, _OPAQUE)
    return any(shape.fullmatch(segment) for shape in shapes) or not _LITERAL.fullmatch(segment)


def templates(requests: Iterable[Request]) -> tuple[Request, ...]:
    """Return rules that together match all requests.

    Each is a method and a pattern of nono.policy.endpoints.path_glob.
    """
    found = {(method, _template(path)) for method, path in requests}
    found = _joined(found)
    if len(found) > RULES_MAX:
        found = {(method, _widened(path)) for method, path in found}
    if len(found) > RULES_MAX:
        found = {(method, "/**") for method, _ in found}
    if len(found) > RULES_MAX:
        found = {("*", "/**")}
    # A path too long for a pattern becomes a rule for the whole host.
    found = {rule if _is_rule(rule) else (rule[0], "/**") for rule in found}
    return tuple(sorted(found, key=lambda rule: (rule[1], rule[0])))


def _is_rule(rule: Request) -> bool:
    try:
        EndpointRule(*rule)
    except ValueError:
        return False
    return True


def _template(path: str) -> str:
    return "/".join("*" if segment and is_variable(segment) else segment for segment in path.split("/"))


def _joined(rules: set[Request]) -> set[Request]:
    """Replace rules that differ in one segment by one rule with a variable, if there are more than a few.

    From left to right: the collections of an API come before their members.
    """
    longest = max((path.count("/") for _, path in rules), default=0)
    for position in range(2, longest + 1):  # the first segment distinguishes APIs and stays
        alike: dict[tuple[str, tuple[str, ...]], set[Request]] = {}
        for method, path in rules:
            segments = path.split("/")
            if position < len(segments) and segments[position] not in ("", "*"):
                rest = (*segments[:position], "*", *segments[position + 1 :])
                alike.setdefault((method, rest), set()).add((method, path))
        for (method, rest), same in alike.items():
            if len(same) > VALUES_MAX:
                rules = (rules - same) | {(method, "/".join(rest))}
    return rules


def _widened(path: str) -> str:
    first = path.split("/")[1] if path.count("/") > 1 else ""
    return f"/{first}/**" if first else path if path.count("/") == 1 else "/**"
