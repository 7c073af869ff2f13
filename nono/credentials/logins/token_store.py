"""Stores the tokens of captured logins on disk, shared by all runs of one user."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Collection, Mapping, Sequence
from posixpath import join

from nono.credentials.logins.phantom import MARK
from nono.credentials.store.private_file import PrivateFile, Stamp
from nono.credentials.values.errors import CredentialUnavailable
from nono.named_tuple import NamedTuple
from nono.paths import state_root
from nono.secret import Secret

TTL_S = 90 * 86400
MAX_TOKENS = 4096  # beyond that the oldest are dropped
_MAX_TEXT_BYTES = 8 * 1024 * 1024  # of all tokens together; again the oldest are dropped
_MAX_FILE_BYTES = 4 * _MAX_TEXT_BYTES
_CLOCK_SLACK_S = 86400  # a token from further in the future was made under a wrong clock


class StoredToken(NamedTuple):
    """The token behind one phantom."""

    real: Secret
    consumers: frozenset[str]  # who may redeem it: `oauth.<provider>`, `proxy.<route>`
    origins: frozenset[str]  # may receive it; empty in files of other versions: only consumers decide
    created_s: int  # since the epoch

    def has_expired(self, now_s: float) -> bool:
        return not -_CLOCK_SLACK_S < now_s - self.created_s < TTL_S


Tokens = dict[str, StoredToken]  # by nonce


class LoginStore:
    """The file ``oauth-capture/providers.json`` below the state root of the user who owns `environ`.

    Every method raises CredentialUnavailable as PrivateFile does, and if the file is malformed. The state
    root is never granted to a sandbox.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        directory = join(state_root(environ), "oauth-capture")
        self._file = PrivateFile(directory, "providers", max_bytes=_MAX_FILE_BYTES)
        self.path = self._file.path

    def stamp(self) -> Stamp | None:
        """Return a value that differs after every change."""
        return self._file.stamp()

    def read(self) -> Tokens:
        """Return everything stored, expired tokens too; empty if nothing ever was."""
        return self._tokens(self._file.read())

    def add(
        self, real: Sequence[Secret], consumers: Collection[str], origins: Collection[str]
    ) -> tuple[list[str], Tokens]:
        """Store tokens; on disk when this returns. Return a nonce for each, and all stored tokens.

        A token that is already stored for the same consumers and origins keeps its nonce, because a refresh
        token often comes again with each access token.
        """
        admitted, where, now_s = frozenset(consumers), frozenset(origins), int(time.time())
        with self._file.locked() as file:
            tokens = {
                nonce: token
                for nonce, token in self._tokens(file.read()).items()
                if not token.has_expired(now_s)
            }
            nonces = []
            for secret in real:
                nonce = _nonce_of(tokens, secret, admitted, where) or f"nono_{secrets.token_hex(32)}"
                tokens.pop(nonce, None)  # to the end: the order breaks the tie of tokens of one second
                tokens[nonce] = StoredToken(secret, admitted, where, now_s)
                nonces.append(nonce)
            tokens = _youngest(tokens)
            file.replace(_written(tokens))
        return nonces, tokens

    def purge(self, consumer: str | None = None) -> int:
        """Remove the tokens that `consumer` may redeem, or all; return how many.

        A malformed file is left alone.
        """
        if not self.read():
            return 0
        with self._file.locked() as file:
            tokens = self._tokens(file.read())
            kept = {
                nonce: token
                for nonce, token in tokens.items()
                if consumer is not None and consumer not in token.consumers
            }
            file.replace(_written(kept))
        return len(tokens) - len(kept)

    def _tokens(self, content: bytes | None) -> Tokens:
        if content is None:
            return {}
        tokens = _parse(content)
        if tokens is None:
            raise CredentialUnavailable(
                f"{self.path}: not a store of captured logins of this version of nono",
                hint="move the file away, then log in again inside the sandbox",
            )
        return tokens


def _nonce_of(
    tokens: Tokens, secret: Secret, consumers: frozenset[str], origins: frozenset[str]
) -> str | None:
    return next(
        (
            nonce
            for nonce, token in tokens.items()
            if (token.consumers, token.origins) == (consumers, origins) and token.real == secret
        ),
        None,
    )


def _youngest(tokens: Tokens) -> Tokens:
    """Return as many of the newest tokens as may be kept, oldest first; the file is written in this order."""
    ordered = sorted(tokens.items(), key=lambda each: each[1].created_s)[-MAX_TOKENS:]
    size, first = 0, len(ordered)
    for _, token in reversed(ordered):
        size += len(token.real.reveal())
        if size > _MAX_TEXT_BYTES:
            break
        first -= 1
    return dict(ordered[first:])


def _written(tokens: Tokens) -> bytes:
    entries = {
        nonce: {
            "real": token.real.reveal(),
            "admitted_consumers": sorted(token.consumers),
            "admitted_origins": sorted(token.origins),
            "created_at_secs": token.created_s,
        }
        for nonce, token in tokens.items()
    }
    return json.dumps({"version": 1, "tokens": entries}, indent=2).encode()


def _parse(content: bytes) -> Tokens | None:
    """Parse the store; None if malformed.

    The parser's exception carries the text, so it must not propagate.
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return None
    match document:
        case {"version": 1, "tokens": dict(entries)}:
            parsed = {nonce: _token(entry) for nonce, entry in entries.items() if MARK.fullmatch(nonce)}
        case _:
            return None
    tokens = {nonce: token for nonce, token in parsed.items() if token is not None}
    return tokens if len(tokens) == len(entries) else None


def _token(entry: object) -> StoredToken | None:
    match entry:
        case {
            "real": str(real),
            "admitted_consumers": list(consumers),
            "created_at_secs": int(created_s),
            **others,
        }:
            origins = others.get("admitted_origins", [])
            if isinstance(origins, list) and all(isinstance(each, str) for each in [*consumers, *origins]):
                return StoredToken(Secret(real), frozenset(consumers), frozenset(origins), created_s)
    return None
