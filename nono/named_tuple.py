"""Replace `typing.NamedTuple` at a tenth of its cost by compiling few constructors (ADR 4)."""

from __future__ import annotations

TYPE_CHECKING = False  # a type checker's own constant, without importing typing
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, NamedTuple  # noqa: TID251 - this module replaces it

    __all__ = ["NamedTuple"]
else:
    from _collections import _tuplegetter  # how namedtuple's fields are read, in C

    # Compiling a constructor takes as long as this many calls without one. Most classes of a start are
    # instantiated once or twice.
    _CALLS_WITHOUT = 16

    class _Values(tuple):
        """The base of every named tuple; its methods match those of collections.namedtuple."""

        __slots__ = ()

        def __new__(cls, *values: Any, **named: Any) -> Any:
            if cls._calls_left and (filled := _filled(cls, values, named)) is not None:
                cls._calls_left.pop()
                return tuple.__new__(cls, filled)
            names = "".join(f"{field}, " for field in cls._fields)
            constructor = eval(f"lambda _cls, {names}: _tuple(_cls, ({names}))", {"_tuple": tuple.__new__})
            constructor.__qualname__ = f"{cls.__name__}.__new__"  # shown in TypeErrors about the arguments
            constructor.__defaults__ = tuple(cls._field_defaults.values())
            cls.__new__ = constructor
            return constructor(cls, *values, **named)

        @classmethod
        def _make(cls, values: Iterable[Any]) -> Any:
            made = tuple.__new__(cls, values)
            if len(made) != len(cls._fields):
                raise TypeError(f"Expected {len(cls._fields)} arguments, got {len(made)}")
            return made

        def _replace(self, /, **changes: Any) -> Any:
            made = self._make(map(changes.pop, self._fields, self))
            if changes:
                raise TypeError(f"Got unexpected field names: {list(changes)!r}")
            return made

        __replace__ = _replace

        def _asdict(self) -> dict[str, Any]:
            return dict(zip(self._fields, self, strict=True))

        def __repr__(self) -> str:
            fields = (f"{name}={value!r}" for name, value in self._asdict().items())
            return f"{type(self).__name__}({', '.join(fields)})"

        def __getnewargs__(self) -> tuple[Any, ...]:
            return tuple(self)

    def _filled(cls: Any, values: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, ...] | None:
        """Return a value for each field, or None if they do not fit.

        A compiled constructor then raises the error.
        """
        fields = cls._fields
        if len(values) == len(fields):
            return None if named else values
        if len(values) > len(fields):
            return None
        rest = fields[len(values) :]
        given = {**cls._field_defaults, **named}
        if not all(map(given.__contains__, rest)) or not all(map(rest.__contains__, named)):
            return None
        return (*values, *map(given.__getitem__, rest))

    class _Maker(type):
        """Create a plain tuple subclass from a class body, as `typing.NamedTuple` does."""

        def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> Any:
            others = (base for base in bases if type(base) is not _Maker)  # Generic, at most
            made: Any = type(name, (_Values, *others), {"__slots__": (), **body})
            made._fields = made.__match_args__ = tuple(made.__annotations__)
            made._calls_left = [None] * _CALLS_WITHOUT
            made._field_defaults = {field: body[field] for field in made._fields if field in body}
            for index, field in enumerate(made._fields):
                setattr(made, field, _tuplegetter(index, ""))
            return made

    # Bypasses the metaclass, which must see only the classes below this one.
    NamedTuple = type.__new__(_Maker, "NamedTuple", (), {"__module__": __name__})
