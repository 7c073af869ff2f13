"""Replace `enum.StrEnum` without importing enum, which takes 1.5 ms with what it imports itself (ADR 68)."""

from __future__ import annotations

TYPE_CHECKING = False  # a type checker's own constant, without importing typing
if TYPE_CHECKING:
    from enum import StrEnum
    from typing import Any

    __all__ = ["StrEnum"]
else:
    _NOT_A_MEMBER = object()

    class _Maker(type):
        """Turn the strings of a class body into members, as `enum.EnumType` does; none has two names."""

        def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> Any:
            texts = {key: text for key, text in body.items() if type(text) is str and key[0] != "_"}
            made = type.__new__(cls, name, bases, {key: body[key] for key in body if key not in texts})
            members = {key: str.__new__(made, text) for key, text in texts.items()}
            for key, member in members.items():
                member.name, member.value = key, texts[key]
                type.__setattr__(made, key, member)
            by_value = {text: members[key] for key, text in texts.items()}
            type.__setattr__(made, "__members__", members)
            type.__setattr__(made, "_by_value", by_value)
            if len(by_value) != len(members):
                raise ValueError(f"{name}: two names for one value")
            return made

        def __call__(cls, value: Any) -> Any:
            member = cls._by_value.get(value, _NOT_A_MEMBER)
            if member is _NOT_A_MEMBER:
                raise ValueError(f"{value!r} is not a valid {cls.__qualname__}")
            return member

        def __getitem__(cls, name: str) -> Any:
            return cls.__members__[name]

        def __contains__(cls, value: object) -> bool:
            return value in cls._by_value

        def __iter__(cls) -> Any:
            return iter(cls.__members__.values())

        def __len__(cls) -> int:
            return len(cls.__members__)

        def __setattr__(cls, name: str, value: Any) -> None:
            if name in cls.__members__:
                raise AttributeError(f"cannot reassign member {name!r}")
            type.__setattr__(cls, name, value)

    class StrEnum(str, metaclass=_Maker):
        """The base of every enumeration of strings; members are strings that know their name."""

        def __repr__(self) -> str:
            return f"<{type(self).__name__}.{self.name}: {self.value!r}>"

        def __reduce_ex__(self, _protocol: int) -> Any:
            return type(self), (self.value,)

        @classmethod
        def __get_pydantic_core_schema__(cls, _source: Any, handler: Any) -> Any:
            """Let pydantic accept the values of the members; nono builds the members themselves."""
            from typing import Literal

            return handler(Literal[tuple(cls._by_value)])
