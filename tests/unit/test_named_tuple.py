"""nono's named tuples against those of the standard library."""

from __future__ import annotations

import copy
import pickle
import typing
from collections.abc import Callable
from typing import Any

import pytest

import nono.named_tuple


class Ours(nono.named_tuple.NamedTuple):
    """Words."""

    path: str
    port: int = 443
    names: tuple[str, ...] = ()

    def url(self) -> str:
        return f"https://{self.path}:{self.port}"

    @property
    def first(self) -> str:
        return self.names[0]


class Theirs(typing.NamedTuple):
    """Words."""

    path: str
    port: int = 443
    names: tuple[str, ...] = ()

    def url(self) -> str:
        return f"https://{self.path}:{self.port}"

    @property
    def first(self) -> str:
        return self.names[0]


class Shown(nono.named_tuple.NamedTuple):
    key: str

    def __repr__(self) -> str:
        return "Shown(...)"


def _matched(value: Any) -> Any:
    match value:
        case Ours(path, port) | Theirs(path, port):
            return path, port


def _set(value: Any) -> None:
    value.port = 1


def _set_new(value: Any) -> None:
    value.other = 1


USES: dict[str, Callable[[Any], Any]] = {
    "all by position": lambda kind: kind("a", 1, ("b",)),
    "all by name": lambda kind: kind(names=("b",), port=1, path="a"),
    "with defaults": lambda kind: kind("a"),
    "none": lambda kind: kind(),
    "one too many": lambda kind: kind("a", 1, (), 2),
    "twice": lambda kind: kind("a", path="a"),
    "unknown": lambda kind: kind("a", other=1),
    "fields": lambda kind: kind("a", 1, ("b",)).names,
    "a field of the class": lambda kind: hasattr(kind, "port"),
    "method": lambda kind: kind("a").url(),
    "property": lambda kind: kind("a", 1, ("b",)).first,
    "unpacked": lambda kind: [*kind("a")],
    "hash": lambda kind: hash(kind("a")),
    "equal": lambda kind: kind("a") == kind("a", 443),
    "not equal": lambda kind: kind("a") == kind("b"),
    "equal to a tuple": lambda kind: kind("a") == ("a", 443, ()),
    "matched": lambda kind: _matched(kind("a")),
    "replaced": lambda kind: kind("a")._replace(port=1, names=("c",)),
    "replaced unknown": lambda kind: kind("a")._replace(other=1),
    "made": lambda kind: kind._make(["a", 1, ()]),
    "made of too few": lambda kind: kind._make(["a"]),
    "dictionary": lambda kind: kind("a")._asdict(),
    "names": lambda kind: kind._fields,
    "defaults": lambda kind: kind._field_defaults,
    "match arguments": lambda kind: kind.__match_args__,
    "documentation": lambda kind: kind.__doc__,
    "bases": lambda kind: (kind.__bases__[0] is not object, issubclass(kind, tuple), type(kind)),
    "copy": lambda kind: copy.copy(kind("a")),
    "deep copy": lambda kind: copy.deepcopy(kind("a")),
    "pickled": lambda kind: pickle.loads(pickle.dumps(kind("a"))),
    "set": lambda kind: _set(kind("a")),
    "set what it has not": lambda kind: _set_new(kind("a")),
    "in words": lambda kind: repr(kind("a", 1, ("b",))),
    "hints": lambda kind: typing.get_type_hints(kind),
}


def _outcome(use: Callable[[Any], Any], kind: Any) -> Any:
    try:
        found = use(kind)
    except ValueError as error:  # of Python 3.12, for a name that is no field
        found = f"TypeError: {error}"
    except (TypeError, AttributeError) as error:
        found = f"{type(error).__name__}: {error}"
    else:
        if isinstance(found, kind):
            found = ("of the class", *found)
    return found.replace("Theirs", "Ours") if isinstance(found, str) else found


@pytest.fixture(params=[0, 100], ids=["at first", "made often"])
def made_before(request: pytest.FixtureRequest) -> None:
    """Make so many values of Ours before: after some, the class has a constructor of its own."""
    if "__new__" in vars(Ours):
        del Ours.__new__
    calls_left: list[None] = vars(Ours)["_calls_left"]
    calls_left[:] = [None] * 16
    for _ in range(request.param):
        Ours("a")
    assert ("__new__" in vars(Ours)) == (request.param > 16)


@pytest.mark.usefixtures("made_before")
@pytest.mark.parametrize("use", USES)
def test_a_named_tuple_is_what_the_standard_library_makes(use: str) -> None:
    assert _outcome(USES[use], Ours) == _outcome(USES[use], Theirs)


def test_a_class_may_say_itself_how_it_is_shown() -> None:
    assert repr(Shown("canary")) == "Shown(...)"
    assert f"{Shown('canary')}" == "Shown(...)"


def test_a_value_has_room_for_its_fields_only() -> None:
    assert not hasattr(Ours("a"), "__dict__")


def test_a_class_without_fields_has_one_value() -> None:
    class Nothing(nono.named_tuple.NamedTuple):
        pass

    assert Nothing() == ()
