"""Define the settings and collaborators of one proxy, as read by `server` and `service`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Set

from nono.named_tuple import NamedTuple
from nono.proxy.verdict.logins.table import NO_LOGINS, LoginTable

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    import ssl

    from nono.approval.request import Approver
    from nono.audit.event import Recorder
    from nono.policy.hosts.endpoint_scope import EndpointScope
    from nono.policy.hosts.host_filter import Allow, Refuse
    from nono.policy.hosts.live_hosts import LiveHosts
    from nono.policy.live.endpoints import LiveEndpoints
    from nono.proxy.conversation.run_turns import OnTurn
    from nono.proxy.flows.recorder import FlowRecorder
    from nono.proxy.http.upstream_proxy import UpstreamProxy
    from nono.proxy.token_post import TokenPost
    from nono.proxy.upstream.dial import Resolver
    from nono.proxy.verdict.host_policy import HostPolicy
    from nono.proxy.verdict.routes import Phantom, Route

Address = tuple[str, int]
Admits = Callable[[Address], bool]  # of the client
# Of the client and of the listener: the host and port that the client meant; None: the proxy.
DestinationOf = Callable[[Address, Address], Address | None]
Recognises = Callable[[Address, Address], bool]  # of the client and of the listener
JudgeLookUp = Callable[[str], "Allow | Refuse"]  # of a name: may some port of the host be reached?
PortsNamed = Callable[[str], Set[int]]  # of a name: which ports of the host rules name
IsOurs = Callable[[Address, Address], bool | None]  # of the client and of the listener; None: unknown


# Starts a program. Returns a connected socket to its streams, which the caller closes. Raises OSError.
OpenProgram = Callable[[], Awaitable["socket.socket"]]


class ProxyConfig(NamedTuple):
    """The settings of one proxy. Times are in seconds."""

    hosts: HostPolicy
    session_token: Phantom  # matches the text in the command's proxy URL
    live_hosts: LiveHosts | None = None  # `hosts`, if its rules may change
    live_endpoints: LiveEndpoints | None = None  # rules for the routes, which may change
    judge_look_up: JudgeLookUp | None = None  # of `hosts`; None: the command looks no names up
    ports_named: PortsNamed | None = None  # of `hosts`, where `judge_look_up` is
    asks_hosts: bool = False  # a person is asked about hosts that no rule allows
    routes: tuple[Route, ...] = ()
    scopes: tuple[EndpointScope, ...] = ()
    also_intercepts: Callable[[str], bool] | None = None  # further hosts to intercept
    logins: LoginTable = NO_LOGINS
    server_context: Callable[[str, bool], ssl.SSLContext] | None = None  # None: TLS is not intercepted
    upstream_proxy: UpstreamProxy | None = None  # the proxy behind this one
    token_post: TokenPost | None = None  # the routes' credentials fetch tokens through it
    require_auth: bool = True  # ask for the session token; a phantom is always required
    own_names: frozenset[str] | None = None  # set for a listener that browsers can reach; see Dispatcher
    address: str = "127.0.0.1"  # to listen on
    port: int = 0  # 0: any free one
    max_connections: int = 256
    head_timeout_s: float = 30.0
    idle_timeout_s: float = 120.0  # between requests, and while a request body stalls
    tunnel_idle_timeout_s: float = 3600.0
    connect_timeout_s: float = 10.0
    pool_idle_timeout_s: float = 90.0
    pool_max_idle: int = 4  # per upstream and TLS identity
    close_grace_s: float = 1.0  # for responses in flight when the block is left
    renewal_grace_s: float = 5.0  # for renewals of logins, which are lost without their answers

    @property
    def client_address(self) -> str:
        """The address for clients on this machine; loopback if the proxy listens on every address."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.address, self.address)


class Collaborators(NamedTuple):
    """What a proxy asks and tells beside its clients and upstreams."""

    recorder: Recorder  # records each event; an allowed request is refused if its event cannot be recorded
    resolver: Resolver  # looks up the addresses of upstream hosts
    alarm: Callable[[str], None]  # tells a person that a credential is frozen or unavailable
    # Returns True if the command made the connection. None: every client is admitted, and still needs the
    # token or a phantom.
    admits: Admits | None = None
    # Returns True if a program of our user made the connection, False if another user's did; asked if
    # `admits` is None. None: connections that have shown no token yet have no places of their own.
    is_ours: IsOurs | None = None
    # Returns True if the command made the connection for certain; such a client needs no token.
    recognises: Recognises | None = None
    # Returns where the command meant to connect, for a connection that was led here. None: nothing is.
    destination_of: DestinationOf | None = None
    approver: Approver | None = None  # asks a person about requests that need it; None: they are refused
    flows: FlowRecorder | None = None  # records exchanges
    # Awaited with the number of a person's turn before the request that begins it is sent whole.
    on_turn: OnTurn | None = None
    # By host and port: where a tunnel leads to a program that is started for it, and to no host.
    programs: Mapping[Address, OpenProgram] = {}
