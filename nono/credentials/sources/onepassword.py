"""Read credentials from 1Password with its command line `op`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from nono.credentials.sources.manager import Manager, ask
from nono.credentials.values.content import secret_from_text
from nono.credentials.values.reference import OnePasswordReference
from nono.secret import Secret

_OP = Manager(
    program="op",
    variables=("OP_",),
    locked=re.compile(
        r"not (currently )?signed in|sign(ing)? in|authentication required|session expired", re.IGNORECASE
    ),
    absent=re.compile(r"not found|could not find|couldn't find|isn't an? (item|vault)", re.IGNORECASE),
    install_hint="install 1Password CLI: https://developer.1password.com/docs/cli/get-started/",
    unlock_hint="run: eval $(op signin), then start nono again",
)


def read(reference: OnePasswordReference, environ: Mapping[str, str]) -> Secret:
    """Return the field without trailing line ends. Raises like manager.ask() and secret_from_text()."""
    shown = reference.redacted()
    printed = ask(_OP, ["read", "--", f"op://{reference.path}"], shown, environ)
    return secret_from_text(printed.reveal().rstrip("\r\n"), shown)
