"""nono's enumerations of strings against those of the standard library."""

from __future__ import annotations

import copy
import enum
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

import nono.str_enum


class Ours(nono.str_enum.StrEnum):
    """Words."""

    READ = "read"
    READ_WRITE = "read+write"

    @property
    def writes(self) -> bool:
        return self is not Ours.READ


class Theirs(enum.StrEnum):
    """Words."""

    READ = "read"
    READ_WRITE = "read+write"

    @property
    def writes(self) -> bool:
        return self is not Theirs.READ


def _matched(kind: Any) -> Any:
    match kind("read+write"):
        case kind.READ:
            return "first"
        case kind.READ_WRITE:
            return "second"


def _assigned(kind: Any) -> None:
    kind.READ = "other"


def _all(kind: Any) -> Any:
    return [*kind]


USES: dict[str, Callable[[Any], Any]] = {
    "members": _all,
    "length": len,
    "names": lambda kind: [each.name for each in kind],
    "values": lambda kind: [each.value for each in kind],
    "exact type of a value": lambda kind: type(kind.READ.value) is str,
    "by value": lambda kind: kind("read") is kind.READ,
    "by member": lambda kind: kind(kind.READ) is kind.READ,
    "by name": lambda kind: kind["READ_WRITE"] is kind.READ_WRITE,
    "mapping of names": lambda kind: [*kind.__members__],
    "no such value": lambda kind: kind("write"),
    "no such name": lambda kind: kind["WRITE"],
    "no such member": lambda kind: kind.WRITE,
    "value is in": lambda kind: ("read" in kind, "write" in kind, kind.READ in kind, None in kind),
    "equal to its value": lambda kind: (kind.READ == "read", kind.READ == "READ"),
    "hash of its value": lambda kind: {kind.READ: 1}["read"],
    "text": lambda kind: (str(kind.READ), f"{kind.READ}", f"{kind.READ:>6}"),
    "joined": lambda kind: ", ".join(kind),
    "sorted": lambda kind: sorted(kind, reverse=True),
    "repr": lambda kind: repr(kind.READ).replace(kind.__name__, "Kind"),
    "json": lambda kind: json.dumps({kind.READ: kind.READ_WRITE}),
    "property": lambda kind: (kind.READ.writes, kind.READ_WRITE.writes),
    "match": _matched,
    "copy": lambda kind: copy.deepcopy([kind.READ])[0] is copy.copy(kind.READ),
    "pickle": lambda kind: pickle.loads(pickle.dumps(kind.READ)) is kind.READ,
    "is a string": lambda kind: isinstance(kind.READ, str),
    "assigned": _assigned,
    "doc": lambda kind: kind.__doc__,
}


def _outcome(use: Callable[[Any], Any], kind: Any) -> Any:
    try:
        return use(kind)
    except Exception as error:
        return type(error), str(error).replace(kind.__name__, "Kind").partition(" on ")[0]


@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
def test_an_enumeration_behaves_as_one_of_the_standard_library(use: Callable[[Any], Any]) -> None:
    ours, theirs = _outcome(use, Ours), _outcome(use, Theirs)
    if isinstance(theirs, tuple) and theirs[:1] == (AttributeError,):
        assert ours[0] is AttributeError  # the words differ
    else:
        assert ours == theirs


def test_pydantic_accepts_the_values_and_nothing_else() -> None:
    adapter = TypeAdapter[Any](Ours)
    assert adapter.validate_python("read", strict=True) == Ours.READ
    with pytest.raises(ValidationError):
        adapter.validate_python("write")


def test_a_value_has_one_name() -> None:
    with pytest.raises(ValueError, match="two names"):

        class _Twice(nono.str_enum.StrEnum):
            ONE = "a"
            OTHER = "a"
