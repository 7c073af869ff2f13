"""Make the values a command holds instead of credentials: worthless elsewhere, recognised by the proxy."""

from __future__ import annotations

import os
from math import log2

from nono.credentials.values.shapes import GENERIC, SHAPES, TokenShape
from nono.digests import hmac_sha256
from nono.named_tuple import NamedTuple
from nono.secret import Secret

END_CHARS = 20  # the part of a key by which Claude Code remembers that it may use it
_RANDOM_BITS = 128  # the minimum besides the end


class Phantom(NamedTuple):
    """The stand-in for the credential of one service in one run; secret to everybody but the command."""

    service: str
    secret: Secret

    def matches(self, candidate: str) -> bool:
        """Compare `candidate` with this phantom, in time that does not depend on where they differ."""
        return self.secret.matches(candidate)

    def appears_in(self, text: bytes) -> bool:
        """Check that `text` contains this phantom. Timing does not matter: the command wrote the text."""
        return self.secret.appears_in(text)

    def child_value(self) -> str:
        """Return the phantom itself, for the environment of the command and nothing else."""
        return self.secret.reveal()


class SessionToken(NamedTuple):
    """Admits the command of one run to the proxy; carries no information about credentials."""

    secret: Secret

    def matches(self, candidate: str) -> bool:
        """Compare `candidate` with the token, in time that does not depend on where they differ."""
        return self.secret.matches(candidate)

    def appears_in(self, text: bytes) -> bool:
        """Return True if `text`, written by a holder of the token, contains the token."""
        return self.secret.appears_in(text)

    def child_value(self) -> str:
        """Return the token itself, for the proxy URL in the environment of the command and nothing else."""
        return self.secret.reveal()


def make_phantom(service: str, key_of_ends: Secret | None = None) -> Phantom:
    """Make a phantom from the kernel's random generator, shaped like that provider's tokens.

    Prefix, alphabet and length match, because clients check them before they send anything. An unknown
    service gets `nono_` and 43 characters of base 62. With a key, the last END_CHARS are the same in every
    run if the rest has room for enough random bits: clients that ask before they use a key recognise it by
    them.
    """
    shape = SHAPES.get(service, GENERIC)
    end = "" if key_of_ends is None else _end(service, shape, key_of_ends)
    count = shape.random_chars - len(end)
    random_part = _random_text(shape.alphabet, count)
    return Phantom(service, Secret(shape.prefix + random_part + end + shape.suffix))


def _random_text(alphabet: str, count: int) -> str:
    """Return `count` characters with equal probability, without the module secrets, which imports OpenSSL."""
    kept = 256 - 256 % len(alphabet)  # larger octets would make some characters more frequent
    chosen = ""
    while len(chosen) < count:
        chosen += "".join(alphabet[octet % len(alphabet)] for octet in os.urandom(2 * count) if octet < kept)
    return chosen[:count]


def _end(service: str, shape: TokenShape, key: Secret) -> str:
    """Return the end without the shape's suffix; "" if the rest would be too easy to guess."""
    count = END_CHARS - len(shape.suffix)
    if (shape.random_chars - count) * log2(len(shape.alphabet)) < _RANDOM_BITS:
        return ""
    digest = hmac_sha256(key.reveal().encode(), service.encode("utf-8", "surrogatepass"))
    return "".join(shape.alphabet[byte % len(shape.alphabet)] for byte in digest[:count])


def make_session_token() -> SessionToken:
    """Make a token of 256 random bits, as 64 lower-case hex digits."""
    return SessionToken(Secret(os.urandom(32).hex()))
