"""Keep the tokens of captured logins in a file that all runs of one user share."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from posixpath import join

from nono.credentials.logins.stored import (
    MAX_TEXT_BYTES,
    Stored,
    StoredLogin,
    StoredToken,
    Tokens,
    document_of,
    parsed,
    pruned,
    youngest,
)
from nono.credentials.store.private_file import PrivateFile, Stamp
from nono.credentials.store.sealed import Key, SealedFile, new_key
from nono.credentials.store.vault import Vault
from nono.credentials.values.errors import CredentialUnavailable
from nono.named_tuple import NamedTuple
from nono.paths import state_root
from nono.secret import Secret

_ROOM_BYTES = 64 * 1024  # by which one answer of a provider may lengthen the file
_MAX_FILE_BYTES = 6 * MAX_TEXT_BYTES  # base64 if it is encrypted


class Granted(NamedTuple):
    """The tokens that an endpoint granted to one login."""

    login: str | None  # None: a new login, unless one of its tokens is known
    fields: Sequence[str]  # of the response, one for each token
    answer: Callable[[Sequence[str]], str]  # builds the response from nonces in the order of the tokens
    expires_s: int | None
    spare: str | None = None  # the name given to LoginStore.room(), which is held meanwhile


class LoginStore:
    """The file ``oauth-capture/providers.json`` below the state root of the user who owns `environ`.

    Every method raises CredentialUnavailable like PrivateFile, and if the file is malformed or its key is not
    available. The state root is never granted to a sandbox. The file is encrypted by systemd-creds, or else
    with the key of the embedded store if that has a passphrase; a plain-text file is encrypted when it is
    next written with one of the two available. The person at the terminal may be asked for the passphrase,
    unless `may_ask` is False.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.directory = join(state_root(environ), "oauth-capture")
        self._environ = environ
        self._file = PrivateFile(self.directory, "providers", max_bytes=_MAX_FILE_BYTES)
        self.path = self._file.path
        self._sealed = SealedFile(self.path, "logins", environ)
        self._key: Key | None = None  # the key used when the file was last read or written

    @property
    def lock(self) -> str | None:
        """The kind of lock on the file's key when it was last read or written; None: it is plain text."""
        return None if self._key is None else self._key.lock.kind

    def stamp(self) -> Stamp | None:
        """Return a value that differs after every change."""
        return self._file.stamp()

    def read(self) -> Tokens:
        """Return all stored tokens, expired ones too."""
        return self.read_all().tokens

    def read_all(self, *, may_ask: bool = True) -> Stored:
        """Return everything. Blocks; call it from a thread where a loop runs."""
        stored, self._key = self._opened(self._file.read(), self._key, may_ask=may_ask)
        return stored

    def add(
        self,
        real: Sequence[Secret],
        consumers: Collection[str],
        origins: Collection[str],
        granted: Granted | None = None,
        *,
        may_ask: bool = True,
    ) -> tuple[list[str], Stored]:
        """Store tokens; on disk when this returns. Return a nonce for each, and everything stored.

        granted: The login they belong to. Its fields keep their nonces, so that one renewal reaches all runs
          that hold them. Without it, a token that is already stored for the same consumers and origins keeps
          its nonce.
        """
        admitted, where, now_s = frozenset(consumers), frozenset(origins), int(time.time())
        # Outside the lock, because a person may be asked while others wait for it.
        _, key = self._opened(self._file.read(), self._key, may_ask=may_ask)
        key = key or self._new_key(may_ask=may_ask)
        with self._file.locked() as file:
            stored, now = self._opened(file.read(), key, may_ask=may_ask)
            key = now or key
            tokens = {nonce: token for nonce, token in stored.tokens.items() if not token.has_expired(now_s)}
            login = ""
            if granted is not None:
                known = [each for token in real if (each := _login_with(tokens, token, admitted, where))]
                login = granted.login or next(iter(known), os.urandom(8).hex())
            for nonce in [nonce for nonce, token in tokens.items() if login and token.login == login]:
                # A refresh token that was not sent again stays valid. Move it to the end, because the order
                # decides between tokens of the same second.
                tokens[nonce] = tokens.pop(nonce)._replace(created_s=now_s)
            nonces = []
            for position, secret in enumerate(real):
                field = granted.fields[position] if granted is not None else ""
                nonces.append(_put(tokens, StoredToken(secret, admitted, where, now_s, login, field)))
            logins = dict(stored.logins)
            if granted is not None:
                logins[login] = StoredLogin(granted.answer(nonces), now_s, granted.expires_s)
            stored = pruned(Stored(youngest(tokens), logins))
            spare = None if granted is None else granted.spare
            file.replace(self._sealed.written(document_of(stored), key), spare)
        self._key = key
        return nonces, stored

    def room(self, spare: str) -> AbstractContextManager[None]:
        """Hold room on the disk for the next add(). `spare`: The name of a file beside the store.

        Raises CredentialUnavailable if there is no room.
        """
        return self._file.room(spare, _ROOM_BYTES)

    def purge(self, consumer: str | None = None) -> int:
        """Remove the tokens that `consumer` may redeem, or all; return how many.

        A malformed file is left alone.
        """
        return self._remove(lambda token: consumer is None or consumer in token.consumers, may_ask=True)

    def forget(self, login: str) -> int:
        """Remove the tokens of one login; return how many. Nobody is asked."""
        return self._remove(lambda token: token.login == login, may_ask=False)

    def _remove(self, is_removed: Callable[[StoredToken], bool], *, may_ask: bool) -> int:
        if not self.read_all(may_ask=may_ask).tokens:
            return 0
        with self._file.locked() as file:
            stored, key = self._opened(file.read(), self._key, may_ask=may_ask)
            kept = {nonce: token for nonce, token in stored.tokens.items() if not is_removed(token)}
            document = document_of(pruned(stored._replace(tokens=kept)))
            file.replace(self._sealed.written(document, key))
        return len(stored.tokens) - len(kept)

    def _new_key(self, *, may_ask: bool) -> Key | None:
        """Return a key for a file that has none; None if nothing can protect one."""
        key = new_key(self._environ, None)
        if key is not None:
            return key
        try:
            return Vault(self._environ).key(may_ask=may_ask)
        except CredentialUnavailable:
            if may_ask:
                raise
            return None  # a login made inside must not be lost; the next import encrypts it

    def _opened(
        self, content: bytes | None, known: Key | None, *, may_ask: bool = True
    ) -> tuple[Stored, Key | None]:
        """Return the content of the file, and its key; None: it is plain text, or missing."""
        if content is None:
            return Stored({}, {}), None
        document, key = self._sealed.opened(content, known, may_ask=may_ask)
        stored = parsed(document)
        if stored is None:
            raise CredentialUnavailable(
                f"{self.path}: not a store of captured logins of this version of nono",
                hint="move the file away, then log in again inside the sandbox",
            )
        return stored, key


def _put(tokens: dict[str, StoredToken], new: StoredToken) -> str:
    """Add a token as the youngest, in place of the one that it is or replaces. Returns its nonce."""
    nonce = _nonce_of(tokens, new) or f"nono_{os.urandom(32).hex()}"
    tokens.pop(nonce, None)
    tokens[nonce] = new
    return nonce


def _nonce_of(tokens: Tokens, new: StoredToken) -> str | None:
    """Return the nonce of the token that `new` is or replaces, or None."""
    for nonce, token in tokens.items():
        if (token.consumers, token.origins, token.login) != (new.consumers, new.origins, new.login):
            continue
        if token.field == new.field if new.login else token.real == new.real:
            return nonce
    return None


def _login_with(
    tokens: Tokens, secret: Secret, consumers: frozenset[str], origins: frozenset[str]
) -> str | None:
    """Return the login that already has the token, or None."""
    for token in tokens.values():
        if (token.consumers, token.origins) == (consumers, origins) and token.real == secret:
            return token.login or None
    return None
