"""Handle the requests to one provider's token endpoints, and their responses."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager

from nono.credentials.logins.answer import Answer, phantom_in
from nono.credentials.logins.phantom import claims_of
from nono.credentials.logins.request import (
    LoginRefusedError,
    new_grant,
    redeemed_body,
    refreshed_nonce,
    revoked_nonce,
)
from nono.credentials.logins.token_store import Granted
from nono.credentials.logins.tokens import Consumer, LoginCredential, LoginTokens
from nono.named_tuple import NamedTuple
from nono.policy.services.oauth_routes import OAuthProvider, OAuthRoute, ResponseField, TokenEndpoint
from nono.secret import Secret

CODE = "authorization_code"  # of a browser, and of Codex's device flow
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"  # RFC 8628 section 3.4
_ACCOUNT_MAX = 254  # RFC 5321 section 4.5.3.1.3, as erratum 1690 has it
_UNSUPPORTED = b'{"error":"unsupported_grant_type"}'  # RFC 6749 section 5.2


def audience(provider: OAuthProvider, routes: Sequence[OAuthRoute]) -> tuple[list[str], list[str]]:
    """Return who may redeem the tokens of a provider, and the origins that may receive them."""
    upstreams = [endpoint.upstream for endpoint in provider.token_endpoints]
    upstreams += [route.upstream for route in routes]
    consumers = [provider.consumer, *(route.consumer for route in routes)]
    return consumers, [str(upstream) for upstream in upstreams]


def phantom_of(provider: OAuthProvider, name: str, nonce: str, token: Secret) -> str:
    """Spell the phantom of the token that a provider issues in the field `name` of its responses."""
    fields = (field for endpoint in provider.token_endpoints for field in endpoint.response_fields)
    named = (field for field in fields if ".".join(field.path) == name)
    return phantom_in(next(named, ResponseField((name,), "opaque")), nonce, token)


class MadeInside(NamedTuple):
    """How a run treats logins made inside that later runs use without the agent's own file."""

    agent: str  # as `nono credential` names it, and the imported login
    refused: LoginRefusedError | None  # why none can be made; None: one can
    grant: str = CODE  # the grant type that makes one

    @property
    def prefix(self) -> str:
        """The prefix of the names of logins made inside."""
        return f"{self.agent}/"


class Held(NamedTuple):
    """A stored login that was made inside."""

    tokens: Mapping[str, Secret]  # by field of the provider's response
    phantoms: Mapping[str, str]  # likewise
    issued_s: int  # since the epoch


