"""Describe the certificate of one host without importing what makes it."""

from __future__ import annotations

from nono.named_tuple import NamedTuple


class CaError(ValueError):
    """The CA cannot be used. The text is one clause for a person and contains no key material."""

    def __init__(self, text: str, hint: str | None = None) -> None:
        """hint: What the person can do."""
        super().__init__(text)
        self.hint = hint


class Leaf(NamedTuple):
    """A private key and its certificate for one host, and when to replace them."""

    pem: bytes
    renew_at_s: float  # seconds since 1970

    def __repr__(self) -> str:
        return "Leaf(...)"
