"""A resolved profile as a JSON document in which no field is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nono.policy.schema.profile import Profile

# Always shown; the rest of a profile where it says anything.
ALWAYS = frozenset({"security", "groups", "commands", "filesystem", "network", "workdir", "rollback"})
HEAD = ("name", "description")


def as_document(profile: Profile, extends: Sequence[str], groups: Sequence[str]) -> dict[str, Any]:
    """extends: as the profile's own file has it. groups: the names of all that are in force.

    A field of a section that nothing was said about is null; deeper down it is left out.
    """
    document: dict[str, Any] = {
        "name": profile.meta.name,
        "description": profile.meta.description,
        **{name: value for name, value in profile.meta._asdict().items() if value and name not in HEAD},
        "extends": list(extends),
    }
    for name, value in profile._asdict().items():
        if name in ALWAYS or (name != "meta" and value != Profile._field_defaults[name]):
            document[name] = _section(value)
    document["groups"] = {"include": list(groups), "exclude": list(profile.groups.exclude)}
    return document


def _section(value: Any) -> Any:
    if hasattr(value, "_asdict"):
        return {name.removesuffix("_"): plain(field) for name, field in value._asdict().items()}
    return plain(value)


def plain(value: Any) -> Any:
    """value as JSON has it. What is left out of an object was left out of the profile."""
    if hasattr(value, "_asdict"):
        return {
            name.removesuffix("_"): plain(field)
            for name, field in value._asdict().items()
            if field is not None
        }
    if isinstance(value, Mapping):
        return {name: plain(field) for name, field in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value
