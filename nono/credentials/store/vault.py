"""Keeps credentials in one file that only its owner can read, for hosts without a keyring daemon."""

from __future__ import annotations

import json
from collections.abc import Mapping

from nono.credentials.store.private_file import PrivateFile
from nono.credentials.values.content import require_credential, secret_from_text
from nono.credentials.values.errors import CredentialUnavailable
from nono.credentials.values.reference import check_name
from nono.paths import state_root
from nono.secret import Secret

_MAX_BYTES = 4 * 1024 * 1024

_Entries = dict[str, str]


class Vault:
    """The store of the user who owns `environ`. Keeps nothing open and caches nothing.

    Every method raises CredentialUnavailable if another user could have read or written the directory or the
    file, or if it is malformed: such a file is neither trusted nor overwritten. The directory is below the
    state root, which is never granted to a sandbox.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._file = PrivateFile(state_root(environ), "credentials", max_bytes=_MAX_BYTES)
        self.path = self._file.path

    def get(self, name: str) -> Secret | None:
        """Return the credential, or None if nothing is stored under `name`."""
        value = self._entries(self._file.read()).get(check_name(name))
        return None if value is None else secret_from_text(value, f"credential '{name}'")

    def names(self) -> tuple[str, ...]:
        """Return the stored names, sorted."""
        return tuple(sorted(self._entries(self._file.read())))

    def set(self, name: str, secret: Secret) -> None:
        """Store or replace a credential; on disk when this returns.

        Also raises as require_credential does.
        """
        check_name(name)
        require_credential(secret, f"credential '{name}'")
        with self._file.locked() as file:
            file.replace(_written(self._entries(file.read()) | {name: secret.reveal()}))

    def remove(self, name: str) -> bool:
        """Remove a credential. Returns False if there was none."""
        check_name(name)
        if name not in self._entries(self._file.read()):
            return False
        with self._file.locked() as file:
            entries = self._entries(file.read())
            removed = entries.pop(name, None) is not None
            file.replace(_written(entries))
        return removed

    def _entries(self, content: bytes | None) -> _Entries:
        if content is None:
            return {}
        entries = _parse(content)
        if entries is None:
            raise CredentialUnavailable(
                f"{self.path}: not a credential store of this version of nono",
                hint="move the file away, then store the credentials again with: nono credential set NAME",
            )
        return entries


def _written(entries: _Entries) -> bytes:
    return json.dumps({"version": 1, "credentials": entries}, indent=2, sort_keys=True).encode()


def _parse(content: bytes) -> _Entries | None:
    """Parse the store; None if malformed.

    The parser's exception carries the text, so it must not propagate.
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return None
    match document:
        case {"version": 1, "credentials": dict(entries)} if all(
            isinstance(v, str) for v in entries.values()
        ):
            return entries
    return None
