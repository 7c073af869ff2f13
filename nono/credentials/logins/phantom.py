"""Spells the phantoms of captured logins, and finds them in text that a command sends."""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Callable, Mapping

from nono.secret import Secret

MARK = re.compile(r"nono_[0-9a-f]{64}", re.ASCII)
_JWT_PART = r"[A-Za-z0-9_-]+\."
_PHANTOM = re.compile(
    # Whole words only: half a phantom, or one with something attached, was never handed out.
    rf"(?<![A-Za-z0-9._-])(?:{_JWT_PART}{_JWT_PART})?(nono_[0-9a-f]{{64}})(?![A-Za-z0-9._-])",
    re.ASCII,
)
_FAR_AWAY = 4102444800  # 2100-01-01: clients look at exp, the provider at the token itself


class PhantomError(ValueError):
    """A phantom is not spelled as it was handed out."""


def jwt_phantom(nonce: str) -> str:
    """Wrap `nonce` in an unsigned JWT (RFC 7519 section 6), for clients that inspect their tokens."""
    claims = {"iss": "nono", "aud": "nono", "sub": nonce, "iat": 0, "exp": _FAR_AWAY}
    return f"{_part({'alg': 'none', 'typ': 'JWT'})}.{_part(claims)}.{nonce}"


def _part(content: Mapping[str, object]) -> str:
    return urlsafe_b64encode(json.dumps(content, separators=(",", ":")).encode()).rstrip(b"=").decode()


def nonce_of(text: str) -> str | None:
    """Return the nonce if `text` is exactly one phantom, else None."""
    found = _PHANTOM.fullmatch(text)
    if found is None:
        return None
    nonce = found[1]
    return nonce if text in (nonce, jwt_phantom(nonce)) else None


def nonces_in(text: str) -> list[str]:
    """Return the nonces of the phantoms in `text`, in order. Raises PhantomError if one is not whole."""
    nonces = [nonce_of(found[0]) for found in _PHANTOM.finditer(text)]
    whole = [nonce for nonce in nonces if nonce is not None]
    if len(whole) != len(MARK.findall(text)):
        raise PhantomError("a phantom is cut, or has something attached to it")
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
