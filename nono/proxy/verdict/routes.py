"""Define routes: the requests that lead to an upstream, their rules, and the credential injected for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from nono.credentials.values.credential import Credential
from nono.policy.endpoints.policy import ALLOW_ALL, EndpointPolicy
from nono.policy.hosts.hostname import ip_literal
from nono.policy.hosts.upstream import Upstream
from nono.policy.schema.route_rules import (
    AUTHORIZATION,
    NO_IDENTITY,
    NO_LIMITS,
    Inject,
    RateLimit,
    TlsIdentity,
    UpgradeRule,
    UsageLimits,
)
from nono.proxy.verdict.logins.table import NO_LOGINS, LoginTable

if TYPE_CHECKING:
    from nono.credentials.logins.tokens import LoginCredential
    from nono.policy.hosts.endpoint_scope import EndpointScope

# The last two are GitLab's and Azure's.
KEY_HEADERS = frozenset((b"authorization", b"x-api-key", b"x-goog-api-key", b"private-token", b"api-key"))

# APIs that take the key of such a header in the query as well, as half of Google's clients send it, or
# another token.
_GITLAB = ("private_token", "access_token", "job_token")
_PARAMS_OF_HEADER = {"x-goog-api-key": ("key", "access_token"), "private-token": _GITLAB}
_PARAMS_OF_HOST = {"gitlab.com": _GITLAB}


def _key_params(inject: Inject, host: str) -> tuple[str, ...]:
    """Return the query parameters in which the API also takes the key that `inject` puts into a header."""
    if inject.mode != "header":
        return ()
    of_header = _PARAMS_OF_HEADER.get(inject.header.lower())
    return _PARAMS_OF_HOST.get(host, ()) if of_header is None else of_header


# The requests that may share a connection: those with the credential of one service and, because a login may
# have several accounts, the same phantom fields. None: those without a credential.
Identity = tuple[str, tuple[tuple[bytes, bytes], ...]] | None


class Phantom(Protocol):
    """The token the command presents in place of the credential."""

    def matches(self, text: str) -> bool:
        """Compare in constant time."""
        ...

    def appears_in(self, text: bytes) -> bool:
        """Return True if `text` contains the phantom."""
        ...


@dataclass(frozen=True, slots=True)
class Route:
    """A service whose requests go to `origin` with the credential in place of the phantom.

    Requests arrive as ``/<service>/...`` on the proxy itself, or inside an intercepted CONNECT to the origin.
    """

    service: str
    origin: Upstream
    credential: Credential | None  # None: it could not be loaded, and the route answers 503
    phantom: Phantom | None = None  # None exactly when credential is None
    accept: Inject = AUTHORIZATION  # where the command puts the phantom
    inject: Inject = AUTHORIZATION  # where the credential goes
    injection_mode: str = "header"  # as named in the audit log
    base_url_variable: str = ""  # for hints, e.g. OPENAI_BASE_URL
    endpoints: EndpointPolicy = ALLOW_ALL
    upgrades: tuple[UpgradeRule, ...] | None = None  # None: wherever a GET is allowed
    rate_limit: RateLimit | None = None
    limits: UsageLimits = NO_LIMITS
    tls: TlsIdentity = NO_IDENTITY
    watched: bool = True  # search responses for the secret
    drains: bool = False  # its upstream is known to read every request body
    login: LoginCredential | None = None  # the credential itself, if it comes from captured logins
    same_key: frozenset[str] = frozenset()  # other services with the same key, whose phantoms are taken too
    key_headers: frozenset[bytes] = field(init=False, repr=False)  # lower case: those that can hold a key
    key_params: tuple[str, ...] = field(init=False, repr=False)  # of the query, which can hold one as well

    def __post_init__(self) -> None:
        names = (self.accept.header, self.inject.header)
        keys = KEY_HEADERS.union(name.lower().encode("ascii") for name in names)
        object.__setattr__(self, "key_headers", keys)
        object.__setattr__(self, "key_params", _key_params(self.inject, self.origin.host))
        if (self.credential is None) != (self.phantom is None):
            raise ValueError(f"route {self.service!r}: a placeholder exists exactly when the credential does")
        address = ip_literal(self.origin.host)
        is_local = self.origin.host == "localhost" or (address is not None and address.is_loopback)
        if self.origin.scheme != "https" and not (self.origin.scheme == "http" and is_local):
            raise ValueError(f"route {self.service!r}: a key would cross the network in the clear")


@dataclass(frozen=True, slots=True)
class RouteTable:
    """The routes and scopes of a run, by service prefix and by upstream."""

    routes: tuple[Route, ...]
    scopes: tuple[EndpointScope, ...] = ()
    logins: LoginTable = NO_LOGINS
    also_intercepts: Callable[[str], bool] | None = None  # further hosts to intercept
    phantoms: tuple[Phantom, ...] = field(init=False, repr=False, compare=False)
    _by_service: Mapping[str, Route] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_service = {route.service: route for route in self.routes}
        if len(by_service) != len(self.routes):
            raise ValueError("two routes have the same service name")
        object.__setattr__(self, "_by_service", by_service)
        phantoms = [route.phantom for route in self.routes if route.phantom is not None]
        object.__setattr__(self, "phantoms", tuple(phantoms))

    def under(self, rules: Callable[[str, EndpointPolicy], EndpointPolicy]) -> RouteTable:
        """Return the table with other endpoint rules; `rules` takes a service and its current policy."""
        routes = (replace(each, endpoints=rules(each.service, each.endpoints)) for each in self.routes)
        return replace(self, routes=tuple(routes))

    def of_service(self, service: str) -> Route | None:
        """Return the route of a prefix. Wildcard routes have none, because a prefix stands for one host."""
        route = self._by_service.get(service)
        return None if route is None or route.origin.is_wildcard else route

    def named(self, service: str) -> Route:
        """Return the route of a service that is known to have one."""
        return self._by_service[service]

    def of_upstream(self, host: str, port: int) -> Sequence[Route]:
        """Return the routes whose upstream is host:port; a plain tunnel there would bypass them."""
        return [route for route in self.routes if route.origin.covers(host, port)]

    def leads_to(self, host: str) -> bool:
        """Return True if some port of a canonical host is the upstream of a route, a scope or a login."""
        if any(route.origin.covers(host, route.origin.port) for route in self.routes):
            return True
        return bool(self.scopes_of(host)) or self.logins.captures(host)

    def ports_of(self, host: str) -> Set[int]:
        """Return the ports of a canonical host that are the upstreams of routes."""
        origins = (route.origin for route in self.routes)
        return {origin.port for origin in origins if origin.covers(host, origin.port)}

    def scopes_of(self, host: str) -> Sequence[EndpointScope]:
        return [scope for scope in self.scopes if scope.covers(host)]

    def owner_of(self, text: str) -> Route | None:
        """Return the route whose phantom is `text`, or None. Compares every phantom, for constant time.

        Phantoms of captured logins do not belong to one route; `logins.phantoms` looks for them.
        """
        others = [route for route in self.routes if route.login is None]
        owners = [route for route in others if route.phantom is not None and route.phantom.matches(text)]
        return owners[0] if owners else None
