"""Write a resolved profile as a JSON document without missing fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nono.policy.schema.profile import Profile

# Always shown; other sections only if they differ from the default.
ALWAYS = frozenset({"security", "groups", "commands", "filesystem", "network", "workdir", "rollback"})
HEAD = ("name", "description")


def as_document(profile: Profile, extends: Sequence[str], groups: Sequence[str]) -> dict[str, Any]:
    """Return the document of a profile. A section's unset fields are null; deeper ones are left out.

    `extends` is as in the profile's own file, `groups` the names of all groups in force.
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
    """Return `value` as JSON types. Unset fields of objects are left out."""
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
