"""Read credentials from the embedded store."""

from __future__ import annotations

from collections.abc import Mapping

from nono.credentials.store.vault import Vault
from nono.credentials.values.errors import CredentialNotFound
from nono.credentials.values.reference import StoredReference
from nono.printable import shell_word
from nono.secret import Secret


def read(reference: StoredReference, environ: Mapping[str, str]) -> Secret:
    """Return the stored value.

    Raises CredentialNotFound if it is not stored, CredentialUnavailable if the file is not trusted.
    """
    secret = Vault(environ).get(reference.name)
    if secret is None:
        raise CredentialNotFound(
            f"credential '{reference.name}' is not stored",
            hint=f"nono credential set {shell_word(reference.name)}",
        )
    return secret
