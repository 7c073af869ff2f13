"""What pydantic has against a profile, as key paths and sentences for a person."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from nono.policy.nearest import did_you_mean
from nono.policy.profile import Profile

Mistake = tuple[str, str]  # key path, what is wrong

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


def lists_for_objects(document: Any) -> list[Mistake]:
    """Every list that stands where an object belongs: it would be read as the object's fields in order."""
    return [(".".join(at), "expected an object") for at in _lists(Profile, document, ())]


def complaints(document: Any, errors: Iterable[Mapping[str, Any]]) -> Iterator[Mistake]:
    """A line for each error, but one for each place, and none about other branches of a choice."""
    seen = set()
    for error in errors:
        path, is_other_branch = _place(document, error["loc"], error["type"])
        if path not in seen and not is_other_branch:
            seen.add(path)
            yield ".".join(path), _sentence(path, error["type"], error.get("ctx", {}))


def _sentence(path: tuple[str, ...], kind: str, context: Mapping[str, Any]) -> str:
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        hint = did_you_mean(path[-1], _fields_at(path[:-1]))
        return "no such field" + (f" ({hint})" if hint else "")
    if kind in ("literal_error", "enum"):
        return f"expected {context['expected']}"
    return _EXPECTED.get(kind, kind.replace("_", " "))


def _place(document: Any, location: tuple[int | str, ...], kind: str) -> tuple[tuple[str, ...], bool]:
    """The key path of an error, and whether it is about a branch of a choice that the value is not of.

    Steps that the document does not have name such branches: a class for objects, a type for the rest.
    """
    node, path = document, []
    for position, step in enumerate(location):
        in_list = isinstance(node, list) and isinstance(step, int) and step < len(node)
        is_there = step in node if isinstance(node, dict) else in_list
        if is_there:
            node = node[step]
        elif kind != "missing" or position < len(location) - 1:
            if isinstance(node, dict) != str(step)[:1].isupper():
                return (), True
            continue
        path.append(str(step))
    return tuple(path), False


def _lists(shape: Any, node: Any, at: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if isinstance(node, list):
        item = _step(shape, "0") if _is_list(shape) else None
        if item is None and _is_object(shape):
            yield at
        for position, value in enumerate(node if item is not None else ()):
            yield from _lists(item, value, (*at, str(position)))
    elif isinstance(node, dict) and shape is not None:
        for name, value in node.items():
            yield from _lists(_step(shape, name), value, (*at, name))


def _members(shape: Any) -> tuple[Any, ...]:
    return get_args(shape) if get_origin(shape) in (Union, UnionType) else (shape,)


def _is_list(shape: Any) -> bool:
    return any(get_origin(member) is tuple for member in _members(shape))


def _is_object(shape: Any) -> bool:
    return any(hasattr(member, "_fields") for member in _members(shape))


def _step(shape: Any, name: str) -> Any:
    """What is expected below shape under a name or a position; None when nothing is."""
    for member in _members(shape):
        if hasattr(member, "_fields") and name in member._fields:
            return get_type_hints(member)[name]
        if get_origin(member) is Mapping:
            return get_args(member)[1]
        if get_origin(member) is tuple:
            return get_args(member)[0]
    return None


def _fields_at(path: tuple[str, ...]) -> list[str]:
    """The fields of the object at path."""
    shape: Any = Profile
    for step in path:
        shape = _step(shape, step)
    fields = [name for member in _members(shape) for name in getattr(member, "_fields", ())]
    return fields if path else [*fields, "extends"]
