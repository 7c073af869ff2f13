"""Describe a profile file as JSON Schema (draft 2020-12), from the annotations that also validate it.

The schema is for editors and as strict as JSON Schema allows; `nono profile validate` finds the mistakes it
cannot express (a host, a path pattern).
"""

from collections.abc import Mapping
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from nono.policy.document.legacy import ALIASES, LEGACY
from nono.policy.document.merge import REPLACEABLE
from nono.policy.schema.annotations import annotation_of, branches, conditional, says
from nono.policy.schema.constraints import PROFILE_NAME
from nono.policy.schema.descriptions import WORDS
from nono.policy.schema.profile import Profile
from nono.policy.schema.unimplemented import UNIMPLEMENTED
from nono.str_enum import StrEnum

SCHEMA_ID = "https://nono.sh/schemas/nono-profile.schema.json"

_Schema = dict[str, Any]
NOT_YET = "Not available yet: a profile with it is refused."

_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", NoneType: "null"}
_NAMES: _Schema = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
_WHEN: _Schema = {
    "description": "On which systems the entry counts: [!]linux[:id[:version[:variant]]], or a list of such.",
    "anyOf": [
        {"type": "string", "minLength": 1},
        {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}},
    ],
}


def schema() -> dict[str, Any]:
    """Return a new schema document on each call."""
    definitions = _Definitions()
    fragment = definitions.of(Profile)
    fragment["properties"] |= _deprecated("", definitions)
    sections = {section for section, _ in LEGACY} | set(ALIASES) - {""}
    for section in sorted(sections - {"policy"}):
        holder = definitions.known[_section_name(section)]
        holder["properties"] |= _deprecated(section, definitions)
    base = {"type": "string", "pattern": f"({PROFILE_NAME[:-1]}$|^(\\.\\.?|~)?/)"}
    of_file = {
        "$schema": {"type": "string", "description": "Where an editor finds this schema; ignored."},
        "extends": {
            "description": "Profiles that this one is laid over, from left to right: names, or ./files.",
            "anyOf": [base, {"type": "array", "items": base}, {"type": "null"}],
        },
        "replace": {
            "description": "Fields whose inherited value is dropped, so that this profile's stands alone.",
            "anyOf": [
                {"enum": [*REPLACEABLE]},
                {"type": "array", "items": {"enum": [*REPLACEABLE]}},
                {"type": "null"},
            ],
        },
        "platform_overrides": {
            "description": "Fragments of a profile that are laid over it on one platform.",
            "type": ["object", "null"],
            "properties": {
                name: {"anyOf": [{"$ref": "#/$defs/Fragment"}, {"type": "null"}]}
                for name in ("linux", "macos", "windows")
            },
            "additionalProperties": False,
        },
    }
    definitions.known["Fragment"] = fragment
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "nono profile",
        "description": "What a command in nono's sandbox may do. JSON, with comments and trailing commas.",
        "type": "object",
        "properties": {**of_file, **fragment["properties"]},
        "additionalProperties": False,
        "$defs": {"When": _WHEN, **definitions.known},
    }


class _Definitions:
    """The schemas of a profile's objects by class name, collected as they are requested."""

    def __init__(self) -> None:
        self.known: dict[str, _Schema] = {}

    def schema_of(self, shape: Any) -> _Schema:
        found_in = [self._member(member) for member in branches(shape)]
        found = found_in[0] if len(found_in) == 1 else {"anyOf": found_in}
        rules = says(shape)
        if rules:
            # Keywords beside a reference are allowed, but many editors honour them only in allOf.
            found = {"allOf": [found, rules]} if "$ref" in found else {**found, **rules}
        key = conditional(shape)
        return found if key is None else {"anyOf": [found, _entry(key, found)]}

    def of(self, shape: Any) -> _Schema:
        """Return the closed object schema of a named tuple."""
        properties = {}
        for field in shape._fields:
            name = field.removesuffix("_")
            properties[name] = self._described(shape, field, annotation_of(shape, field))
        for (owner, field), annotation in UNIMPLEMENTED.items():
            if owner is shape:
                found = self._described(shape, field, annotation)
                properties[field] = {**found, "description": f"{found['description']} {NOT_YET}"}
        required = [name for name in shape._fields if name not in shape._field_defaults]
        return {
            "description": str(shape.__doc__).strip(),
            "type": "object",
            "properties": properties,
            **({"required": required} if required else {}),
            "additionalProperties": False,
        }

    def _described(self, shape: Any, field: str, annotation: Any) -> _Schema:
        found = self.schema_of(annotation)
        words = WORDS.get(f"{shape.__name__}.{field.removesuffix('_')}")
        return {"description": words, **found} if words else found

    def _member(self, member: Any) -> _Schema:
        if hasattr(member, "_fields"):
            if member.__name__ not in self.known:
                self.known[member.__name__] = {}  # ends the recursion of self-references
                self.known[member.__name__].update(self.of(member))
            return {"$ref": f"#/$defs/{member.__name__}"}
        origin, arguments = get_origin(member), get_args(member)
        if member is Any:
            return {}
        if origin is Literal:
            return {"enum": [*arguments]}
        if origin is Mapping:
            return {"type": "object", "additionalProperties": self.schema_of(arguments[1])}
        if origin is tuple and arguments[-1] is ...:
            return {"type": "array", "items": self.schema_of(arguments[0])}
        if origin is tuple:
            items = [self.schema_of(argument) for argument in arguments]
            return {"type": "array", "prefixItems": items, "items": False, "minItems": len(items)}
        if origin is not None:  # an annotated branch
            return self.schema_of(member)
        if issubclass(member, StrEnum):
            return {"enum": [each.value for each in member]}
        return {"type": _TYPES[member]}


def _entry(key: str, text: _Schema) -> _Schema:
    return {
        "type": "object",
        "properties": {key: text, "when": {"$ref": "#/$defs/When"}},
        "required": [key],
        "additionalProperties": False,
    }


def _section_name(section: str) -> str:
    shape: Any = annotation_of(Profile, section)
    name: str = shape.__name__
    return name


def _deprecated(section: str, definitions: _Definitions) -> dict[str, _Schema]:
    """Return the schemas of a section's old names ("": the profile itself)."""
    found = {
        alias: {"description": f"Another name of {name}.", **_of_field(section, name, definitions)}
        for alias, name in ALIASES.get(section, {}).items()
    }
    moved = {
        old: {
            "description": f"Deprecated: use {'.'.join(new)}.",
            "deprecated": True,
            **_of_field(*new, definitions),
        }
        for (owner, old), new in LEGACY.items()
        if owner == (section or "policy")
    }
    if section:
        return found | moved
    policy = {
        "description": "Deprecated: its lists have moved to groups, filesystem and commands.",
        "deprecated": True,
        "type": "object",
        "properties": moved,
        "additionalProperties": False,
    }
    return {**found, "policy": policy}


def _of_field(section: str, name: str, definitions: _Definitions) -> _Schema:
    shape = annotation_of(Profile, section) if section else Profile
    return definitions.schema_of(annotation_of(shape, name))
