"""Read what a person says of a credential service by its name: SERVICE, SERVICE=URL, and SERVICE=USD."""

from __future__ import annotations

import re
from collections.abc import Iterable

from nono.errors import UsageError
from nono.named_tuple import NamedTuple

_USD = re.compile(r"\$?(\d{1,9}(?:\.\d{1,6})?)", re.ASCII)


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


def parse_max_cost(text: str) -> tuple[str, float]:
    """Split SERVICE=USD, such as anthropic=2.50. Raises UsageError if it is anything else."""
    name, _, amount = text.partition("=")
    usd = _USD.fullmatch(amount)
    if not name or usd is None:
        raise UsageError(
            f"--max-cost '{text}': expected SERVICE=USD, a service and an amount in US dollars.",
            hint="--max-cost anthropic=2.50",
        )
    return name, float(usd[1])
