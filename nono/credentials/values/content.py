"""Check that text from a source can be a credential at all, without ever quoting it."""

from __future__ import annotations

import base64
import binascii
from unicodedata import category

from nono.credentials.values.errors import CredentialNotFound, CredentialUnavailable
from nono.secret import Secret

MAX_SECRET_BYTES = 64 * 1024

_GO_KEYRING_PREFIX = "go-keyring-base64:"


def secret_from_bytes(content: bytes, shown: str) -> Secret:
    """Make a Secret of the content of a file or pipe, without its one trailing line end.

    shown: the redacted reference, for messages. Raises as secret_from_text does.
    """
    if len(content) > MAX_SECRET_BYTES:
        raise _too_long(shown)
    # Decoded with surrogates and checked afterwards: a UnicodeDecodeError carries the content itself.
    text = content.decode("utf-8", "surrogateescape")
    if text.endswith("\n"):
        text = text[:-2] if text.endswith("\r\n") else text[:-1]
    return secret_from_text(text, shown)


def secret_from_text(text: str, shown: str) -> Secret:
    """Make a Secret of `text`.

    Raises CredentialNotFound if it is empty, CredentialUnavailable if it cannot be a credential.
    """
    secret = Secret(text)
    require_credential(secret, shown)
    return secret


def require_credential(secret: Secret, shown: str) -> None:
    """Check a secret.

    Raises CredentialNotFound if it is empty, CredentialUnavailable if it cannot be a credential.
    """
    if not secret.reveal():
        raise CredentialNotFound(f"{shown}: it exists, and is empty")
    if len(secret.reveal()) > MAX_SECRET_BYTES:  # before its characters are looked at one by one
        raise _too_long(shown)
    problem = text_problem(secret.reveal())
    if problem is not None:
        raise CredentialUnavailable(
            f"{shown}: {problem}", hint="a credential is one line of text; store it again"
        )


def _too_long(shown: str) -> CredentialUnavailable:
    return CredentialUnavailable(
        f"{shown}: longer than {MAX_SECRET_BYTES // 1024} KiB, which no credential is"
    )


def text_problem(text: str) -> str | None:
    """Return why `text` cannot be a credential, without quoting it; None if it can."""
    if any(category(character) == "Cs" for character in text):
        return "the value is not UTF-8 text"
    if any(category(character) == "Cc" for character in text):
        return "the value contains control characters"
    return None


def decode_go_keyring(text: str, shown: str) -> Secret:
    """Decode an entry that a Go program such as gh wrote. Raises as secret_from_text does."""
    if not text.startswith(_GO_KEYRING_PREFIX):
        raise CredentialUnavailable(
            f"{shown}: the entry does not start with '{_GO_KEYRING_PREFIX}'",
            hint="leave out ?decode=go-keyring for an entry that holds the value itself",
        )
    content = _base64(text.removeprefix(_GO_KEYRING_PREFIX))
    if content is None:
        raise CredentialUnavailable(f"{shown}: what follows '{_GO_KEYRING_PREFIX}' is not base64")
    return secret_from_bytes(content, shown)


def _base64(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
