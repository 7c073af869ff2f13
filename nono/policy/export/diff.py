"""Compare two profiles, field by field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from nono.named_tuple import NamedTuple
from nono.policy.export.dump import plain
from nono.policy.schema.profile import Profile

# Listed beside the sections in a comparison, rather than in `security`.
RAISED = ("capability_elevation", "wsl2_proxy_policy")


def difference(
    old: Profile, new: Profile, old_groups: Sequence[str], new_groups: Sequence[str]
) -> dict[str, Any]:
    """Compare each field: {added, removed} for lists, plus changed for maps, else {from, to, changed}.

    Leaves out the metadata (`meta`). `old_groups` and `new_groups` are the groups in force.
    """
    compared = {name: _compare(getattr(old, name), getattr(new, name)) for name in old._fields[1:]}
    compared["groups"] = _compare(tuple(old_groups), tuple(new_groups))
    raised = {name: compared["security"].pop(name) for name in RAISED}
    return {"groups": compared.pop("groups"), **raised, **compared}


class Change(NamedTuple):
    """One difference."""

    path: str  # of the field
    sign: Literal["+", "-", ""]  # added, removed; "": changed value
    text: str


def changes(compared: Mapping[str, Any], path: str = "") -> Iterator[Change]:
    """Yield the differences in a comparison."""
    if compared.keys() == {"from", "to", "changed"}:
        if compared["changed"]:
            yield _changed(path, compared)
    elif {"added", "removed"} <= compared.keys():
        yield from _entries(path, "-", compared["removed"])
        yield from _entries(path, "+", compared["added"])
        for name, values in compared.get("changed", {}).items():
            yield _changed(f"{path}.{name}", values)
        if compared.get("reordered"):
            yield Change(path, "", "the same in another order")
    else:
        for name, value in compared.items():
            yield from changes(value, f"{path}.{name}" if path else name)


def _entries(path: str, sign: Literal["+", "-"], entries: Any) -> Iterator[Change]:
    for entry in entries:
        text = f"{entry}: {_word(entries[entry])}" if isinstance(entries, Mapping) else _word(entry)
        yield Change(path, sign, text)


def _changed(path: str, values: Mapping[str, Any]) -> Change:
    return Change(path, "", f"{_word(values['from'])} -> {_word(values['to'])}")


def _compare(old: Any, new: Any) -> dict[str, Any]:
    if hasattr(old, "_fields") and type(old) is type(new):
        names = zip(old._fields, old, new, strict=True)
        return {name.removesuffix("_"): _compare(before, after) for name, before, after in names}
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return {
            "added": {name: plain(value) for name, value in new.items() if name not in old},
            "removed": {name: plain(value) for name, value in old.items() if name not in new},
            "changed": {
                name: {"from": plain(value), "to": plain(new[name])}
                for name, value in old.items()
                if name in new and new[name] != value
            },
        }
    if isinstance(old, tuple) and isinstance(new, tuple) and not hasattr(old, "_fields"):
        return _compare_lists(old, new)
    return {"from": plain(old), "to": plain(new), "changed": old != new}


def _compare_lists(old: tuple[Any, ...], new: tuple[Any, ...]) -> dict[str, Any]:
    compared: dict[str, Any] = {
        "added": [plain(item) for item in new if item not in old],
        "removed": [plain(item) for item in old if item not in new],
    }
    if not compared["added"] and not compared["removed"] and old != new:
        compared["reordered"] = True
    return compared


def _word(value: Any) -> str:
    """Format a JSON value on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_word(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_word, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "none" if value is None else str(value).replace("\n", "\\n")
