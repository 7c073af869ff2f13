"""Build the values of nono.policy.schema.profile from a document, without evaluating an annotation."""

from __future__ import annotations

from nono.policy.schema.frozen_shapes import SHAPES
from nono.policy.schema.profile import Profile
from nono.str_enum import StrEnum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from nono.policy.schema.frozen_shapes import Parts


def build_profile(document: Mapping[str, Any]) -> Profile:
    """Turn a valid document into a profile: objects into named tuples, lists into tuples.

    Raises TypeError if an object has a field that its shape lacks. Checks nothing else:
    nono.policy.document.validate has checked the files of users before.
    """
    profile: Profile = _filled(Profile, document)
    return profile


def _filled(shape: type, fields: Mapping[str, Any]) -> Any:
    parts = SHAPES.get(shape, {})
    return shape(**{name: _built(parts.get(name, ()), each) for name, each in fields.items()})


def _built(parts: Parts, value: Any) -> Any:
    """Build the first of `parts` that takes `value`; return `value` unchanged if none does."""
    for part in parts:
        if isinstance(part, tuple):
            kind, inner = part
            if kind is dict and isinstance(value, dict):
                return {name: _built(inner, each) for name, each in value.items()}
            if kind is tuple and isinstance(value, list):
                return tuple(_built(inner, each) for each in value)
        elif part is float:
            if isinstance(value, int):
                return float(value)
        elif issubclass(part, StrEnum):
            if isinstance(value, str):
                return part(value)
        elif isinstance(value, dict):
            return _filled(part, value)
    return value
