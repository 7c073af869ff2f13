"""Convert the records of nono.policy to JSON and back, accepting exactly the format it writes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import NoneType, UnionType

from nono.str_enum import StrEnum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PLAIN = (str, int, bool, NoneType)  # thousands in a state, and asking more about them takes longest


def document_of(value: Any) -> Any:
    """Convert `value` for json.dumps: records to objects, tuples to arrays. A StrEnum is a text already."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    fields = _fields(kind)
    if fields is not None:
        each_value = value if isinstance(value, tuple) else (getattr(value, name) for name in fields)
        return dict(zip(fields, map(document_of, each_value), strict=True))
    return list(map(document_of, value)) if isinstance(value, tuple) else value


def value_of(document: object, kind: Any, names: Mapping[str, Any], place: str) -> Any:
    """Invert document_of() for a value annotated with `kind`. Raises ValueError that names the mismatch.

    `names` resolves annotations that their modules import for type checkers only.
    """
    if type(document) is kind and kind in _PLAIN:
        return document
    # Imported here, as below: every run writes a state, and few commands read one.
    from typing import Literal, Union, get_args, get_origin

    origin, parts = get_origin(kind), get_args(kind)
    if origin in (UnionType, Union):  # the second once get_type_hints() has removed an Annotated
        (inner,) = (part for part in parts if part is not NoneType)
        return None if document is None else value_of(document, inner, names, place)
    if origin is tuple:
        return _tuple(document, parts, names, place)
    if origin is Literal or issubclass(kind, StrEnum):
        words = parts if origin is Literal else [each.value for each in kind]
        if document not in words:
            raise _mistake(document, f"one of {', '.join(map(str, words))}", place)
        return document if origin is Literal else kind(document)
    fields = _fields(kind)
    if fields is not None:
        return _record(document, kind, fields, names, place)
    accepted = (int, float) if kind is float else kind
    if not isinstance(document, accepted) or (isinstance(document, bool) and kind is not bool):
        raise _mistake(document, kind.__name__, place)
    return document


def _fields(kind: type) -> tuple[str, ...] | None:
    """Return the fields of a record: a named tuple's, or the constructor fields of a dataclass; else None."""
    by_position = "__match_args__" if hasattr(kind, "__dataclass_fields__") else "_fields"
    names: tuple[str, ...] | None = getattr(kind, by_position, None)
    return names


def _tuple(document: object, parts: tuple[Any, ...], names: Mapping[str, Any], place: str) -> tuple[Any, ...]:
    if not isinstance(document, list):
        raise _mistake(document, "an array", place)
    kinds = [parts[0]] * len(document) if parts[1:] == (...,) else list(parts)
    if len(kinds) != len(document):
        raise _mistake(document, f"an array of {len(kinds)}", place)
    pairs = enumerate(zip(document, kinds, strict=True))
    return tuple(value_of(item, kind, names, f"{place}[{index}]") for index, (item, kind) in pairs)


def _record(
    document: object, kind: Any, fields: tuple[str, ...], names: Mapping[str, Any], place: str
) -> Any:
    if not isinstance(document, dict):
        raise _mistake(document, "an object", place)
    if wrong := set(document) ^ set(fields):
        raise ValueError(f"{place}: missing or unknown: {', '.join(sorted(wrong))}")
    hints = _hints(kind, tuple(names.items()))
    return kind(**{name: value_of(document[name], hints[name], names, f"{place}.{name}") for name in fields})


@cache
def _hints(kind: Any, names: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
    """Evaluate the annotations of a record once: a state holds hundreds of a few kinds."""
    from typing import Literal, get_type_hints

    return get_type_hints(kind, localns={"Literal": Literal, **dict(names)})


def _mistake(document: object, expected: str, place: str) -> ValueError:
    return ValueError(f"{place}: {expected} is expected, not {type(document).__name__}")
