"""Provide an access token as a credential, obtained with the OAuth 2.0 client credentials grant."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar
from urllib.parse import urlsplit

from nono.clock import boot_s
from nono.credentials.oauth2.token_endpoint import (
    Granted,
    NotGranted,
    TokenReply,
    TokenRequest,
    read_reply,
)
from nono.credentials.renewal import Lease, Renewal
from nono.credentials.values.credential import Header, Injection, LeakDetector, RequestFacts
from nono.credentials.values.errors import CredentialUnavailable
from nono.credentials.values.injection import injection_of
from nono.credentials.values.tripwire import tripwire_for
from nono.policy.schema.constraints import AuthMethod
from nono.policy.schema.route_rules import Inject
from nono.secret import Secret

Post = Callable[[str, bytes, Sequence[Header]], Awaitable[TokenReply]]

SKEW_S = 30.0  # a token is renewed this long before it expires


class TokenExchangeFailed(CredentialUnavailable):
    """The token endpoint could not be reached, or granted nothing usable."""

    code: ClassVar = "oauth_token_exchange_failed"


class OAuth2Credential:
    """The token of one route, requested when first needed and again SKEW_S before it expires.

    RFC 6749 section 4.4. While a request fails, the previous token is used until it expires, and never
    longer. A later request tries again. `post` follows no redirect, bounds the reply in size and time, and
    raises OSError if there is none. Raises CredentialError if `inject` is malformed.
    """

    def __init__(
        self,
        token_url: str,
        client_id: Secret,
        client_secret: Secret,
        *,
        post: Post,
        scope: str = "",
        auth_method: AuthMethod = "client_secret_post",
        inject: Inject,
        clock: Callable[[], float] = boot_s,
    ) -> None:
        self._token_url = token_url
        self._endpoint = urlsplit(token_url).netloc.rpartition("@")[2]
        self._request = TokenRequest(client_id, client_secret, scope, auth_method)
        self._post = post
        self._inject = inject
        injection_of(inject, Secret("any:token"))  # raises now if inject is malformed
        self._renewal = Renewal(self._exchange, clock=clock)
        self._latest: Secret | None = None
        self._watcher: LeakDetector | None = None
        self._unsent = tripwire_for([client_secret])

    def at_hand(self, request: RequestFacts) -> Injection | None:
        return self._renewal.at_hand()

    async def acquire(self, request: RequestFacts) -> Injection:
        """Return an injection. TokenExchangeFailed: there is no token."""
        return await self._renewal.acquire()

    def rejected(self, request: RequestFacts) -> None:
        self._renewal.forget()

    def tripwire(self) -> LeakDetector | None:
        return self._watcher

    def unsent(self) -> LeakDetector | None:
        return self._unsent

    async def _exchange(self) -> Lease[Injection]:
        try:
            reply = await self._post(self._token_url, self._request.form(), self._request.headers())
        except OSError as failure:
            outcome: Granted | NotGranted = NotGranted(str(failure) or type(failure).__name__)
        else:
            outcome = read_reply(reply)
        match outcome:
            case NotGranted(reason):
                raise TokenExchangeFailed(
                    f"no token from {self._endpoint}: {reason}",
                    hint="check token_url, client_id, client_secret and scope of this credential",
                )
            case Granted(token, lifetime_s):
                injection = injection_of(self._inject, token)
                # Responses to requests with the previous token may still arrive.
                before = [] if self._latest is None else [self._latest]
                self._watcher = tripwire_for([token, *before])
                self._latest = token
                fresh_s = lifetime_s - min(SKEW_S, lifetime_s / 2)
                return Lease(injection, fresh_s, lifetime_s)
