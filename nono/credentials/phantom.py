"""The values a child holds in place of credentials: worthless elsewhere, recognised by the proxy."""

from __future__ import annotations

import secrets

from nono.credentials.values.shapes import GENERIC, SHAPES
from nono.named_tuple import NamedTuple
from nono.secret import Secret


class Phantom(NamedTuple):
    """Stands for the credential of one service in one run. No secret to the child, but to all others."""

    service: str
    secret: Secret

    def matches(self, candidate: str) -> bool:
        """Whether candidate is this phantom, in time that does not depend on where they differ."""
        return self.secret.matches(candidate)

    def appears_in(self, text: bytes) -> bool:
        """Whether this phantom is a part of text, which the child wrote and so may time."""
        return self.secret.appears_in(text)

    def child_value(self) -> str:
        """The phantom itself, for the environment of the child and nothing else."""
        return self.secret.reveal()


class SessionToken(NamedTuple):
    """Admits the child of one run to the proxy; says nothing about credentials."""

    secret: Secret

    def matches(self, candidate: str) -> bool:
        """Whether candidate is the token, in time that does not depend on where they differ."""
        return self.secret.matches(candidate)

    def appears_in(self, text: bytes) -> bool:
        """Whether the token is a part of text, which whoever holds it wrote."""
        return self.secret.appears_in(text)

    def child_value(self) -> str:
        """The token itself, for the proxy URL in the environment of the child and nothing else."""
        return self.secret.reveal()


def make_phantom(service: str) -> Phantom:
    """A new one from the kernel's generator, with prefix, alphabet and length of that provider's tokens.

    Clients check those before they send anything. A service that is not known gets `nono_` and 43 of base 62.
    """
    shape = SHAPES.get(service, GENERIC)
    random_part = "".join(secrets.choice(shape.alphabet) for _ in range(shape.random_chars))
    return Phantom(service, Secret(shape.prefix + random_part + shape.suffix))


def make_session_token() -> SessionToken:
    """256 random bits as 64 lower-case hex digits."""
    return SessionToken(Secret(secrets.token_hex(32)))
