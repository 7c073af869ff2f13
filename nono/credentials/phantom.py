"""Makes the values a child holds in place of credentials: worthless elsewhere, recognised by the proxy."""

from __future__ import annotations

import secrets

from nono.credentials.values.shapes import GENERIC, SHAPES
from nono.named_tuple import NamedTuple
from nono.secret import Secret


class Phantom(NamedTuple):
    """The stand-in for the credential of one service in one run; secret to everybody but the child."""

    service: str
    secret: Secret

    def matches(self, candidate: str) -> bool:
        """Compare `candidate` with this phantom, in time that does not depend on where they differ."""
        return self.secret.matches(candidate)

    def appears_in(self, text: bytes) -> bool:
        """Check that `text` contains this phantom. Timing does not matter: the child wrote the text."""
        return self.secret.appears_in(text)

    def child_value(self) -> str:
        """Return the phantom itself, for the environment of the child and nothing else."""
        return self.secret.reveal()


class SessionToken(NamedTuple):
    """Admits the child of one run to the proxy; carries no information about credentials."""

    secret: Secret

    def matches(self, candidate: str) -> bool:
        """Compare `candidate` with the token, in time that does not depend on where they differ."""
        return self.secret.matches(candidate)

    def appears_in(self, text: bytes) -> bool:
        """Check that `text`, written by a holder of the token, contains the token."""
        return self.secret.appears_in(text)

    def child_value(self) -> str:
        """Return the token itself, for the proxy URL in the environment of the child and nothing else."""
        return self.secret.reveal()


def make_phantom(service: str) -> Phantom:
    """Make a phantom from the kernel's random generator, shaped like that provider's tokens.

    Prefix, alphabet and length match, because clients check them before they send anything. An unknown
    service gets `nono_` and 43 characters of base 62.
    """
    shape = SHAPES.get(service, GENERIC)
    random_part = "".join(secrets.choice(shape.alphabet) for _ in range(shape.random_chars))
    return Phantom(service, Secret(shape.prefix + random_part + shape.suffix))


def make_session_token() -> SessionToken:
    """Make a token of 256 random bits, as 64 lower-case hex digits."""
    return SessionToken(Secret(secrets.token_hex(32)))
