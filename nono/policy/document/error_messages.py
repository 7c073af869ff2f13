"""Turn pydantic's errors about a profile into key paths and sentences for a person."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from nono.policy.document.jsonc import Path
from nono.policy.document.source import Mistake
from nono.policy.schema.annotations import fields, is_list, is_object, step
from nono.policy.suggestions import did_you_mean

_EXPECTED = {
    "bool_type": "expected true or false",
    "string_type": "expected a string",
    "tuple_type": "expected a list",
    "dict_type": "expected an object",
    "named_tuple_type": "expected an object",
    "arguments_type": "expected an object",
    "int_type": "expected a whole number",
    "float_type": "expected a number",
    "missing": "required",
}
_IN_SECTION = 2  # names in the path of a section's field
# What people write for a field, where the nearest name means something else: `read` for `deny_read`.
_MEANT = {
    other: name
    for name, others in {
        "allow": "readwrite read_write rw",
        "allow_domain": "allow_host allow_hosts allowed_hosts allowed_domains domains hosts",
        "allow_vars": "pass",
        "deny": "deny_read deny_write denied",
        "deny_domain": "block_host block_hosts blocked_domains blocked_hosts deny_host deny_hosts",
        "environment": "env",
        "filesystem": "fs files",
        "read": "allow_read read_only readonly ro",
        "set_vars": "set vars",
        "write": "allow_write writable writeable",
    }.items()
    for other in others.split()
}
_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")


def lists_for_objects(shape: Any, document: Any) -> list[Mistake]:
    """Find every list in place of an object: pydantic would read it as the object's fields in order."""
    return [Mistake(at, "expected an object") for at in _lists(shape, document, ())]


def complaints(
    shape: Any, document: Any, errors: Iterable[Mapping[str, Any]], more: Iterable[str] = ()
) -> Iterator[Mistake]:
    """Yield one mistake per place, without those about other branches of a union.

    `more` holds names allowed besides the fields of `shape`.
    """
    seen = set()
    for error in errors:
        path, is_other_branch = _place(document, error["loc"], error["type"])
        if path not in seen and not is_other_branch:
            seen.add(path)
            yield _mistake(shape, path, error["type"], error.get("ctx", {}), more)


def _mistake(shape: Any, path: Path, kind: str, context: Mapping[str, Any], more: Iterable[str]) -> Mistake:
    if kind in _UNKNOWN:
        around = shape
        for name in path[:-1]:
            around = step(around, name)
        known = fields(around) + (list(more) if len(path) == 1 else [])
        hint = _hint(shape, str(path[-1]), known, in_section=len(path) <= _IN_SECTION)
        return Mistake(path, "no such field" + (f" ({hint})" if hint else ""), at_key=True)
    if kind in ("literal_error", "enum"):
        return Mistake(path, f"expected {context['expected']}")
    return Mistake(path, _EXPECTED.get(kind, kind.replace("_", " ")))


def _hint(shape: Any, wrong: str, known: Collection[str], *, in_section: bool) -> str | None:
    """Return a hint at the field that was meant; `known` are those that could stand there."""
    meant = _MEANT.get(wrong, wrong) if in_section else wrong
    if meant in known:
        return f"did you mean '{meant}'?"
    elsewhere = _elsewhere(shape, meant) if in_section else None
    return elsewhere or did_you_mean(wrong, known)


def _elsewhere(shape: Any, field: str) -> str | None:
    """Return a hint at where there is a field of this very name: at the top, or in a section."""
    top = fields(shape)
    found = [f"'{section}.{field}'" for section in top if field in fields(step(shape, section))]
    if field in top:
        found.insert(0, f"'{field}' at the top level")
    return f"did you mean {' or '.join(found)}?" if found else None


def _place(document: Any, location: tuple[int | str, ...], kind: str) -> tuple[Path, bool]:
    """Return an error's key path, and whether it concerns a union branch the value does not belong to.

    Steps that are not in the document name such branches: a class for objects, a type for the rest.
    """
    node, path = document, list[str | int]()
    for position, name in enumerate(location):
        in_list = isinstance(node, list) and isinstance(name, int) and name < len(node)
        is_there = name in node if isinstance(node, dict) else in_list
        if is_there:
            node = node[name]
        elif kind != "missing" or position < len(location) - 1:
            if isinstance(node, dict) != str(name)[:1].isupper():
                return (), True
            continue
        path.append(name)
    return tuple(path), False


def _lists(shape: Any, node: Any, at: Path) -> Iterator[Path]:
    if isinstance(node, list):
        item = step(shape, 0) if is_list(shape) else None
        if item is None and is_object(shape):
            yield at
        for position, value in enumerate(node if item is not None else ()):
            yield from _lists(item, value, (*at, position))
    elif isinstance(node, dict) and shape is not None:
        for name, value in node.items():
            yield from _lists(step(shape, name), value, (*at, name))
