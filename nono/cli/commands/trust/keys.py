"""`nono trust keygen` and `nono trust export-key`: make a key, and print its public half."""

from __future__ import annotations

import argparse
import sys
from base64 import b64encode
from collections.abc import Mapping

from nono.cli.key_prompt import new_passphrase
from nono.credentials.resolver import SYSTEM_KEYRING
from nono.credentials.signing import keystore


def reference(parsed: argparse.Namespace) -> str:
    """Return the reference of the requested key."""
    asked: str | None = parsed.keyref or parsed.key
    return asked or keystore.DEFAULT


def generate(key: str, environ: Mapping[str, str], *, replaces: bool) -> int:
    ask = new_passphrase if sys.stdin.isatty() else None
    public, where = keystore.generate(key, environ, replaces=replaces, ask=ask)
    place = f"the {where}" if where == SYSTEM_KEYRING else where
    print(f"Made the key '{key}' in {place}.")
    print(f"Fingerprint: {public.fingerprint}")
    return 0


def export(key: str, environ: Mapping[str, str], *, as_pem: bool) -> int:
    public = keystore.public_half(key, environ)
    print(public.pem.decode().strip() if as_pem else b64encode(public.der).decode())
    return 0
