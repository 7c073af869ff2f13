"""Freeze which values the fields of a profile hold as a module, so that a start evaluates no annotation.

Run ``make freeze-policy`` when a field of nono.policy.schema has changed.
"""

from collections.abc import Mapping
from posixpath import dirname, join
from typing import Any, get_args, get_origin

from nono.policy.schema.annotations import annotation_of, members
from nono.policy.schema.profile import Profile
from nono.str_enum import StrEnum

TARGET = join(dirname(__file__), "frozen_shapes.py")


def frozen() -> str:
    """Return the text of the module."""
    shapes = dict[type, dict[str, list[Any]]]()
    _collect(Profile, shapes)
    named = set(shapes).union(*(_classes(parts) for fields in shapes.values() for parts in fields.values()))
    modules = dict[str, list[str]]()
    for each in named - {float}:
        modules.setdefault(each.__module__, []).append(each.__name__)
    imports = (f"from {module} import {', '.join(sorted(names))}" for module, names in modules.items())
    entries = (f"    {shape.__name__}: {_fields(fields)}," for shape, fields in shapes.items() if fields)
    return (
        '"""The values that the fields of a profile hold, by nono.policy.schema.freeze."""\n\n'
        "from __future__ import annotations\n\n"
        f"{'\n'.join(sorted(imports))}\n\n"
        "# Shapes, enumerations, float; (tuple, ...) for a list, (dict, ...) for an object of any names.\n"
        "type Part = type | tuple[type, Parts]\n"
        "type Parts = tuple[Part, ...]\n\n"
        f"SHAPES: dict[type, dict[str, Parts]] = {{\n{'\n'.join(entries)}\n}}\n"
    )


def _collect(shape: Any, shapes: dict[type, dict[str, list[Any]]]) -> None:
    """Add `shape` and the shapes below it."""
    if shape in shapes:
        return
    fields = shapes[shape] = {}
    for name in shape._fields:
        parts = _parts(annotation_of(shape, name))
        if parts:
            fields[name] = parts
        for each in _classes(parts):
            if hasattr(each, "_fields"):
                _collect(each, shapes)


def _parts(annotation: Any) -> list[Any]:
    """Return what a value of JSON may be turned into: classes, and pairs of tuple or dict and such a list."""
    parts = list[Any]()
    for member in members(annotation):
        kind = {Mapping: dict, tuple: tuple}.get(get_origin(member))
        if kind is not None:
            parts.append((kind, _parts(get_args(member)[0 if kind is tuple else 1])))
        elif isinstance(member, type) and (
            member is float or hasattr(member, "_fields") or issubclass(member, StrEnum)
        ):
            parts.append(member)
    return parts


def _classes(parts: list[Any]) -> list[type]:
    """Return the classes that `parts` name."""
    found = list[type]()
    for part in parts:
        found += [part] if isinstance(part, type) else _classes(part[1])
    return found


def _fields(fields: Mapping[str, list[Any]]) -> str:
    return f"{{{', '.join(f'{name!r}: {_text(parts)}' for name, parts in fields.items())}}}"


def _text(parts: list[Any]) -> str:
    texts = [
        part.__name__ if isinstance(part, type) else f"({part[0].__name__}, {_text(part[1])})"
        for part in parts
    ]
    return f"({', '.join(texts)}{',' if len(texts) == 1 else ''})"


if __name__ == "__main__":
    with open(TARGET, "w", encoding="utf-8") as file:
        file.write(frozen())
