"""Manage captured login tokens in one run: redeem them where allowed, store new ones."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from functools import partial

from nono.credentials.logins.phantom import field_with_tokens, nonce_of, nonces_in_field
from nono.credentials.logins.renewal_lock import renewal_lock
from nono.credentials.logins.request import LoginRefusedError
from nono.credentials.logins.stored import Stored
from nono.credentials.logins.token_store import Granted, LoginStore
from nono.credentials.values.credential import LeakDetector, RequestFacts
from nono.credentials.values.errors import CredentialUnavailable
from nono.credentials.values.injection import HeadersInjection
from nono.credentials.values.tripwire import tripwire_for
from nono.errors import CredentialError
from nono.in_thread import in_thread
from nono.named_tuple import NamedTuple
from nono.secret import Secret

_MAX_WATCHED = 16  # tokens of one route; a command uses one at a time, and a new one after each refresh
_RENEWED_BEFORE_S = 600.0  # clients ask for new tokens up to 5 minutes before theirs expire
_LOG_IN = "log in again inside the sandbox"


class NewestLogin(NamedTuple):
    """The login that was made last."""

    tokens: Mapping[str, tuple[str, Secret]]  # nonce and token, by field of the provider's response
    issued_s: int  # since the epoch


class LoginTokens:
    """The content of the store, read again whenever it changes.

    Other runs log in too, and a purge must reach runs in progress.
    """

    def __init__(self, store: LoginStore) -> None:
        """Read the store. Raises CredentialUnavailable if it is not trusted or malformed."""
        self._store = store
        self._stamp = store.stamp()
        self._stored = store.read_all()
        self._rejected: list[Secret] = []  # the most recent access tokens that an API answered with 401

    def find(self, nonce: str, consumer: str, origin: str) -> Secret:
        """Return the token.

        Raises LoginRefusedError if it is unknown, expired, or not for `consumer` at `origin`.
        """
        token = self._current().tokens.get(nonce)
        if token is None or token.has_expired(time.time()):
            raise LoginRefusedError("the placeholder of a login is unknown or has expired", _LOG_IN)
        if consumer not in token.consumers or (token.origins and origin not in token.origins):
            raise LoginRefusedError(f"the placeholder of a login is not for {origin}")
        return token.real

    def has_any_for(self, consumer: str, *, but_of: str | None) -> bool:
        """Check that some token may be redeemed by `consumer`. but_of: Ignore logins with this prefix."""
        now_s = time.time()
        return any(
            consumer in token.consumers
            and not token.has_expired(now_s)
            and not (but_of is not None and token.login.startswith(but_of))
            for token in self._current().tokens.values()
        )

    def newest(self, prefix: str, consumer: str) -> NewestLogin | None:
        """Return the login made last of those named `prefix`, if `consumer` may redeem its tokens."""
        stored, now_s = self._current(), time.time()
        # The order of logins is that in which they were made.
        for name in reversed([name for name in stored.logins if name.startswith(prefix)]):
            tokens = {
                token.field: (nonce, token.real)
                for nonce, token in stored.tokens.items()
                if token.login == name and consumer in token.consumers and not token.has_expired(now_s)
            }
            if tokens:
                return NewestLogin(tokens, stored.logins[name].renewed_s)
        return None

    def login_of(self, nonce: str) -> str | None:
        """Return the login that a token is part of; None if it is unknown or in none."""
        token = self._current().tokens.get(nonce)
        return None if token is None else token.login or None

    def reject(self, token: Secret) -> None:
        """Remember that an API no longer accepts an access token."""
        if token not in self._rejected:
            self._rejected = [*self._rejected[1 - _MAX_WATCHED :], token]

    def fresh_answer(self, login: str) -> bytes | None:
        """Return the provider's last response, with phantoms, while its access token is fresh.

        Nobody knows which tokens a client that asks for a refresh has, because its phantoms never change.
        Another run may just have renewed them, and the provider accepts each refresh token once. This uses
        wall-clock time, because a laptop may have slept.
        """
        stored, now_s = self._current(), time.time()
        answer = stored.logins.get(login)
        if answer is None or answer.expires_s is None:
            return None
        lifetime_s = answer.expires_s - answer.renewed_s
        # A clock that was set back since cannot tell how old the token is.
        is_fresh = answer.renewed_s <= now_s < answer.expires_s - min(_RENEWED_BEFORE_S, lifetime_s / 2)
        tokens = [token.real for token in stored.tokens.values() if token.login == login]
        if not is_fresh or any(token in self._rejected for token in tokens):
            return None
        # Imported here: each command waits for this module, and few log in.
        import json

        try:
            document = json.loads(answer.answer)
        except ValueError:
            return None
        return json.dumps({**document, "expires_in": int(answer.expires_s - now_s)}).encode()

    def _current(self) -> Stored:
        stamp = self._store.stamp()
        if stamp != self._stamp:
            try:
                self._stored = self._read_again()
            except CredentialUnavailable:
                self._stored = Stored({}, {})
            self._stamp = stamp
        return self._stored

    def _read_again(self) -> Stored:
        # In a thread, for which the loop waits: it costs 0.1 ms, and once in the life of the store, when
        # another program has encrypted it meanwhile, as long as systemd-creds takes.
        # Imported here: a command waits for this module, and has started by then.
        from concurrent.futures import ThreadPoolExecutor

        read = partial(self._store.read_all, may_ask=False)
        with ThreadPoolExecutor(1) as thread:
            try:
                return thread.submit(read).result()
            except RuntimeError:  # the command has used up its user's limit of processes
                return read()

    def renewal_lock(self, provider: str) -> AbstractAsyncContextManager[None]:
        return renewal_lock(self._store.directory, provider)

    def room(self, spare: str) -> AbstractContextManager[None]:
        """Hold room on the disk for the next tokens; see LoginStore.room()."""
        return self._store.room(spare)

    async def forget(self, login: str) -> None:
        """Remove the tokens of a login that its provider has ended.

        Raises CredentialUnavailable if they remain.
        """
        await in_thread(partial(self._store.forget, login))

    async def store(
        self,
        tokens: Sequence[Secret],
        consumers: Sequence[str],
        origins: Sequence[str],
        granted: Granted | None = None,
    ) -> list[str]:
        """Store tokens and return a nonce for each. They are on disk when this returns.

        Raises CredentialUnavailable if they could not be stored.
        """
        # The result is not kept, because another run may have changed the store since. Its stamp tells when
        # to read it again.
        add = partial(self._store.add, tokens, consumers, origins, granted, may_ask=False)
        nonces, _ = await in_thread(add)
        return nonces


class Consumer(NamedTuple):
    """A party that may redeem phantoms, and the origin that then receives the tokens."""

    name: str  # `proxy.<route>` or `oauth.<provider>`
    origin: str  # `https://host`, with the port unless it is 443


class LoginCredential:
    """The credential of a route that uses captured logins, or of a token endpoint.

    It covers every token allowed there; the phantom in a request selects one.
    """

    def __init__(self, tokens: LoginTokens, consumer: Consumer) -> None:
        self._tokens = tokens
        self._consumer = consumer
        self._used: dict[str, Secret] = {}  # the most recent ones, by nonce
        self._renewed: list[Secret] = []  # tokens they replaced: responses to them may still arrive
        self._watcher: LeakDetector | None = None

    def matches(self, text: str) -> bool:
        """Check that `text` is a phantom that is redeemed here."""
        nonce = nonce_of(text)
        return nonce is not None and self.refusal(nonce) is None

    def appears_in(self, text: bytes) -> bool:
        """Return False: nono.proxy.verdict.logins.phantoms finds a login's many phantoms by their prefix."""
        return False

    def refusal(self, nonce: str) -> LoginRefusedError | None:
        """Return why the phantom is not redeemed here, or None.

        From then on, responses are searched for its token.
        """
        try:
            self.token(nonce)
        except LoginRefusedError as refused:
            return refused
        return None

    def token(self, nonce: str) -> Secret:
        """Return the token of a nonce and watch for it. Raises LoginRefusedError like LoginTokens.find()."""
        token = self._tokens.find(nonce, *self._consumer)
        before = self._used.pop(nonce, None)
        self._used[nonce] = token  # move to the end, so that unused ones are dropped first
        if before is not token and before != token:
            if before is not None:
                self._renewed = [*self._renewed[1 - _MAX_WATCHED :], before]
            if len(self._used) > _MAX_WATCHED:
                del self._used[next(iter(self._used))]
            self._watcher = tripwire_for([*self._used.values(), *self._renewed])
        return token

    def at_hand(self, request: RequestFacts) -> HeadersInjection | None:
        try:
            return self.injection(request)
        except (ValueError, CredentialError):
            return None

    async def acquire(self, request: RequestFacts) -> HeadersInjection:
        return self.injection(request)

    def injection(self, request: RequestFacts) -> HeadersInjection:
        """Return the presented fields, with tokens in them.

        LoginRefusedError, a ValueError: a token has expired since the request was judged. Raises
        CredentialError as HeadersInjection does.
        """
        tokens = {
            nonce: self.token(nonce) for _, value in request.presented for nonce in nonces_in_field(value)
        }
        return HeadersInjection(
            [(name.decode("ascii"), field_with_tokens(value, tokens)) for name, value in request.presented]
        )

    def rejected(self, request: RequestFacts) -> None:
        """Make the next refresh renew the tokens, even if they are still fresh."""
        for _, value in request.presented:
            for nonce in nonces_in_field(value):
                if (token := self._used.get(nonce)) is not None:
                    self._tokens.reject(token)

    def tripwire(self) -> LeakDetector | None:
        return self._watcher
