"""The phantoms of captured logins: how they are spelled, and how they are found in what a command sends."""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Callable, Mapping

from nono.secret import Secret

MARK = re.compile(r"nono_[0-9a-f]{64}", re.ASCII)
_JWT_PART = r"[A-Za-z0-9_-]+\."
_PHANTOM = re.compile(
    # Whole words only: half a phantom, or one with something attached, is not what was handed out.
    rf"(?<![A-Za-z0-9._-])(?:{_JWT_PART}{_JWT_PART})?(nono_[0-9a-f]{{64}})(?![A-Za-z0-9._-])",
    re.ASCII,
)
_FAR_AWAY = 4102444800  # 2100-01-01: clients look at exp, the provider at the token itself


class PhantomError(ValueError):
    """A phantom is not spelled as it was handed out."""


def jwt_phantom(nonce: str) -> str:
    """nonce as an unsigned JWT (RFC 7519 section 6), for clients that look into their tokens."""
    claims = {"iss": "nono", "aud": "nono", "sub": nonce, "iat": 0, "exp": _FAR_AWAY}
    return f"{_part({'alg': 'none', 'typ': 'JWT'})}.{_part(claims)}.{nonce}"


def _part(content: Mapping[str, object]) -> str:
    return urlsafe_b64encode(json.dumps(content, separators=(",", ":")).encode()).rstrip(b"=").decode()


def nonce_of(text: str) -> str | None:
    """The nonce of a text that is one phantom and nothing else."""
    found = _PHANTOM.fullmatch(text)
    if found is None:
        return None
    nonce = found[1]
    return nonce if text in (nonce, jwt_phantom(nonce)) else None


def nonces_in(text: str) -> list[str]:
    """The nonces of the phantoms in text, in order. PhantomError when one is not whole."""
    nonces = [nonce_of(found[0]) for found in _PHANTOM.finditer(text)]
    whole = [nonce for nonce in nonces if nonce is not None]
    if len(whole) != len(MARK.findall(text)):
        raise PhantomError("a phantom is cut, or has something attached to it")
    return whole


def nonces_in_field(value: bytes) -> list[str]:
    """As nonces_in, for the value of a header field; of Basic credentials (RFC 7617) for what they encode."""
    return nonces_in(_pair(value) or value.decode("latin-1"))


def field_with_tokens(value: bytes, tokens: Mapping[str, Secret]) -> Secret:
    """The header value with the token of each phantom in its place. KeyError for an unknown one."""

    def put_in(text: str) -> str:
        return replaced(text, lambda nonce: tokens[nonce].reveal())

    pair = _pair(value)
    if pair is None:
        return Secret(put_in(value.decode("latin-1")))
    return Secret("Basic " + b64encode(put_in(pair).encode()).decode("ascii"))


def replaced(text: str, token_of: Callable[[str], str]) -> str:
    """text with what token_of gives for each nonce in the place of its phantom."""
    return _PHANTOM.sub(lambda found: token_of(found[1]), text)


def _pair(value: bytes) -> str | None:
    """The ``user:password`` of a Basic value; None when it is none, or not in UTF-8."""
    scheme, _, encoded = value.partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        return b64decode(encoded.strip(), validate=True).decode()
    except ValueError:
        return None
