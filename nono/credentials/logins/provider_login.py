"""Handle the requests to one provider's token endpoints, and their responses."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

from nono.credentials.logins.answer import Answer
from nono.credentials.logins.request import (
    LoginRefusedError,
    redeemed_body,
    refreshed_nonce,
    starts_login,
)
from nono.credentials.logins.token_store import Granted
from nono.credentials.logins.tokens import Consumer, LoginCredential, LoginTokens
from nono.policy.services.oauth_routes import OAuthProvider, OAuthRoute, TokenEndpoint


def audience(provider: OAuthProvider, routes: Sequence[OAuthRoute]) -> tuple[list[str], list[str]]:
    """Return who may redeem the tokens of a provider, and the origins that may receive them."""
    upstreams = [endpoint.upstream for endpoint in provider.token_endpoints]
    upstreams += [route.upstream for route in routes]
    consumers = [provider.consumer, *(route.consumer for route in routes)]
    return consumers, [str(upstream) for upstream in upstreams]


class ProviderLogin:
    """A provider whose logins are captured: requests to its token endpoints, and their responses."""

    def __init__(
        self,
        tokens: LoginTokens,
        provider: OAuthProvider,
        routes: Sequence[OAuthRoute],
        *,
        imported_by: str | None = None,
    ) -> None:
        """`routes`: This run's routes on which the provider's tokens may be used.

        imported_by: The command that imports its logins, if none can be made inside.
        """
        self.provider = provider
        self._imported_by = imported_by
        self._tokens = tokens
        self._consumers, self._origins = audience(provider, routes)
        upstreams = [endpoint.upstream for endpoint in provider.token_endpoints]
        upstreams += [route.upstream for route in routes]
        self._at = {
            upstream: LoginCredential(tokens, Consumer(provider.consumer, str(upstream)))
            for upstream in upstreams
        }

    def credential(self, endpoint: TokenEndpoint) -> LoginCredential:
        """Return the credential that redeems phantoms in requests to `endpoint`."""
        return self._at[endpoint.upstream]

    def request_body(self, endpoint: TokenEndpoint, body: bytes) -> bytes:
        """Return the body to send.

        Raises LoginRefusedError like redeemed_body(), and for a new login if none can be made inside.
        """
        if self._imported_by is not None and starts_login(endpoint, body):
            raise LoginRefusedError(
                f"a login of {self.provider.name} inside would leave placeholders in the agent's own file",
                f"log in outside, then run: {self._imported_by}",
            )
        return redeemed_body(endpoint, body, self.credential(endpoint).token)

    def renewed_login(self, endpoint: TokenEndpoint, body: bytes) -> str | None:
        """Return the login that a refresh request concerns; None for any other request."""
        nonce = refreshed_nonce(endpoint, body)
        return None if nonce is None else self._tokens.login_of(nonce)

    def renewal_lock(self) -> AbstractAsyncContextManager[None]:
        """Return the lock under which logins of this provider are renewed; see renewal_lock."""
        return self._tokens.renewal_lock(self.provider.name)

    def fresh_answer(self, login: str) -> bytes | None:
        """Return the response to a refresh that does not need the provider, or None.

        Call it under renewal_lock.
        """
        return self._tokens.fresh_answer(login)

    async def captured(self, answer: Answer, login: str | None = None) -> bytes:
        """Return the body for the command. `login`: The renewed login; None: a new one.

        Its tokens are on disk when this returns; otherwise it raises CredentialUnavailable.
        """
        nonces: list[str] = []
        if answer.tokens:
            granted = Granted(
                login,
                answer.fields,
                lambda nonces: answer.with_phantoms(nonces).decode(),
                answer.expires_s(time.time()),
            )
            nonces = await self._tokens.store(answer.tokens, self._consumers, self._origins, granted)
        return answer.with_phantoms(nonces)
