"""Reshape the tree of a profile file like Profile: evaluate conditions, set unbuilt fields aside."""

from __future__ import annotations

from typing import Any

from nono.named_tuple import NamedTuple
from nono.policy.document.jsonc import Node
from nono.policy.document.source import Mistake
from nono.policy.document.when import Host, holds
from nono.policy.schema.annotations import conditional, field_of, members, step
from nono.policy.schema.unimplemented import unimplemented
from nono.policy.suggestions import did_you_mean

WHEN = "when"


class SetAside(NamedTuple):
    """A field that is not built yet, and its expected shape."""

    node: Node
    shape: Any


class Normaliser:
    """Walks a tree once and changes it in place."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.mistakes: list[Mistake] = []
        self.set_aside: list[SetAside] = []

    def normalise(self, shape: Any, node: Node) -> None:
        """Drop entries whose condition is not met and set unbuilt fields aside, below `node`."""
        if isinstance(node.value, dict):
            self._object(shape, node.value)
        elif isinstance(node.value, list) and (item := step(shape, 0)) is not None:
            node.value[:] = [kept for each in node.value if (kept := self._counting(item, each)) is not None]

    def _object(self, shape: Any, fields: dict[str, Node]) -> None:
        for name, node in [*fields.items()]:
            unbuilt = next(
                (found for member in members(shape) if (found := unimplemented(member, name))), None
            )
            below = step(shape, name)
            if unbuilt is not None:
                self.set_aside.append(SetAside(fields.pop(name), unbuilt))
                self.normalise(unbuilt, node)
            elif below is not None:
                del fields[name]
                kept = self._counting(below, node)
                if kept is not None:
                    known = [field_of(member, name) for member in members(shape)]
                    fields[next(filter(None, known), name)] = kept

    def _counting(self, shape: Any, node: Node) -> Node | None:
        """Return `node` without its condition; None if the condition is not met."""
        key = conditional(shape)
        fields = node.value
        if isinstance(fields, dict) and (key is not None or _has_condition(shape)):
            is_met = self._is_met(fields.pop(WHEN, None))
            if key is not None:
                return self._unwrapped(key, node, fields) if is_met else None
            if not is_met:
                return None
        self.normalise(shape, node)
        return node

    def _unwrapped(self, key: str, node: Node, fields: dict[str, Node]) -> Node | None:
        for name, extra in fields.items():
            if name != key:
                hint = did_you_mean(name, (key, WHEN))
                what = "no such field" + (f" ({hint})" if hint else "")
                self.mistakes.append(Mistake(extra.path, what, at=extra.key))
        if key not in fields:
            self.mistakes.append(Mistake((*node.path, key), "required", at=node.start))
            return None
        return fields[key]

    def _is_met(self, when: Node | None) -> bool:
        if when is None:
            return True
        alternatives = when.value if isinstance(when.value, list) else [when]
        if not alternatives:
            self.mistakes.append(Mistake(when.path, "expected a predicate, or a list of some", at=when.start))
        met = [self._holds(each) for each in alternatives]  # evaluate all, as each may be a mistake
        return any(met)

    def _holds(self, when: Node) -> bool:
        if not isinstance(when.value, str):
            self.mistakes.append(
                Mistake(when.path, "expected a predicate, as in linux:ubuntu", at=when.start)
            )
            return True
        try:
            return holds(when.value, self.host)
        except ValueError as error:
            what = f"invalid when predicate '{when.value}': {error}"
            self.mistakes.append(Mistake(when.path, what, at=when.start))
            return True


def _has_condition(shape: Any) -> bool:
    return any(field_of(member, WHEN) is not None for member in members(shape))
