"""End an agent's login at its provider, as the agent's own logout does, and forget it."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Iterator, Mapping
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.parse import urlsplit

import anyio

from nono import __version__
from nono.credentials.logins.agent_files import AgentFile, InsideLogin, Revocation
from nono.credentials.logins.importing import forget_login
from nono.credentials.logins.renewal_lock import renewal_lock
from nono.credentials.logins.stored import StoredToken, Tokens
from nono.credentials.logins.token_store import LoginStore
from nono.named_tuple import NamedTuple

_TIMEOUT_S = 10.0
# The refresh token stands for the whole login; without one, the access token is all there is to end.
_FIELDS = ("refresh_token", "access_token")


class LoggedOut(NamedTuple):
    """The result of a logout."""

    tokens: int  # that were forgotten
    revoked: int  # logins that the provider has ended
    failure: str | None  # why it did not end one; None: it did, or cannot be asked
    was_imported: bool = False  # a login that the agent uses outside was among them


def log_out(agent: AgentFile | InsideLogin, environ: Mapping[str, str]) -> LoggedOut:
    """End the logins of `agent` at its provider, where that is possible, and forget them in any case.

    Blocks while a run renews one: it would store what replaces the token that ends here. Raises
    CredentialUnavailable if the store cannot be used.
    """
    was_imported = isinstance(agent, AgentFile) and agent.is_mounted and os.path.isfile(agent.inside(environ))
    return anyio.run(_log_out, agent, environ)._replace(was_imported=was_imported)


async def _log_out(agent: AgentFile | InsideLogin, environ: Mapping[str, str]) -> LoggedOut:
    store, revoked, failure = LoginStore(environ), 0, None
    async with renewal_lock(store.directory, agent.provider):
        if agent.revocation is not None:
            # Nothing else runs on this loop, so the calls may block it.
            for field, token in _ends(store.read(), agent.provider, agent.revocation):
                refused = _refused(agent.revocation, field, token)
                failure = failure or refused
                revoked += refused is None
        return LoggedOut(forget_login(agent, environ), revoked, failure)


def _ends(tokens: Tokens, provider: str, revocation: Revocation) -> Iterator[tuple[str, StoredToken]]:
    """Yield a token of each login of `provider`, with its field, that may be sent to the endpoint."""
    parts = urlsplit(revocation.url)
    origin = f"{parts.scheme}://{parts.netloc}"
    # A profile of the person's own may have bound a login to other hosts: do not send it here.
    own = [
        token
        for token in tokens.values()
        if f"oauth.{provider}" in token.consumers and (not token.origins or origin in token.origins)
    ]
    ended = set[str]()
    for field in _FIELDS:
        for token in own:
            if token.field == field and token.login not in ended:
                ended.add(token.login)
                yield field, token


def _refused(revocation: Revocation, field: str, token: StoredToken) -> str | None:
    """Ask the provider to end a login (RFC 7009, in JSON). Returns None, or why it did not."""
    document = {"token": token.real.reveal(), "token_type_hint": field, "client_id": revocation.client_id}
    headers = {"Content-Type": "application/json", "User-Agent": f"nono/{__version__}"}
    request = urllib.request.Request(revocation.url, json.dumps(document).encode(), headers, method="POST")
    try:
        urllib.request.build_opener(_NoRedirect).open(request, timeout=_TIMEOUT_S).close()
    except HTTPError as error:
        error.close()
        return f"it answered {error.code}"
    except (OSError, ValueError) as error:
        cause = getattr(error, "reason", error)  # of a URLError
        return str(getattr(cause, "strerror", None) or cause)
    except HTTPException as error:
        return f"it does not speak HTTP: {type(error).__name__}"
    return None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuses redirects, so that no other host is sent the token."""

    def redirect_request(self, *_: object) -> None:
        return None
