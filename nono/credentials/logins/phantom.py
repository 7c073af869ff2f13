"""Spell the phantoms of captured logins, and find them in text that a command sends."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Collection, Mapping

from nono.secret import Secret

MARK = re.compile(r"nono_[0-9a-f]{64}", re.ASCII)
_JWT_PART = r"[A-Za-z0-9_-]+\."
_PHANTOM = re.compile(
    # Whole words only: nono never issues half a phantom, or one with something attached.
    rf"(?<![A-Za-z0-9._-])(?:{_JWT_PART}{_JWT_PART})?(nono_[0-9a-f]{{64}})(?![A-Za-z0-9._-])",
    re.ASCII,
)
_FAR_AWAY = 4102444800  # 2100-01-01: clients check exp, the provider checks the real token


class PhantomError(ValueError):
    """A phantom is not spelled as it was handed out."""


_UNSIGNED = {"alg": "none", "typ": "JWT"}


def jwt_phantom(nonce: str, kept: Mapping[str, object] | None = None) -> str:
    """Wrap `nonce` in an unsigned JWT (RFC 7519 section 6), for clients that inspect their tokens.

    kept: Claims copied from the real token because the client reads them. Subject and issuer stay nono's.
    """
    claims = {"aud": "nono", "iat": 0, "exp": _FAR_AWAY, **(kept or {}), "iss": "nono", "sub": nonce}
    return f"{_part(_UNSIGNED)}.{_part(claims)}.{nonce}"


def claims_of(token: Secret, names: Collection[str]) -> dict[str, object]:
    """Return those of the named claims that a JWT has; none for any other token."""
    parts = token.reveal().split(".")
    claims = _decoded(parts[1]) if len(parts) == 3 and names else None
    return {name: value for name, value in (claims or {}).items() if name in names}


def _decoded(part: str) -> dict[str, object] | None:
    # Imported here, as below: each command waits for this module, and few log in.
    import json

    try:
        content = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _part(content: Mapping[str, object]) -> str:
    import json

    return urlsafe_b64encode(json.dumps(content, separators=(",", ":")).encode()).rstrip(b"=").decode()


def nonce_of(text: str) -> str | None:
    """Return the nonce if `text` is exactly one phantom, else None."""
    found = _PHANTOM.fullmatch(text)
    if found is None:
        return None
    nonce = found[1]
    return nonce if text == nonce or _is_jwt_of(nonce, text) else None


def _is_jwt_of(nonce: str, text: str) -> bool:
    """Check that `text` is a JWT handed out for `nonce`; its kept claims are not compared."""
    header, claims, _ = text.split(".")
    content = _decoded(claims)
    return (
        header == _part(_UNSIGNED)
        and content is not None
        and (content.get("iss"), content.get("sub")) == ("nono", nonce)
    )


def nonces_in(text: str) -> list[str]:
    """Return the nonces of the phantoms in `text`, in order. Raises PhantomError if one is not whole."""
    nonces = [nonce_of(found[0]) for found in _PHANTOM.finditer(text)]
    whole = [nonce for nonce in nonces if nonce is not None]
    if len(whole) != len(MARK.findall(text)):
        raise PhantomError("a placeholder is incomplete, or has text attached to it")
    return whole


def nonces_in_field(value: bytes) -> list[str]:
    """Return the nonces in a header value; Basic credentials (RFC 7617) are decoded first.

    Raises as nonces_in does.
    """
    return nonces_in(_pair(value) or value.decode("latin-1"))


def field_with_tokens(value: bytes, tokens: Mapping[str, Secret]) -> Secret:
    """Return the header value with each phantom replaced by its token. Raises KeyError for an unknown one."""

    def put_in(text: str) -> str:
        return replaced(text, lambda nonce: tokens[nonce].reveal())

    pair = _pair(value)
    if pair is None:
        return Secret(put_in(value.decode("latin-1")))
    return Secret("Basic " + b64encode(put_in(pair).encode()).decode("ascii"))


def replaced(text: str, token_of: Callable[[str], str]) -> str:
    """Return `text` with each phantom replaced by `token_of` its nonce."""
    return _PHANTOM.sub(lambda found: token_of(found[1]), text)


def _pair(value: bytes) -> str | None:
    """Return the ``user:password`` of a Basic value; None for any other value, or if it is not UTF-8."""
    scheme, _, encoded = value.partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        return b64decode(encoded.strip(), validate=True).decode()
    except ValueError:
        return None
