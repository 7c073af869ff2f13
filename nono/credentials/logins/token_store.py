"""Store the tokens of captured logins on disk, shared by all runs of one user."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from posixpath import join

from nono.credentials.logins.phantom import MARK
from nono.credentials.store.private_file import PrivateFile, Stamp
from nono.credentials.store.sealed import Key, SealedFile, new_key
from nono.credentials.store.vault import Vault
from nono.credentials.values.errors import CredentialUnavailable
from nono.named_tuple import NamedTuple
from nono.paths import state_root
from nono.secret import Secret

TTL_S = 90 * 86400
MAX_TOKENS = 4096  # beyond that the oldest are dropped
_MAX_TEXT_BYTES = 8 * 1024 * 1024  # of all tokens together; again the oldest are dropped
_MAX_FILE_BYTES = 6 * _MAX_TEXT_BYTES  # base64 if it is encrypted
_CLOCK_SLACK_S = 86400  # a token created further in the future was stored under a wrong clock


class StoredToken(NamedTuple):
    """The token behind one phantom."""

    real: Secret
    consumers: frozenset[str]  # who may redeem it: `oauth.<provider>`, `proxy.<route>`
    origins: frozenset[str]  # may receive it; empty in files of other versions: only consumers decide
    created_s: int  # since the epoch; of a login, when it was last renewed
    login: str = ""  # the login it belongs to; empty in files of other versions
    field: str = ""  # the field of the provider's response: names joined by dots

    def has_expired(self, now_s: float) -> bool:
        return not -_CLOCK_SLACK_S < now_s - self.created_s < TTL_S


Tokens = dict[str, StoredToken]  # by nonce


class StoredLogin(NamedTuple):
    """The last response of a token endpoint, which answers every run that asks before it expires."""

    answer: str  # JSON, with phantoms
    renewed_s: int  # since the epoch, as is expires_s
    expires_s: int | None  # when the access token expires; None: the provider did not say


Logins = dict[str, StoredLogin]  # by the name in StoredToken.login


class Stored(NamedTuple):
    """Everything in the file."""

    tokens: Tokens
    logins: Logins


class Granted(NamedTuple):
    """The tokens that an endpoint granted to one login."""

    login: str | None  # None: a new login, unless one of its tokens is known
    fields: Sequence[str]  # of the response, one for each token
    answer: Callable[[Sequence[str]], str]  # builds the response from nonces in the order of the tokens
    expires_s: int | None


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
                token = StoredToken(secret, admitted, where, now_s, login, field)
                nonce = _nonce_of(tokens, token) or f"nono_{os.urandom(32).hex()}"
                tokens.pop(nonce, None)
                tokens[nonce] = token
                nonces.append(nonce)
            logins = dict(stored.logins)
            if granted is not None:
                logins[login] = StoredLogin(granted.answer(nonces), now_s, granted.expires_s)
            stored = _pruned(Stored(_youngest(tokens), logins))
            file.replace(self._sealed.written(_document(stored), key))
        self._key = key
        return nonces, stored

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
            document = _document(_pruned(stored._replace(tokens=kept)))
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
        stored = _parse(document)
        if stored is None:
            raise CredentialUnavailable(
                f"{self.path}: not a store of captured logins of this version of nono",
                hint="move the file away, then log in again inside the sandbox",
            )
        return stored, key


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


def _pruned(stored: Stored) -> Stored:
    """Return the content without logins that have lost their last token."""
    alive = {token.login for token in stored.tokens.values()}
    return stored._replace(logins={name: each for name, each in stored.logins.items() if name in alive})


def _youngest(tokens: Tokens) -> Tokens:
    """Return the newest tokens up to the limit, oldest first, which is the file's order."""
    ordered = sorted(tokens.items(), key=lambda each: each[1].created_s)[-MAX_TOKENS:]
    size, first = 0, len(ordered)
    for _, token in reversed(ordered):
        size += len(token.real.reveal())
        if size > _MAX_TEXT_BYTES:
            break
        first -= 1
    return dict(ordered[first:])


def _document(stored: Stored) -> dict[str, object]:
    entries = {
        nonce: {
            "real": token.real.reveal(),
            "admitted_consumers": sorted(token.consumers),
            "admitted_origins": sorted(token.origins),
            "created_at_secs": token.created_s,
            **({"login": token.login, "field": token.field} if token.login else {}),
        }
        for nonce, token in stored.tokens.items()
    }
    logins = {
        name: {
            "answer": login.answer,
            "renewed_at_secs": login.renewed_s,
            "expires_at_secs": login.expires_s,
        }
        for name, login in stored.logins.items()
    }
    return {"version": 1, "tokens": entries, **({"logins": logins} if logins else {})}


def _parse(document: Mapping[str, object]) -> Stored | None:
    """Parse the store; None if malformed."""
    match document:
        case {"version": 1, "tokens": dict(entries), **others}:
            parsed = {nonce: _token(entry) for nonce, entry in entries.items() if MARK.fullmatch(nonce)}
            logins = others.get("logins", {})
        case _:
            return None
    tokens = {nonce: token for nonce, token in parsed.items() if token is not None}
    if len(tokens) != len(entries) or not isinstance(logins, dict):
        return None
    found = {name: _login(entry) for name, entry in logins.items()}
    return Stored(tokens, {name: login for name, login in found.items() if login is not None})


def _token(entry: object) -> StoredToken | None:
    match entry:
        case {
            "real": str(real),
            "admitted_consumers": list(consumers),
            "created_at_secs": int(created_s),
            **others,
        }:
            origins = others.get("admitted_origins", [])
            if not isinstance(origins, list) or not _are_texts([*consumers, *origins]):
                return None
            token = StoredToken(Secret(real), frozenset(consumers), frozenset(origins), created_s)
            match others:
                case {"login": str(login), "field": str(field)}:
                    return token._replace(login=login, field=field)
            return token
    return None


def _are_texts(values: list[object]) -> bool:
    return all(isinstance(each, str) for each in values)


def _login(entry: object) -> StoredLogin | None:
    match entry:
        case {
            "answer": str(answer),
            "renewed_at_secs": int(renewed_s),
            "expires_at_secs": int() | None as expires_s,
        }:
            return StoredLogin(answer, renewed_s, expires_s)
    return None
