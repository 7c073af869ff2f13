"""Keep credentials in one file that only its owner can read, encrypted where something can protect a key."""

from __future__ import annotations

from collections.abc import Mapping

from nono.credentials.store.locks import AskNew
from nono.credentials.store.private_file import PrivateFile
from nono.credentials.store.sealed import Key, SealedFile, new_key
from nono.credentials.values.content import require_credential, secret_from_text
from nono.credentials.values.errors import CredentialUnavailable
from nono.credentials.values.reference import check_name
from nono.named_tuple import NamedTuple
from nono.paths import state_root
from nono.secret import Secret

_MAX_BYTES = 4 * 1024 * 1024

_Entries = dict[str, str]


class _Opened(NamedTuple):
    entries: _Entries
    key: Key | None  # None: it is plain text


class Vault:
    """The store of the user who owns `environ`. Keeps nothing open and caches nothing.

    Every method raises CredentialUnavailable if another user could have read or written the directory or the
    file, if it is malformed, or if its key is not available: such a file is neither trusted nor overwritten.
    The directory is below the state root, which is never granted to a sandbox. The person at the terminal may
    be asked for a passphrase.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._file = PrivateFile(state_root(environ), "credentials", max_bytes=_MAX_BYTES)
        self.path = self._file.path
        self._sealed = SealedFile(self.path, "credentials", environ)

    def get(self, name: str) -> Secret | None:
        """Return the credential, or None if nothing is stored under `name`."""
        value = self._opened(self._file.read()).entries.get(check_name(name))
        return None if value is None else secret_from_text(value, f"credential '{name}'")

    def names(self, *, may_ask: bool = True) -> tuple[str, ...]:
        """Return the stored names, sorted."""
        return tuple(sorted(self._opened(self._file.read(), may_ask=may_ask).entries))

    def key(self, *, may_ask: bool) -> Key | None:
        """Return the key of the store; None if it is plain text or missing."""
        return self._opened(self._file.read(), may_ask=may_ask).key

    def set(self, name: str, secret: Secret, ask: AskNew | None = None) -> str | None:
        """Store or replace a credential; on disk when this returns. Returns what protects the store's key.

        None: nothing does, and the store is plain text. It is encrypted as soon as something can protect its
        key.

        ask: Asks for a new passphrase if nothing else can protect the key; None if nobody is there.

        Raises as require_credential() does too.
        """
        check_name(name)
        require_credential(secret, f"credential '{name}'")
        # Outside the lock, because a person may be asked while others wait for it.
        before = self._opened(self._file.read())
        key = before.key or new_key(self._environ, ask)
        with self._file.locked() as file:
            now = self._opened(file.read(), before.key or key)
            key = now.key or key
            file.replace(self._written(now.entries | {name: secret.reveal()}, key))
        return key.lock.kind if key is not None else None

    def remove(self, name: str) -> bool:
        """Remove a credential. Returns False if there was none."""
        check_name(name)
        before = self._opened(self._file.read())
        if name not in before.entries:
            return False
        with self._file.locked() as file:
            now = self._opened(file.read(), before.key)
            removed = now.entries.pop(name, None) is not None
            file.replace(self._written(now.entries, now.key))
        return removed

    def _opened(self, content: bytes | None, known: Key | None = None, *, may_ask: bool = True) -> _Opened:
        """Parse the store, decrypting it if needed. `known`: The key that it had a moment ago."""
        if content is None:
            return _Opened({}, None)
        document, key = self._sealed.opened(content, known, may_ask=may_ask)
        entries = _entries(document)
        if entries is None:
            raise CredentialUnavailable(
                f"{self.path}: not a credential store of this version of nono",
                hint="move the file away, then store the credentials again with: nono credential set NAME",
            )
        return _Opened(entries, key)

    def _written(self, entries: _Entries, key: Key | None) -> bytes:
        return self._sealed.written({"version": 1, "credentials": entries}, key, sort_keys=True)


def _entries(document: Mapping[str, object]) -> _Entries | None:
    match document:
        case {"version": 1, "credentials": dict(entries)} if all(
            isinstance(v, str) for v in entries.values()
        ):
            return entries
    return None
