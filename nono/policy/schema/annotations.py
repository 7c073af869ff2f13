"""Walk the annotations of nono.policy.schema.profile."""

import sys
from collections.abc import Mapping
from functools import cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from nono.policy.schema import constraints, routes
from nono.policy.schema.constraints import Conditional, Says


@cache
def annotation_of(shape: Any, field: str) -> Any:
    """Return the annotation of one field of a named tuple; None if it has no such field.

    The shapes leave their annotations as text, which a start without a profile never evaluates. One field at
    a time: typing.get_type_hints would evaluate all of them, at a multiple of what a profile needs. Such a
    start does not import the names of constraints and routes either.
    """
    text = shape.__annotations__.get(field)
    if not isinstance(text, str):
        return text
    return eval(text, {**vars(constraints), **vars(routes), **vars(sys.modules[shape.__module__])})


def evaluate(shape: Any) -> None:
    """Replace the annotations of a named tuple, and of those in its fields, by what their text means.

    For pydantic, which looks for names in the module of a shape alone.
    """
    _evaluate(shape, set())


def _evaluate(shape: Any, seen: set[Any]) -> None:
    # What Annotated says of a type may be a named tuple too, whose class is no shape of a profile.
    if not isinstance(shape, type) or not hasattr(shape, "_fields") or shape in seen:
        return
    seen.add(shape)
    for field in shape._fields:
        # A shape without text of its own may still hold one with text.
        shape.__annotations__[field] = annotation = annotation_of(shape, field)
        for part in _parts(annotation):
            _evaluate(part, seen)


def _parts(shape: Any) -> tuple[Any, ...]:
    """Return the types that an annotation consists of."""
    parts = get_args(shape)
    return tuple(each for part in parts for each in _parts(part)) if parts else (shape,)


def bare(shape: Any) -> Any:
    """Return `shape` without its Annotated metadata."""
    return get_args(shape)[0] if get_origin(shape) is Annotated else shape


def branches(shape: Any) -> tuple[Any, ...]:
    """Return the branches of a union; `shape` alone if it is none."""
    shape = bare(shape)
    return get_args(shape) if get_origin(shape) in (Union, UnionType) else (shape,)


def members(shape: Any) -> tuple[Any, ...]:
    """Return the types of the branches."""
    return tuple(map(bare, branches(shape)))


def conditional(shape: Any) -> str | None:
    """Return the key beside `when` in the object that may replace `shape`; None if none may."""
    return next((rule.key for rule in _rules(shape) if isinstance(rule, Conditional)), None)


def says(shape: Any) -> dict[str, Any]:
    """Return the JSON Schema rules of `shape` beyond its type."""
    return {
        key: each for rule in _rules(shape) if isinstance(rule, Says) for key, each in rule.schema.items()
    }


def is_object(shape: Any) -> bool:
    return any(hasattr(member, "_fields") for member in members(shape))


def is_list(shape: Any) -> bool:
    return any(get_origin(member) is tuple for member in members(shape))


def step(shape: Any, name: str | int) -> Any:
    """Return the annotation below `shape` under a name or a position; None if there is none."""
    for member in members(shape):
        field = field_of(member, name)
        if field is not None:
            return annotation_of(member, field)
        if get_origin(member) is Mapping:
            return get_args(member)[1]
        if get_origin(member) is tuple:
            return get_args(member)[0]
    return None


def field_of(member: Any, name: str | int) -> str | None:
    """Return the field a file's name refers to: the same name, or with a `_` added to a Python keyword."""
    known = getattr(member, "_fields", ())
    return next((field for field in (str(name), f"{name}_") if field in known), None)


def fields(shape: Any) -> list[str]:
    """Return the field names of `shape` as a file spells them."""
    return [name.removesuffix("_") for member in members(shape) for name in getattr(member, "_fields", ())]


def _rules(shape: Any) -> tuple[Any, ...]:
    return get_args(shape)[1:] if get_origin(shape) is Annotated else ()
