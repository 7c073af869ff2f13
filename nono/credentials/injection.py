"""A credential in the form of the header that carries it upstream."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nono.credentials.content import text_problem
from nono.credentials.errors import CredentialUnavailable
from nono.errors import CredentialError
from nono.secret import Secret

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)  # RFC 9110 section 5.6.2

# These decide where a message goes and where it ends; RFC 9110 sections 7.2 and 7.6.1, RFC 9112 section 6.
_NEVER_INJECTED = frozenset(
    {"host", "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
    | {"content-length", "expect"}
)


@dataclass(frozen=True, slots=True)
class HeaderCredential:
    """One header field with the secret in it; sound from the moment it exists.

    CredentialError: the header's name or the format is wrong, wherever it was configured.
    CredentialUnavailable: the secret cannot stand in a header (RFC 9110 section 5.5).
    """

    header: str
    format: str  # exactly one `{}` stands for the secret
    secret: Secret

    def __post_init__(self) -> None:
        if not _TOKEN.fullmatch(self.header):
            raise CredentialError(f"inject_header {self.header!r} is no name of a header")
        if self.header.lower() in _NEVER_INJECTED:
            raise CredentialError(f"inject_header {self.header!r}: this header steers the connection")
        if self.format.count("{}") != 1:
            raise CredentialError("credential_format must contain '{}' once, where the credential goes")
        problem = _field_problem(self.format.replace("{}", "x"))
        if problem is not None:
            raise CredentialError(f"credential_format: {problem}")
        problem = _field_problem(self.secret.reveal())
        if problem is not None:
            raise CredentialUnavailable(f"header {self.header}: {problem}", hint="store the credential again")

    def value(self) -> bytes:
        """The field value with the secret in it, for the upstream connection and nothing else."""
        return self.format.replace("{}", self.secret.reveal()).encode("latin-1")


def _field_problem(text: str) -> str | None:
    """Why text cannot be part of a field value, in words that do not contain it."""
    if not text:
        return "the value is empty"
    if (problem := text_problem(text)) is not None:
        return problem
    if text != text.strip():
        return "the value has blanks around it, which a recipient would strip"
    if not all(ord(character) < 256 for character in text):
        return "the value has characters that a header cannot carry"
    return None
