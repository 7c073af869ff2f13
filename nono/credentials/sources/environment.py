"""Read credentials from variables of the environment that nono was started with."""

from __future__ import annotations

from collections.abc import Mapping

from nono.credentials.values.content import secret_from_text
from nono.credentials.values.errors import CredentialNotFound
from nono.credentials.values.reference import EnvironmentReference
from nono.secret import Secret


def read(reference: EnvironmentReference, environ: Mapping[str, str]) -> Secret:
    """Return the value of the variable.

    Raises CredentialNotFound if it is unset or empty, CredentialUnavailable if it is not one line of text.
    """
    value = environ.get(reference.name, "")
    if not value:
        raise CredentialNotFound(
            f"{reference.redacted()}: the variable is not set",
            hint=f"export {reference.name}=... in the shell that starts nono",
        )
    return secret_from_text(value, reference.redacted())
