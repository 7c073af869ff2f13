"""Import, count and forget the logins of agents."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nono.amounts import several
from nono.cli.commands.credential.keys import place_of
from nono.cli.key_prompt import how_kept, new_passphrase
from nono.cli.shapes.printed import printed_list
from nono.credentials import resolver
from nono.credentials.logins.stored import StoredToken
from nono.credentials.logins.token_store import LoginStore
from nono.credentials.resolver import Place
from nono.errors import CredentialError
from nono.printable import printable

if TYPE_CHECKING:
    from nono.policy.services.oauth_routes import OAuthRoute


def list_or_purge(purge: str | None, environ: Mapping[str, str], *, agent: str | None, as_json: bool) -> int:
    """List or purge captured logins. purge: None to list, "" for all providers.

    agent: The agent that is meant if no provider is called so.
    """
    store = LoginStore(environ)
    if purge is not None:
        count = store.purge(f"oauth.{purge}" if purge else None)
        if agent and not count:
            count = _purge_of_agent(store, agent)
        print(f"Removed {several(count, 'token')} of captured logins from {store.path}.")
        if purge and not count and (others := sorted(_count_by_provider(store))):
            print(f"nono: no login of '{purge}' is stored, only of: {', '.join(others)}", file=sys.stderr)
        return 0
    count_by_provider = _count_by_provider(store)
    if as_json:
        print(
            printed_list(
                {"provider": provider, "tokens": count, "where": store.path}
                for provider, count in sorted(count_by_provider.items())
            )
        )
        return 0
    kept = how_kept(Place(store.path, store.lock))
    if not count_by_provider:
        print("No logins are captured. Log in inside a run whose profile has a provider.", file=sys.stderr)
    for provider, count in sorted(count_by_provider.items()):
        print(f"{provider:<24} {several(count, 'token')} in {place_of(store.path)}{kept}")
    return 0


def _purge_of_agent(store: LoginStore, name: str) -> int:
    """Remove the tokens that the agent `name` uses, if it is one; return how many."""
    from nono.credentials.logins.agent_files import AGENT_FILES, INSIDE_LOGINS

    agent = AGENT_FILES.get(name) or INSIDE_LOGINS.get(name)
    return 0 if agent is None else store.purge(f"oauth.{agent.provider}")


def _count_by_provider(store: LoginStore) -> Counter[str]:
    return Counter(_provider_of(token) for token in store.read().values())


def import_agent(name: str, environ: Mapping[str, str]) -> int:
    # Imported here: the other actions need neither profiles nor agents.
    from nono.credentials.logins.agent_files import AGENT_FILES
    from nono.credentials.logins.importing import import_login

    agent = AGENT_FILES[name]
    imported = import_login(name, agent, routes_of(name, agent.provider, environ), environ)
    until = (
        "" if imported.expires_s is None else f", the access token valid until {_time(imported.expires_s)}"
    )
    command = f"nono run --profile {name} --allow-cwd -- ..."
    tokens = several(imported.tokens, "token")
    print(f"Imported the login of {agent.program} from {imported.outside}: {tokens}{until}.")
    store = Place(LoginStore(environ).path, imported.lock)
    print(f"They are in {place_of(store.where)}{how_kept(store)}.")
    where = imported.outside if agent.is_mounted else imported.inside
    print(f"In `{command}` the agent finds placeholders")
    print(f"in {where}: the proxy replaces them with the tokens, and renews the login.")
    print(f"{imported.outside} stays as it is. Providers exchange the refresh token at each renewal:")
    print(f"once nono has renewed the login, {agent.program} outside may have to log in again, and once")
    print(f"{agent.program} outside has, run `nono credential import {name}` again.")
    return 0


def import_gh(environ: Mapping[str, str]) -> int:
    """Store the token of gh's login as the credential of a service. It is valid until it is revoked."""
    from nono.credentials.sources.github_cli import HOST, SERVICE, login_token

    asks = new_passphrase if sys.stdin.isatty() else None
    place = resolver.save(SERVICE, login_token(environ), environ, asks)
    where = f"{place_of(place.where)}{how_kept(place)}"
    print(f"Stored the token of gh's login at {HOST} as '{SERVICE}' in {where}.")
    print(
        f"In `nono run --credential {SERVICE} -- gh ...` gh finds a placeholder in GH_TOKEN, which the proxy"
    )
    print(f"replaces. `nono credential remove {SERVICE}` forgets it; `gh auth logout` does not revoke it.")
    return 0


def log_out_agent(name: str, environ: Mapping[str, str]) -> int:
    from nono.credentials.logins.agent_files import AGENT_FILES, INSIDE_LOGINS, InsideLogin
    from nono.credentials.logins.revocation import log_out

    agent = INSIDE_LOGINS[name] if name in INSIDE_LOGINS else AGENT_FILES[name]
    out = log_out(agent, environ)
    key = agent.service if isinstance(agent, InsideLogin) else None
    if key is not None and any(entry.name == key for entry in resolver.names(environ)):
        print(f"The key '{key}' stays; `nono credential remove {key}` forgets it.")
    if out.tokens == 0:
        print(f"No login of {agent.program} was stored.")
        return 0
    print(f"Forgot the login of {agent.program}: {several(out.tokens, 'token')}.")
    if out.revoked and out.failure is None:
        outside = f": {agent.program} outside has to log in again too" if out.was_imported else ""
        print(f"The provider has ended it{outside}.")
        return 0
    if out.failure is not None:
        print(f"nono: the provider has not ended the login: {out.failure}", file=sys.stderr)
    print("The provider accepts them until they expire, or until you end the session in your account there.")
    return 0 if out.failure is None else 1


def routes_of(profile_name: str, provider: str, environ: Mapping[str, str]) -> Sequence[OAuthRoute]:
    """Return the routes on which `nono run --profile` uses the provider's tokens."""
    from nono.policy.profile.store import load_profile
    from nono.policy.services.oauth_routes import oauth_routes

    profile = load_profile(profile_name, environ)
    routes = oauth_routes(profile.credential_routes, profile.credential_providers, profile.label)
    own = [route for route in routes if route.provider.name == provider]
    if not own:
        raise CredentialError(
            f"the profile '{profile_name}' has no route for logins of '{provider}'",
            hint="copy credential_providers and credential_routes from the shipped profile of that name",
        )
    return own


def _time(at_s: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at_s))


def _provider_of(token: StoredToken) -> str:
    names = (name.removeprefix("oauth.") for name in token.consumers if name.startswith("oauth."))
    return printable(next(names, "(unknown)"))
