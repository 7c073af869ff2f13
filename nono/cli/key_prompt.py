"""Ask the person for a key that was not found anywhere, and offer to store it."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from nono.approval.ask import confirm
from nono.credentials import resolver
from nono.credentials.resolver import Place
from nono.credentials.store.locks import SYSTEMD_CREDS
from nono.credentials.values.content import require_credential
from nono.errors import CredentialError
from nono.secret import Secret
from nono.typed.hidden import read_hidden


class TerminalKeyPrompt:
    """Ask at the controlling terminal. What is typed is not shown."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def may_use(self, service: str, variable: str) -> bool:
        """Ask to use the key in a variable of nono's own environment."""
        lines = (f"  Use the key in {variable} for {service}? The command will not see it.",)
        return confirm(lines, "  [y/N] ", is_pristine=True)

    def key(self, service: str) -> Secret | None:
        """Ask for the key and offer to store it; None for an empty answer."""
        try:
            text = read_hidden(f"  Key for {service} (not shown; Enter: none): ").strip()
        except EOFError:
            return None
        if not text:
            return None
        secret = Secret(text)
        require_credential(secret, f"the key for {service}")
        lines = (f"  Store it for later runs, as `nono credential set {service}` would?",)
        if confirm(lines, "  [y/N] ", is_pristine=True):
            place = resolver.save(service, secret, self._environ, new_passphrase)
            print(f"  Stored in {place.where}{how_kept(place)}.", file=sys.stderr, flush=True)
        return secret


def new_passphrase() -> Secret | None:
    """Ask twice for the passphrase of a new store. Returns None for an empty one.

    Raises CredentialError if the terminal is closed, or by Ctrl-D.
    """
    _tell("  Nothing here can hold a key for nono's credentials: no keyring answers,")
    _tell("  nor does systemd-creds.")
    try:
        while True:
            typed = read_hidden("  Passphrase to encrypt them with (not shown; Enter: plain text): ")
            if not typed:
                return None
            if read_hidden("  The same again: ") == typed:
                return Secret(typed)
            _tell("  These two differ.")
    except EOFError:
        raise CredentialError("no passphrase was typed; nothing was stored") from None


def _tell(line: str) -> None:
    """Print to stderr: stdout may be the command's, and redirected."""
    print(line, file=sys.stderr, flush=True)


def how_kept(place: Place) -> str:
    """Say how the embedded store is protected; empty for the keyring."""
    if place.where == resolver.SYSTEM_KEYRING:
        return ""
    if place.lock is None:
        return ", as plain text"
    return ", encrypted " + ("by systemd-creds" if place.lock == SYSTEMD_CREDS else "with your passphrase")
