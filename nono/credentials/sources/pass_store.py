"""Read credentials from the password store of pass(1), the standard Unix password manager."""

from __future__ import annotations

import re
from collections.abc import Mapping

from nono.credentials.sources.manager import Manager, ask
from nono.credentials.values.content import secret_from_text
from nono.credentials.values.errors import CredentialNotFound
from nono.credentials.values.reference import PassReference
from nono.secret import Secret

_PASS = Manager(
    program="pass",
    variables=("PASSWORD_STORE_",),
    locked=re.compile(
        r"decryption failed|no secret key|no pinentry|pinentry|operation cancell?ed|bad passphrase"
        r"|inappropriate ioctl",
        re.IGNORECASE,
    ),
    absent=re.compile(r"is not in the password store", re.IGNORECASE),
    install_hint="install pass: https://www.passwordstore.org/",
    unlock_hint="run `pass show` on the entry in a terminal, so that gpg-agent knows the passphrase",
)


def read(reference: PassReference, environ: Mapping[str, str]) -> Secret:
    """Return the first line of the entry; by the convention of pass(1) the rest are notes.

    Raises like manager.ask() and secret_from_text().
    """
    shown = reference.redacted()
    printed = ask(_PASS, ["show", "--", reference.entry], shown, environ).reveal()
    first = printed.partition("\n")[0].removesuffix("\r")
    if first == reference.entry:
        # For a folder, pass lists the entries below the folder's name, and reports success.
        raise CredentialNotFound(f"{shown}: it is a folder of the password store, not an entry")
    return secret_from_text(first, shown)
