"""Define the verdicts on a request (forward, capture, tunnel, intercept, refuse), and its audit entry."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from nono.audit.event import NetworkEventMode
from nono.credentials.values.credential import Header, Outgoing, RequestFacts
from nono.named_tuple import NamedTuple
from nono.policy.endpoints.policy import EndpointVerdict
from nono.policy.hosts.upstream import Upstream
from nono.policy.schema.route_rules import NO_IDENTITY, TlsIdentity
from nono.proxy.http.refusal import Refusal
from nono.proxy.usage.shape import Provider
from nono.proxy.verdict.host_policy import HostPolicy
from nono.proxy.verdict.logins.table import LoginEndpoint
from nono.proxy.verdict.rewrite import RequestWriter
from nono.proxy.verdict.routes import Identity, Route

Mechanism = Literal["proxy_authorization", "phantom_header", "phantom_path", "phantom_query"]


class Entry(NamedTuple):
    """The audit fields of a request, without the decision."""

    mode: NetworkEventMode
    target: str  # the host, or the service for mode "reverse"
    port: int
    method: str
    path: str | None = None  # without the values of its query
    route_id: str | None = None
    upstream: str | None = None
    mechanism: Mechanism | None = None
    credential_active: bool | None = None
    injection_mode: str | None = None
    rule: str | None = None  # that allows the request; None: no rule is needed
    origin: str | None = None  # where that rule was written


class Refused(NamedTuple):
    entry: Entry
    refusal: Refusal
    may_be_asked: bool = False  # the host is only refused because no rule allows it


@dataclass(frozen=True, slots=True)
class Forward:
    """Send `request` and its body to `origin`, after approval, with the route's credential written in."""

    entry: Entry
    origin: Upstream
    request: Outgoing = field(repr=False)
    hosts: HostPolicy  # vets the addresses
    route: Route | None = None  # None: no credential is sent
    trusted: TlsIdentity = NO_IDENTITY  # without a route: the CA of the host's routes, no client certificate
    approval: EndpointVerdict | None = None  # a person has to agree first
    drains: bool = False  # after its body, an HTTP/1.1 connection may serve another request
    provider: Provider | None = None  # whose format the response reports its tokens in
    websocket_key: bytes | None = None  # the client requests a WebSocket (RFC 6455 section 4.1)
    presented: tuple[Header, ...] = field(default=(), repr=False)  # the fields that hold a login's phantom
    writer: RequestWriter = field(init=False, repr=False, compare=False)
    facts: RequestFacts = field(init=False, repr=False, compare=False)  # the facts a credential may depend on
    # Whose connection it may use: only requests of an equal identity share one.
    identity: Identity = field(init=False, repr=False, compare=False)
    tls: TlsIdentity = field(init=False, repr=False, compare=False)
    credentialed: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "writer", RequestWriter(self.request))
        facts = RequestFacts(
            self.origin.host,
            self.origin.port,
            self.entry.method,
            self.request.target.decode("ascii"),
            self.entry.route_id or self.origin.host,
            self.presented,
            self.entry.path,
        )
        object.__setattr__(self, "facts", facts)
        route = self.route
        object.__setattr__(self, "credentialed", route is not None)
        object.__setattr__(self, "identity", None if route is None else (route.service, self.presented))
        object.__setattr__(self, "tls", self.trusted if route is None else route.tls)


class Capture(NamedTuple):
    """Carry out `forward`, but search the whole answer for login tokens before passing any of it on."""

    forward: Forward
    at: LoginEndpoint | None  # None: another path on the host of a token endpoint


class Tunnel(NamedTuple):
    """Connect to host:port once its addresses are vetted, and pass TLS for that host through."""

    entry: Entry
    host: str
    port: int
    hosts: HostPolicy  # vets the addresses
    raw: bool  # any protocol is allowed, because the profile names this host:port as raw
    only_ssh: bool = False  # TLS would hide what the host of a login answers


class Intercept(NamedTuple):
    """Terminate the client's TLS, and judge each request inside."""

    entry: Entry
    inside: ConnectTarget


class ConnectTarget(NamedTuple):
    """The host and port of the CONNECT a request came through."""

    host: str  # canonical
    port: int

    @property
    def authority(self) -> bytes:
        """The Host value of a request inside."""
        return Upstream("https", self.host, self.port).authority


Verdict = Forward | Capture | Tunnel | Intercept | Refused
