"""The settings and collaborators of one proxy, as its listener and what serves read them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from nono.named_tuple import NamedTuple
from nono.proxy.verdict.login_table import NO_LOGINS, LoginTable

if TYPE_CHECKING:
    import ssl

    from anyio.abc import TaskGroup

    from nono.approval.request import Approver
    from nono.audit.event import Recorder
    from nono.proxy.flows.recorder import FlowRecorder
    from nono.proxy.http.upstream_proxy import UpstreamProxy
    from nono.proxy.token_post import TokenPost
    from nono.proxy.upstream.dial import Resolver
    from nono.proxy.verdict.host_policy import HostPolicy
    from nono.proxy.verdict.routes import Phantom, Route, Scope

Admits = Callable[[tuple[str, int]], bool]


class ProxyConfig(NamedTuple):
    """Where a proxy listens, whom it serves and how. Times are in seconds."""

    hosts: HostPolicy
    session_token: Phantom  # matches the text in the child's proxy URL
    routes: tuple[Route, ...] = ()
    scopes: tuple[Scope, ...] = ()
    looks_into: Callable[[str], bool] | None = None  # which hosts beside those with a route or scope
    logins: LoginTable = NO_LOGINS
    server_context: Callable[[str, bool], ssl.SSLContext] | None = None  # None: TLS is not intercepted
    upstream_proxy: UpstreamProxy | None = None  # the proxy behind this one
    token_post: TokenPost | None = None  # what the routes' credentials fetch tokens through
    require_auth: bool = True  # whether the session token is asked for; a phantom always is
    own_names: frozenset[str] | None = None  # for a listener that browsers reach: see Dispatcher
    address: str = "127.0.0.1"  # to listen on
    port: int = 0  # 0: any free one
    max_connections: int = 256
    head_timeout_s: float = 30.0
    idle_timeout_s: float = 120.0  # between requests, and while a request body stands still
    tunnel_idle_timeout_s: float = 3600.0
    connect_timeout_s: float = 10.0
    pool_idle_timeout_s: float = 90.0
    pool_max_idle: int = 4  # per upstream and TLS identity
    close_grace_s: float = 1.0  # for responses under way when the block is left

    @property
    def client_address(self) -> str:
        """Where clients on this machine find a listener on every address."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.address, self.address)


class Dependencies(NamedTuple):
    """The collaborators a proxy is given besides its config, as serve() takes them."""

    recorder: Recorder
    admits: Admits | None
    resolver: Resolver
    approver: Approver | None
    alarm: Callable[[str], None]
    flows: FlowRecorder | None
    tasks: TaskGroup
