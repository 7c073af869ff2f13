"""Use a login that was made inside as the key of a service."""

from __future__ import annotations

from collections.abc import Mapping

from nono.credentials.logins.agent_files import INSIDE_LOGINS
from nono.credentials.logins.request import LoginRefusedError
from nono.credentials.logins.token_store import LoginStore
from nono.credentials.logins.tokens import LoginTokens
from nono.secret import Secret


def program_of(service: str) -> str | None:
    """Return the program whose login is a key of `service`, as `nono credential` names it, or None."""
    return next((name for name, login in INSIDE_LOGINS.items() if login.service == service), None)


def login_key(service: str, origin: str, environ: Mapping[str, str]) -> Secret | None:
    """Return the access token of the login that was made last for `service`, or None.

    origin: Where the service sends its key. A service of that name in a profile of the person's own may send
      it to a host that the login is not for.

    Blocks. Raises CredentialUnavailable if the store cannot be used.
    """
    name = program_of(service)
    if name is None:
        return None
    tokens, consumer = LoginTokens(LoginStore(environ)), f"oauth.{INSIDE_LOGINS[name].provider}"
    newest = tokens.newest(f"{name}/", consumer)
    if newest is None or "access_token" not in newest.tokens:
        return None
    nonce, _ = newest.tokens["access_token"]
    try:
        return tokens.find(nonce, consumer, origin)
    except LoginRefusedError:
        return None