class ProviderLogin:
    """A provider whose logins are captured: requests to its token endpoints, and their responses."""

    def __init__(
        self,
        tokens: LoginTokens,
        provider: OAuthProvider,
        routes: Sequence[OAuthRoute],
        *,
        inside: MadeInside | None,
    ) -> None:
        """`routes`: This run's routes on which the provider's tokens may be used.

        inside: None: logins made inside need no care.
        """
        self.provider = provider
        self.inside = inside
        self.made: list[str] = []  # the account of each login made in this run; "" if it is unknown
        self._new: set[str] = set()  # the logins that this run is making or has made
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

        Raises LoginRefusedError like redeemed_body(), for a new login if none can be made inside, and for the
        end of an imported one, which is used outside too.
        """
        if self.inside is not None:
            self._judge(self.inside, endpoint, body)
        return redeemed_body(endpoint, body, self.credential(endpoint).token)

    def _judge(self, inside: MadeInside, endpoint: TokenEndpoint, body: bytes) -> None:
        if inside.refused is not None and new_grant(endpoint, body) is not None:
            raise inside.refused
        if self._revoked(endpoint, body) == inside.agent:
            raise LoginRefusedError(
                f"the login of {self.provider.name} was imported, and can only be ended outside the sandbox",
                f"run outside: nono credential logout {inside.agent}",
            )

    def unsupported_grant(self, endpoint: TokenEndpoint, body: bytes) -> bytes | None:
        """Return the response to a request for tokens that a login made inside does not need, or None.

        Codex exchanges its id token for an API key of the person (RFC 8693), and works without one.
        """
        if self.inside is None or self.inside.refused is not None:
            return None
        return None if new_grant(endpoint, body) in (None, self.inside.grant) else _UNSUPPORTED

    def _revoked(self, endpoint: TokenEndpoint, body: bytes) -> str | None:
        nonce = revoked_nonce(endpoint, body)
        return None if nonce is None else self._tokens.login_of(nonce)

    def new_login(self, endpoint: TokenEndpoint, body: bytes) -> str | None:
        """Return a new ID for the login that a request makes; None: it makes none, or needs no ID."""
        # A refresh token that is not nono's makes a login as well: later runs must not take that for theirs.
        if self.inside is None or new_grant(endpoint, body) != self.inside.grant:
            return None
        self._new.add(login_id := f"{self.inside.prefix}{os.urandom(8).hex()}")
        return login_id

    async def ended(self, endpoint: TokenEndpoint, body: bytes) -> None:
        """Forget the login made inside that a request has ended at the provider, if it has ended one.

        Raises CredentialUnavailable if the tokens remain.
        """
        login = self._revoked(endpoint, body)
        if login is not None and self.inside is not None and login.startswith(self.inside.prefix):
            await self._tokens.forget(login)

    def held(self) -> Held | None:
        """Return the login that was made inside last; None: there is none, or none may be used."""
        if self.inside is None or self.inside.refused is not None:
            return None
        newest = self._tokens.newest(self.inside.prefix, self.provider.consumer)
        if newest is None:
            return None
        spelled = {name: phantom_of(self.provider, name, *each) for name, each in newest.tokens.items()}
        return Held({name: token for name, (_, token) in newest.tokens.items()}, spelled, newest.issued_s)

    def renewed_login(self, endpoint: TokenEndpoint, body: bytes) -> str | None:
        """Return the ID of the login that a refresh request concerns; None for any other request."""
        nonce = refreshed_nonce(endpoint, body)
        return None if nonce is None else self._tokens.login_of(nonce)

    def renewal_lock(self) -> AbstractAsyncContextManager[None]:
        """Return the lock under which logins of this provider are renewed; see renewal_lock."""
        return self._tokens.renewal_lock(self.provider.name)

    def room(self) -> AbstractContextManager[None]:
        """Hold room on the disk for what captured() will store. Call it under renewal_lock.

        Raises CredentialUnavailable if the store cannot be replaced.
        """
        return self._tokens.room(self._spare)

    @property
    def _spare(self) -> str:
        # Imported here: each command waits for this module, and has started by then.
        from urllib.parse import quote

        return f"{quote(self.provider.name, safe='')}.spare"

    def fresh_answer(self, login_id: str) -> bytes | None:
        """Return the response to a refresh that does not need the provider, or None.

        Call it under renewal_lock.
        """
        return self._tokens.fresh_answer(login_id)

    async def captured(self, answer: Answer, login_id: str | None, *, has_room: bool = False) -> bytes:
        """Return the body for the command. `login_id`: The renewed one, or of new_login(); None: a new one.

        has_room: The caller holds room().

        Its tokens are on disk when this returns; otherwise it raises CredentialUnavailable.
        """
        nonces: list[str] = []
        if answer.tokens:
            granted = Granted(
                login_id,
                answer.fields,
                answer.json_with_phantoms,
                answer.expires_s(time.time()),
                self._spare if has_room else None,
            )
            nonces = await self._tokens.store(answer.tokens, self._consumers, self._origins, granted)
            if login_id in self._new:
                self.made.append(_account(answer))
        return answer.with_phantoms(nonces)


def _account(answer: Answer) -> str:
    """Return the address in the id token of a response (OpenID Connect Core, section 5.1); "" without one."""
    for name, token in zip(answer.fields, answer.tokens, strict=True):
        email = claims_of(token, ["email"]).get("email") if name == "id_token" else None
        if isinstance(email, str):
            return email[:_ACCOUNT_MAX]
    return ""
