"""Read credentials from Bitwarden with its command line `bw`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from nono.credentials.sources.manager import Manager, ask, locked
from nono.credentials.values.content import secret_from_text
from nono.credentials.values.errors import CredentialNotFound, CredentialUnavailable
from nono.credentials.values.reference import BitwardenReference
from nono.secret import Secret

_BW = Manager(
    program="bw",
    variables=("BW_SESSION", "BITWARDENCLI_APPDATA_DIR"),
    locked=re.compile(
        r"not authenticated|you are not logged in|session has expired|vault is locked|master password"
        r"|ERR_USE_AFTER_CLOSE",
        re.IGNORECASE,
    ),
    absent=re.compile(r"not found|could not find|couldn't find", re.IGNORECASE),
    install_hint="install Bitwarden CLI: https://bitwarden.com/help/cli/",
    unlock_hint="run: export BW_SESSION=$(bw unlock --raw), then start nono again",
)


def read(reference: BitwardenReference, environ: Mapping[str, str]) -> Secret:
    """Return the password, or the field that the reference names.

    password, username, totp (the key that codes are made from), notes and uri (the first) are the item's own;
    only other names are looked up among its custom fields, case-sensitively. Raises like manager.ask() and
    secret_from_text().
    """
    shown = reference.redacted()
    what = "password" if reference.field is None else "item"
    printed = ask(_BW, ["get", what, "--", reference.item], shown, environ).reveal()
    if not printed.strip():
        # A locked vault whose prompt has no terminal: bw prints a blank line and reports success.
        raise locked(_BW, shown)
    if reference.field is None:
        return secret_from_text(printed.rstrip("\r\n"), shown)
    item = _parse(printed)
    if not isinstance(item, dict):
        raise CredentialUnavailable(f"{shown}: bw printed no item in JSON")
    value = _field(item, reference.field)
    if not isinstance(value, str):
        raise CredentialNotFound(f"{shown}: the item has no such field")
    return secret_from_text(value, shown)


def _parse(printed: str) -> object:
    """Parse JSON; None if malformed. The decoder's error would carry the text, so it must not propagate."""
    try:
        return json.loads(printed)
    except (ValueError, RecursionError):
        return None


def _field(item: dict[str, object], name: str) -> object:
    login = item.get("login")
    login = login if isinstance(login, dict) else {}
    match name:
        case "password" | "username" | "totp":
            return login.get(name)
        case "notes":
            return item.get("notes")
        case "uri":
            uris = login.get("uris")
            first = uris[0] if isinstance(uris, list) and uris else None
            return first.get("uri") if isinstance(first, dict) else None
    fields = item.get("fields")
    custom = [each for each in fields if isinstance(each, dict)] if isinstance(fields, list) else []
    return next((each.get("value") for each in custom if each.get("name") == name), None)
