"""Read the token of a login that gh(1), GitHub's command line, keeps in its file or in the keyring."""

from __future__ import annotations

import re
from collections.abc import Mapping

from nono.credentials.sources.manager import Manager, ask
from nono.credentials.values.content import secret_from_text
from nono.secret import Secret

HOST, SERVICE = "github.com", "github"
_GH = Manager(
    program="gh",
    variables=("GH_CONFIG_DIR",),  # not GH_TOKEN, which is not a login
    locked=re.compile(r"keyring|secret service|is locked", re.IGNORECASE),
    absent=re.compile(r"no oauth token|not logged in", re.IGNORECASE),
    install_hint="install gh: https://cli.github.com/",
    unlock_hint="gh auth status, in a terminal, says what is wrong",
)


def login_token(environ: Mapping[str, str]) -> Secret:
    """Return the token of gh's login at github.com. Raises like manager.ask() and secret_from_text()."""
    shown = f"the login of gh at {HOST}"
    printed = ask(_GH, ["auth", "token", "--hostname", HOST], shown, environ).reveal()
    return secret_from_text(printed.removesuffix("\n"), shown)
