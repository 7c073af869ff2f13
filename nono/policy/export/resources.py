"""Read the limits that a capability manifest sets."""

from __future__ import annotations

from collections.abc import Iterable

from nono.policy.capability import Limits
from nono.policy.document.jsonc import Node
from nono.policy.document.source import Mistake
from nono.policy.limits import MEMORY_MAX, MEMORY_MIN, PROCESSES_MAX
from nono.policy.suggestions import did_you_mean

_RESOURCES = {"memory_bytes": (MEMORY_MIN, MEMORY_MAX), "max_processes": (1, PROCESSES_MAX)}


def limits_of(node: Node | None, mistakes: list[Mistake]) -> Limits:
    """Return the limits of a manifest's `resources`; adds to `mistakes`. 1e9 is one, as 512.5 is."""
    if node is None:
        return Limits()
    if not isinstance(node.value, dict):
        mistakes.append(Mistake(node.path, "expected an object", at=node.start))
        return Limits()
    given: dict[str, int] = {}
    for name, each in node.value.items():
        if name not in _RESOURCES:
            mistakes.append(unknown(each, _RESOURCES))
            continue
        least, most = _RESOURCES[name]
        if type(each.value) is int and least <= each.value <= most:  # true is an int as well
            given[name] = each.value
        else:
            what = f"expected a whole number from {least} to {most}"
            mistakes.append(Mistake(each.path, what, at=each.start))
    return Limits(**given)


def unknown(node: Node, known: Iterable[str]) -> Mistake:
    """Return the mistake of a field that no manifest has."""
    hint = did_you_mean(str(node.path[-1]), known)
    return Mistake(node.path, "no such field in a manifest" + (f" ({hint})" if hint else ""), at=node.key)
