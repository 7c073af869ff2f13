"""Load the captured logins of a run: read the token store and build the routes that use its tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from os.path import isfile

from nono.named_tuple import NamedTuple
from nono.policy.hosts.upstream import is_loopback
from nono.policy.services.draining import reads_bodies
from nono.proxy.child_env import ServiceVariables
from nono.proxy.verdict.logins.table import NO_LOGINS, LoginTable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nono.credentials.logins.provider_login import MadeInside
    from nono.credentials.logins.tokens import LoginTokens
    from nono.policy.capability import Masking
    from nono.policy.services.oauth_routes import OAuthRoute
    from nono.proxy.verdict.routes import Route


# The hosts that clients of a login's API host use when they have a key instead.
_WITH_A_KEY = {"chatgpt.com": frozenset(("api.openai.com",))}


class Logins(NamedTuple):
    """The captured logins, as the proxy and its clients need them."""

    table: LoginTable = NO_LOGINS
    captured: tuple[OAuthRoute, ...] = ()
    tokens: LoginTokens | None = None  # what these routes redeem; None: there are none
    variables: tuple[ServiceVariables, ...] = ()  # tell clients where the API hosts are
    is_local: bool = False  # one of their hosts is on this machine
    hosts: frozenset[str] = frozenset()  # API hosts with a login

    def beside(self, keyed: Set[str], asked_for: Set[str]) -> Logins:
        """Return the logins that the run uses beside keys for the hosts `keyed`, some of them requested.

        An agent that uses a key for one host and a login for another sends the key's phantom to the other
        host too, which would count as a leak. The key wins where there is no login, or where it was
        requested.
        """
        aside = {
            host
            for host, others in _WITH_A_KEY.items()
            if not others.isdisjoint(keyed if host not in self.hosts else asked_for)
        }
        if not aside:
            return self
        providers = {
            login.provider.name
            for login in self.table.logins
            if any(host.host in aside for host in login.provider.api_hosts)
        }
        left = tuple(login for login in self.table.logins if login.provider.name not in providers)
        captured = tuple(route for route in self.captured if route.upstream.host not in aside)
        names = {route.name for route in captured}
        variables = tuple(each for each in self.variables if each.service in names)
        return self._replace(
            table=LoginTable(left), captured=captured, variables=variables, hosts=self.hosts - aside
        )

    def routes(self) -> list[Route]:
        """Build the routes of the proxy. Imports what judges requests, for which no command should wait."""
        tokens = self.tokens
        return [] if tokens is None else [_route(route, tokens) for route in self.captured]

    def replaces(self, host: str, *, is_missing: bool) -> bool:
        """Return True if a login replaces the service at `host`. `is_missing`: There is no key for it."""
        if is_missing and host in self.hosts:
            return True
        return any(host in _WITH_A_KEY.get(own, ()) for own in self.hosts)


def load_logins(routes: Sequence[OAuthRoute], environ: Mapping[str, str], masking: Masking) -> Logins:
    """Read the token store; blocks. Raises CredentialUnavailable if it is untrusted or malformed.

    masking: What of agents' files is private to the run.
    """
    if not routes:
        return Logins()
    # Imported here and below: few runs have a login.
    from nono.credentials.logins.provider_login import ProviderLogin
    from nono.credentials.logins.token_store import LoginStore
    from nono.credentials.logins.tokens import LoginTokens

    tokens = LoginTokens(LoginStore(environ))
    of_provider: dict[str, list[OAuthRoute]] = {}
    for route in routes:
        of_provider.setdefault(route.provider.name, []).append(route)
    inside = {**_made_inside(environ, masking), **_keys_made_inside(set(of_provider), environ)}
    logins = tuple(
        ProviderLogin(tokens, own[0].provider, own, inside=inside.get(name))
        for name, own in of_provider.items()
    )
    unused = {name: each.prefix for name, each in inside.items() if each.refused is not None}
    hosts = [route.upstream.host for route in routes]
    hosts += [endpoint.upstream.host for login in logins for endpoint in login.provider.token_endpoints]
    return Logins(
        LoginTable(logins),
        tuple(routes),
        tokens,
        tuple(ServiceVariables(route.name, base_urls=route.base_url_env_vars) for route in routes),
        is_local=any(map(is_loopback, hosts)),
        hosts=frozenset(
            route.upstream.host
            for route in routes
            if tokens.has_any_for(route.consumer, but_of=unused.get(route.provider.name))
        ),
    )


def _made_inside(environ: Mapping[str, str], masking: Masking) -> dict[str, MadeInside]:
    """Return how logins made inside are treated, by provider."""
    from nono.credentials.logins.agent_files import AGENT_FILES
    from nono.credentials.logins.provider_login import MadeInside
    from nono.credentials.logins.request import LoginRefusedError
    from nono.launch.proxy.own_logins import agents_with_own

    own = agents_with_own(masking, environ)
    found = {}
    for name, agent in AGENT_FILES.items():
        if agent.own_directory is None:
            continue
        refused = None
        if name not in own and isfile(agent.inside(environ)):
            refused = LoginRefusedError(
                f"a login made inside does not replace the imported login of {agent.program}",
                f"log in outside and import again, or forget it first: nono credential logout {name}",
            )
        elif name not in own:
            refused = LoginRefusedError(
                f"a login of {agent.program} inside would leave placeholders in its own file, because this "
                "run has no namespaces in which another could take its place",
                f"log in outside, then run: nono credential import {name}",
            )
        found[agent.provider] = MadeInside(name, refused)
    return found


def _keys_made_inside(providers: Set[str], environ: Mapping[str, str]) -> dict[str, MadeInside]:
    """Return how logins are treated that are the key of a service, by provider.

    A key of the service wins, so that a login made beside one would be of no use and nobody would hear of it.
    """
    from nono.credentials.logins.agent_files import INSIDE_LOGINS
    from nono.credentials.logins.provider_login import DEVICE_CODE, MadeInside
    from nono.credentials.logins.request import LoginRefusedError

    found = {}
    for name, login in INSIDE_LOGINS.items():
        if login.service is None or login.provider not in providers:
            continue
        kept = _kept(login.service, environ)
        refused = None
        if kept is not None:
            where, remedy = kept
            refused = LoginRefusedError(
                f"a login made inside does not replace the key for '{login.service}' in {where}",
                f"use it with --credential {login.service}, or forget it first: {remedy}",
            )
        found[login.provider] = MadeInside(name, refused, DEVICE_CODE)
    return found


def _kept(service: str, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """Return where a service has a key of its own, and what removes it, or None."""
    from nono.credentials.resolver import SYSTEM_KEYRING, names
    from nono.policy.builtin.shipped import network_policy

    variable = str(network_policy().services[service]["credential_key"]).removeprefix("env://")
    if environ.get(variable):
        return f"the variable {variable}", f"unset {variable}"
    for entry in names(environ):
        if entry.name == service:
            where = f"the {entry.where}" if entry.where == SYSTEM_KEYRING else entry.where
            return where, f"nono credential remove {service}"
    return None


def _route(route: OAuthRoute, tokens: LoginTokens) -> Route:
    from nono.credentials.logins.tokens import Consumer, LoginCredential
    from nono.proxy.verdict.routes import Route

    upstream = route.upstream
    login = LoginCredential(tokens, Consumer(route.consumer, str(upstream)))
    return Route(
        service=route.name,
        origin=upstream,
        credential=login,
        phantom=login,
        login=login,
        base_url_variable=next(iter(route.base_url_env_vars), ""),
        endpoints=route.endpoints,
        upgrades=route.upgrades,
        drains=reads_bodies(upstream),
    )
