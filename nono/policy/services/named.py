"""Read the name of a credential service, with the address that a person gives it: SERVICE or SERVICE=URL."""

from __future__ import annotations

from collections.abc import Iterable

from nono.named_tuple import NamedTuple


class Named(NamedTuple):
    """A service that somebody asks for.

    address: The URL that takes the place of the service's own, not parsed; None if none is given.
    origin: Where it stands: the option, or the profile's field.
    """

    name: str
    address: str | None
    origin: str

    @property
    def text(self) -> str:
        return self.name if self.address is None else f"{self.name}={self.address}"


def named(text: str, origin: str) -> Named:
    """Split SERVICE=URL. No name of a service has an equals sign."""
    name, separator, address = text.partition("=")
    return Named(name, address if separator else None, origin)


def names_of(texts: Iterable[str]) -> list[str]:
    """Return the names of the services without their addresses."""
    return [named(text, "").name for text in texts]
