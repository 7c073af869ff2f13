"""Build JSON Schema from parts, or from the named tuples that are printed."""

from __future__ import annotations

from collections.abc import Mapping
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from nono.policy.schema.annotations import annotation_of, branches
from nono.str_enum import StrEnum

Schema = dict[str, Any]

_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", NoneType: "null"}

NULL: Schema = {"type": "null"}
ANY: Schema = {}


def text(words: str = "", *values: str) -> Schema:
    """Return the schema of a string. values: The only possible ones, if given."""
    return _said({"enum": [*values]} if values else {"type": "string"}, words)


def number(words: str = "") -> Schema:
    return _said({"type": "integer"}, words)


def flag(words: str = "") -> Schema:
    return _said({"type": "boolean"}, words)


def listed(item: Schema, words: str = "") -> Schema:
    return _said({"type": "array", "items": item}, words)


def mapping(value: Schema, words: str = "") -> Schema:
    return _said({"type": "object", "additionalProperties": value}, words)


def maybe(schema: Schema) -> Schema:
    """Return the schema, with null allowed too."""
    words = schema.get("description")
    inner = {key: value for key, value in schema.items() if key != "description"}
    return _said({"anyOf": [inner, NULL]}, words or "")


def never_null(schema: Schema) -> Schema:
    """Return the schema without null, for a field that is left out instead."""
    if "anyOf" not in schema:
        return schema
    (kept,) = (each for each in schema["anyOf"] if each != NULL)
    return {**{key: value for key, value in schema.items() if key != "anyOf"}, **kept}


def an_object(fields: Mapping[str, Schema], words: str = "", optional: Mapping[str, Schema] = {}) -> Schema:
    """Return the schema of an object. Later versions may add fields, so only tests forbid unknown ones.

    optional: Fields that are left out where they do not apply.
    """
    found = {"type": "object", "properties": {**fields, **optional}, "required": [*fields]}
    return _said(found, words)


def from_tuple(
    shape: Any, words: Mapping[str, str] = {}, *, without: tuple[str, ...] = ()
) -> dict[str, Schema]:
    """Return the fields of a named tuple. words: Their meanings, where the name alone is not clear."""
    return {
        field: _said(_of(annotation_of(shape, field), words), words.get(field, ""))
        for field in shape._fields
        if field not in without
    }


def _of(annotation: Any, words: Mapping[str, str]) -> Schema:
    members = [_member(each, words) for each in branches(annotation)]
    return members[0] if len(members) == 1 else {"anyOf": members}


def _member(member: Any, words: Mapping[str, str]) -> Schema:
    if hasattr(member, "_fields"):
        about = str(member.__doc__).strip().partition("\n")[0].removesuffix(".").replace("`", "")
        return an_object(from_tuple(member, words), f"{about[0].lower()}{about[1:]}")
    origin, arguments = get_origin(member), get_args(member)
    if origin is Literal:
        return {"enum": [*arguments]}
    if origin is Mapping:
        return mapping(_of(arguments[1], words))
    if origin is tuple and arguments[-1] is ...:
        return listed(_of(arguments[0], words))
    if origin is tuple:
        items = [_of(argument, words) for argument in arguments]
        return {"type": "array", "prefixItems": items, "items": False, "minItems": len(items)}
    if member is Any:
        return ANY
    if issubclass(member, StrEnum):
        return {"enum": [each.value for each in member]}
    return {"type": _TYPES[member]}


def _said(schema: Schema, words: str) -> Schema:
    return {"description": words, **schema} if words else schema
