"""Build the Proxy-Authorization field for an upstream proxy (RFC 7617)."""

from __future__ import annotations

from base64 import b64encode

from nono.credentials.values.content import text_problem
from nono.credentials.values.credential import Header
from nono.credentials.values.errors import CredentialUnavailable
from nono.secret import Secret


class ProxyAuthorization:
    """Basic authentication from a ``user:password``.

    Raises CredentialUnavailable if the value has another form.
    """

    __slots__ = ("secret",)

    def __init__(self, secret: Secret) -> None:
        self.secret = secret
        problem = text_problem(secret.reveal())
        if problem is None and ":" not in secret.reveal():
            problem = "the value is not of the form user:password"
        if problem is not None:
            raise CredentialUnavailable(problem, hint="store the credential again")

    def field(self) -> Header:
        """Return the field, for the head of a CONNECT and nowhere else."""
        return b"Proxy-Authorization", b"Basic " + b64encode(self.secret.reveal().encode())
