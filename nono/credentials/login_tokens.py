"""The tokens of captured logins in one run: redeemed where they are admitted, stored when a login gives new ones."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import anyio

from nono.credentials.credential import Header, LeakWatcher, Outgoing, RequestFacts
from nono.credentials.errors import CredentialUnavailable
from nono.credentials.injection import HeadersInjection
from nono.credentials.leak import leak_watcher
from nono.credentials.login_answer import Answer
from nono.credentials.login_phantom import field_with_tokens, nonce_of, nonces_in_field
from nono.credentials.login_request import LoginRefusedError, as_bytes, redeemed_body
from nono.credentials.login_store import LoginStore, Tokens
from nono.policy.oauth_routes import TokenEndpoint
from nono.secret import Secret

_MAX_WATCHED = 16  # tokens of one route; a command uses one, and after each refresh another
_LOG_IN = "log in again inside the sandbox"


class LoginTokens:
    """What the store holds. It is read again whenever it has changed, because other runs log in too, and a
    purge must be felt by the runs that go on."""

    def __init__(self, store: LoginStore) -> None:
        """CredentialUnavailable: the store may not be trusted or cannot be understood."""
        self._store = store
        self._stamp = store.stamp()
        self._tokens: Tokens = store.read()

    def find(self, nonce: str, consumer: str, origin: str) -> Secret:
        """LoginRefusedError: it is unknown, expired or not for consumer at origin."""
        token = self._current().get(nonce)
        if token is None or token.has_expired(time.time()):
            raise LoginRefusedError("the phantom of a login is unknown or has expired", _LOG_IN)
        if consumer not in token.consumers or (token.origins and origin not in token.origins):
            raise LoginRefusedError(f"the phantom of a login is not for {origin}")
        return token.real

    def _current(self) -> Tokens:
        stamp = self._store.stamp()
        if stamp != self._stamp:
            try:
                self._tokens = self._store.read()
            except CredentialUnavailable:
                self._tokens = {}
            self._stamp = stamp
        return self._tokens

    async def store(self, tokens: Sequence[Secret], consumers: Sequence[str], origins: Sequence[str]) -> list[str]:
        """A nonce for each, on disk when this returns. CredentialUnavailable: they could not be stored."""
        nonces, self._tokens = await anyio.to_thread.run_sync(self._store.add, tokens, consumers, origins)
        return nonces


class Consumer(NamedTuple):
    """Somebody who may redeem phantoms, and where they are sent then."""

    name: str  # `proxy.<route>` or `oauth.<provider>`
    origin: str  # `https://host` or `https://host:port`


@dataclass(frozen=True, slots=True)
class LoginCredential:
    """The credential and the phantom of a route on which captured logins are used.

    Every token that is admitted to the route is its credential; the phantom that a request shows says which.
    """

    tokens: LoginTokens
    consumer: Consumer
    _used: dict[str, Secret]  # by nonce, the last ones

    @classmethod
    def create(cls, tokens: LoginTokens, consumer: Consumer) -> LoginCredential:
        return cls(tokens, consumer, {})

    def matches(self, text: str) -> bool:
        """Whether text is a phantom that is redeemed here."""
        nonce = nonce_of(text)
        return nonce is not None and self.refusal(nonce) is None

    def refusal(self, nonce: str) -> LoginRefusedError | None:
        """Why the phantom is not redeemed here; None when it is."""
        try:
            self.tokens.find(nonce, *self.consumer)
        except LoginRefusedError as refused:
            return refused
        return None

    def at_hand(self, request: RequestFacts) -> HeadersInjection | None:
        return redeemed_fields(self.tokens, self.consumer, request.presented, self._used)

    async def acquire(self, request: RequestFacts) -> HeadersInjection:
        return redeemed_fields(self.tokens, self.consumer, request.presented, self._used)

    def rejected(self, request: RequestFacts) -> None:
        """The command will refresh it: it alone knows the refresh token's phantom."""

    def watcher(self) -> LeakWatcher | None:
        return leak_watcher(list(self._used.values()))


def redeemed_fields(
    tokens: LoginTokens, consumer: Consumer, fields: Sequence[Header], used: dict[str, Secret]
) -> HeadersInjection:
    """fields with tokens in the place of their phantoms; used learns which. LoginRefusedError as find."""
    found = {
        nonce: tokens.find(nonce, *consumer) for _, value in fields for nonce in nonces_in_field(value)
    }
    for nonce, secret in found.items():
        used.pop(nonce, None)
        used[nonce] = secret
    while len(used) > _MAX_WATCHED:
        del used[next(iter(used))]
    return HeadersInjection([(name.decode("ascii"), field_with_tokens(value, found)) for name, value in fields])
