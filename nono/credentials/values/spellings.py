"""List the texts that reveal a secret: itself, and base64 at each offset and hex of it and its UTF-16."""

from __future__ import annotations

from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Sequence

from nono.credentials.values.escapes import forms, has_escapes
from nono.secret import Secret

MIN_WATCHED_CHARACTERS = 8  # shorter text occurs by chance in unrelated bodies
_SCHEMES = frozenset(("basic", "bearer", "token"))


def watched(secrets: Sequence[Secret], *, basic: bool) -> list[str]:
    """Return the texts that must not be read and are long enough to be recognised; see `texts`."""
    return [text for text in texts(secrets, basic=basic) if len(text) >= MIN_WATCHED_CHARACTERS]


def texts(secrets: Sequence[Secret], *, basic: bool) -> Iterator[str]:
    """Yield the secrets and their parts. `basic`: Each secret is the ``user:password`` of RFC 7617."""
    for secret in secrets:
        text = secret.reveal()
        yield text
        if basic:
            yield _inner(text)
        # A whole field value, as a credential helper prints it: upstreams quote the part after the scheme.
        scheme, _, parameter = text.partition(" ")
        if scheme.lower() in _SCHEMES:
            yield parameter
        if scheme.lower() == "basic" and (pair := _decoded(parameter)):
            yield from (pair, _inner(pair))


def _inner(pair: str) -> str:
    """Return the password; the user name if there is none, as for services that use only a key."""
    user, _, password = pair.partition(":")
    return password or user


def cores(every: Iterable[str]) -> list[str]:
    """Return the texts except those that end with another one: a user name or a scheme is no secret."""
    kept = list[str]()
    # Reversed, an end becomes a prefix, and sorts before all texts that begin with it.
    for backwards in sorted({each[::-1] for each in every if each}):
        if not kept or not backwards.startswith(kept[-1]):
            kept.append(backwards)
    return [each[::-1] for each in kept]


def _decoded(parameter: str) -> str | None:
    try:
        return b64decode(parameter, validate=True).decode()
    except ValueError:
        return None


def spellings(text: str, *, tokens: bool) -> Iterator[bytes]:
    """Yield the spellings of `text` to look for, in a body and in a body whose escapes are undone."""
    for raw in _encodings(text):
        yield raw
        yield raw.replace(b" ", b"+")  # in a form
        # In CSV, SQL and YAML; in printf formats and configuration files.
        yield from (raw.replace(each, each + each) for each in (b'"', b"'", b"%") if each in raw)
        if has_escapes(raw.rstrip(b"=")):
            # The result of undoing escapes in a secret that itself contains something like an escape.
            undone = (each.text for each in forms(raw, tokens=tokens))
            yield from (each for each in undone if len(each) >= MIN_WATCHED_CHARACTERS)
        yield from _binary(raw)
    for order in ("le", "be"):  # PowerShell's base64 is that of UTF-16
        yield from _binary(text.encode(f"utf-16-{order}", "surrogatepass"))


def _binary(raw: bytes) -> Iterator[bytes]:
    """Yield base64 and hex of `raw`."""
    yield from _base64(raw)
    yield from (raw.hex().encode(), raw.hex().upper().encode())


def _encodings(text: str) -> set[bytes]:
    """Encode in UTF-8, and in Latin-1 if possible, as a header carries it."""
    encoded = {text.encode("utf-8", "surrogatepass")}
    if all(ord(character) < 256 for character in text):
        encoded.add(text.encode("latin-1"))
    return encoded


def _base64(raw: bytes) -> Iterator[bytes]:
    """Yield base64 (RFC 4648 sections 4 and 5) at each of the three offsets within a larger text.

    The result is cut to the characters that depend on `raw` alone.
    """
    for before in range(3):
        first, end = -(-before * 8 // 6), (before + len(raw)) * 8 // 6
        for encode in (b64encode, urlsafe_b64encode):
            yield encode(b"\0" * before + raw)[first:end]


def shared_characters(text: str) -> int:
    """Return the length of the prefix that many keys of its kind share, such as ``sk-proj-``."""
    return max(text.rfind(each, 0, 20) for each in "-_.:= ") + 1


def beginning(text: str) -> bytes | None:
    """Return a prefix of `text` that nobody guesses; None if there is none.

    It is three quarters of the secret part, and at least sixteen characters, 95 bits: whoever writes it has
    learnt it. A shorter prefix could be found by trying prefixes until the credential is frozen.
    """
    if text.startswith("eyJ"):  # a JSON Web Token, most of which is widely known
        return None
    shared = shared_characters(text)
    end = shared + max(16, (len(text) - shared) * 3 // 4)
    return text[:end].encode("utf-8", "surrogatepass") if end + MIN_WATCHED_CHARACTERS <= len(text) else None
