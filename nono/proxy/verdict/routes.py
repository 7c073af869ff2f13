"""A route: which requests lead to which upstream, under which rules, and what is injected there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from nono.credentials.values.credential import Credential
from nono.named_tuple import NamedTuple
from nono.policy.endpoints.policy import ALLOW_ALL, EndpointPolicy
from nono.policy.hosts.hostname import ip_literal
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
from nono.proxy.verdict.login_table import NO_LOGINS, LoginTable

if TYPE_CHECKING:
    from nono.credentials.logins.tokens import LoginCredential

# The last two are GitLab's and Azure's.
KEY_HEADERS = frozenset((b"authorization", b"x-api-key", b"x-goog-api-key", b"private-token", b"api-key"))


class Phantom(Protocol):
    """What the child presents in place of the credential."""

    def matches(self, text: str) -> bool:
        """In time that does not depend on where text differs."""
        ...

    def appears_in(self, text: bytes) -> bool:
        """Whether it is a part of text."""
        ...


class Origin(NamedTuple):
    """Where a request goes: scheme, canonical host, port and the path everything stays below."""

    scheme: str  # "https" or "http"
    host: str  # of a route also "*.suffix": every host below it
    port: int
    base_path: str = ""  # "" or "/v1": no trailing slash

    @property
    def authority(self) -> bytes:
        """The Host field: the port is left out when it is the scheme's own (RFC 9110 section 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = 443 if self.scheme == "https" else 80
        return (host if self.port == default else f"{host}:{self.port}").encode("ascii")

    @property
    def is_wildcard(self) -> bool:
        return self.host.startswith("*.")

    def covers(self, host: str, port: int) -> bool:
        """Whether host:port is this upstream, or lies below its wildcard."""
        if port != self.port:
            return False
        if not self.is_wildcard:
            return host == self.host
        return host.endswith(self.host[1:]) and len(host) >= len(self.host)


@dataclass(frozen=True, slots=True)
class Route:
    """A service: its requests lead to origin with the credential in place of the phantom.

    They come as ``/<service>/...`` on the proxy itself, or inside an intercepted CONNECT to the origin.
    """

    service: str
    origin: Origin
    credential: Credential | None  # None: it could not be loaded, and the route answers 503
    phantom: Phantom | None = None  # None exactly when credential is None
    accept: Inject = AUTHORIZATION  # where the child puts the phantom
    inject: Inject = AUTHORIZATION  # where the credential goes
    injection_mode: str = "header"  # as the audit log calls it
    base_url_variable: str = ""  # for hints, e.g. OPENAI_BASE_URL
    endpoints: EndpointPolicy = ALLOW_ALL
    upgrades: tuple[UpgradeRule, ...] | None = None  # None: wherever a GET is allowed
    rate_limit: RateLimit | None = None
    limits: UsageLimits = NO_LIMITS
    tls: TlsIdentity = NO_IDENTITY
    watched: bool = True  # whether responses are searched for the secret
    login: LoginCredential | None = None  # the credential itself, where it is that of captured logins
    key_headers: frozenset[bytes] = field(init=False, repr=False)  # lower case: where a key can be here

    def __post_init__(self) -> None:
        names = (self.accept.header, self.inject.header)
        keys = KEY_HEADERS.union(name.lower().encode("ascii") for name in names)
        object.__setattr__(self, "key_headers", keys)
        if (self.credential is None) != (self.phantom is None):
            raise ValueError(f"route {self.service!r}: a phantom exists exactly when the credential does")
        address = ip_literal(self.origin.host)
        is_local = self.origin.host == "localhost" or (address is not None and address.is_loopback)
        if self.origin.scheme != "https" and not (self.origin.scheme == "http" and is_local):
            raise ValueError(f"route {self.service!r}: a key would cross the network in the clear")


class Scope(NamedTuple):
    """A host that is reached without a credential, and on some paths only."""

    host: str  # canonical, or "*.suffix"
    port: int
    scheme: str
    endpoints: EndpointPolicy

    def covers(self, host: str) -> bool:
        if self.host.startswith("*."):
            return host.endswith(self.host[1:]) and len(host) >= len(self.host)
        return host == self.host


@dataclass(frozen=True, slots=True)
class RouteTable:
    """The routes and scopes of a run, by service prefix and by upstream."""

    routes: tuple[Route, ...]
    scopes: tuple[Scope, ...] = ()
    logins: LoginTable = NO_LOGINS
    looks_into: Callable[[str], bool] | None = None  # whether into a host that none of them is about
    phantoms: tuple[Phantom, ...] = field(init=False, repr=False, compare=False)
    _by_service: Mapping[str, Route] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_service = {route.service: route for route in self.routes}
        if len(by_service) != len(self.routes):
            raise ValueError("two routes have the same service name")
        object.__setattr__(self, "_by_service", by_service)
        phantoms = [route.phantom for route in self.routes if route.phantom is not None]
        object.__setattr__(self, "phantoms", tuple(phantoms))

    def of_service(self, service: str) -> Route | None:
        """The route of a prefix; a wildcard upstream has no one host that a prefix could stand for."""
        route = self._by_service.get(service)
        return None if route is None or route.origin.is_wildcard else route

    def of_upstream(self, host: str, port: int) -> Sequence[Route]:
        """The routes whose upstream is host:port; a plain tunnel there would bypass them."""
        return [route for route in self.routes if route.origin.covers(host, port)]

    def scopes_of(self, host: str) -> Sequence[Scope]:
        return [scope for scope in self.scopes if scope.covers(host)]

    def owner_of(self, text: str) -> Route | None:
        """The route whose phantom text is. Every phantom is compared, so time tells nothing about which.

        Those of captured logins are none of one route: login_check looks for them.
        """
        others = [route for route in self.routes if route.login is None]
        owners = [route for route in others if route.phantom is not None and route.phantom.matches(text)]
        return owners[0] if owners else None
