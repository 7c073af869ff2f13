"""Open what clients see of a proxy before they are served: its listener, its CA and their variables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext

from nono.credentials.load import Loaded, LoadedService
from nono.credentials.phantom import SessionToken
from nono.errors import NonoError
from nono.launch.proxy.assembly import Assembly
from nono.launch.proxy.ca_worker import intercepts
from nono.launch.proxy.trust import TrustedAuthority, trusted_authority
from nono.named_tuple import NamedTuple
from nono.proxy.child_env import LOOPBACK_NO_PROXY, ServiceVariables, child_env, java_options
from nono.proxy.config import ProxyConfig
from nono.proxy.listener import bind

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket


class Front(NamedTuple):
    """A listening proxy. Clients wait in the backlog until they are served."""

    assembly: Assembly
    config: ProxyConfig
    token: SessionToken  # which clients must present
    listener: _socket.socket
    port: int
    authority: TrustedAuthority | None  # None: TLS is not intercepted
    variables: Mapping[str, str]  # tell clients how to reach and trust it

    @property
    def files(self) -> tuple[str, ...]:
        """The files that the variables name; canonical."""
        return () if self.authority is None else self.authority.files


def listening(config: ProxyConfig, port_flag: str = "--proxy-port") -> _socket.socket:
    """Return a listener at the address of the config; the caller closes it. Raises NonoError.

    port_flag: The option that chose the port, for the error message.
    """
    try:
        return bind(config.address, config.port)
    except OSError as error:
        # Imported here: only this message needs it.
        from nono.proxy.http.upstream_proxy import authority as authority_text

        raise NonoError(
            f"Proxy bind failed on {authority_text(config.address, config.port)}: {error.strerror}",
            hint=f"without {port_flag} a free port is taken" if config.port else None,
        ) from error


@contextmanager
def front_of(
    listener: _socket.socket,
    assembly: Assembly,
    config: ProxyConfig,
    token: SessionToken,
    *,
    knows_clients: bool = False,
) -> Iterator[Front]:
    """Open what clients need to know of a proxy until the block is left.

    listener: Stays the caller's.
    config: Made by config_of with this token.
    token: The session token clients must present.
    knows_clients: Some clients need no token, because it is certain that the command made the connection.
    """
    with _authority(assembly) as authority:
        port = listener.getsockname()[1]
        settings = assembly.resolved.proxy
        variables = child_env(
            port,
            token.child_value() if config.require_auth else None,
            [*(_variables(service) for service in assembly.services), *assembly.logins.variables],
            granted=_granted(assembly),
            no_proxy=settings.no_proxy if settings is not None else (),
            address=config.client_address,
        )
        if authority is not None:
            variables |= authority.variables
        if knows_clients:
            inherited = variables.get("JAVA_TOOL_OPTIONS") or assembly.session.environ.get(
                "JAVA_TOOL_OPTIONS"
            )
            variables["JAVA_TOOL_OPTIONS"] = java_options(
                f"{config.client_address}:{port}", variables["NO_PROXY"], inherited or ""
            )
        yield Front(assembly, config, token, listener, port, authority, variables)


def _authority(assembly: Assembly) -> AbstractContextManager[TrustedAuthority | None]:
    """Open the CA if TLS is intercepted; the user's own CA takes precedence."""
    resolved = assembly.resolved
    if resolved.proxy is None or not intercepts(resolved):
        return nullcontext()
    return trusted_authority(
        resolved.proxy,
        assembly.session.environ,
        assembly.session.warn,
        own=assembly.own_authority,
        pregenerated=assembly.ca_worker.take() if assembly.ca_worker is not None else None,
        http1_only=assembly.logins.table.captures,
        run_id=assembly.session.run_id,
    )


def _variables(loaded: LoadedService) -> ServiceVariables:
    """Return the child's variables for a service.

    Without a key there is no phantom, and for an optional service no URL either, because the client may have
    a login.
    """
    service, outcome = loaded.service, loaded.outcome
    phantoms = {}
    if isinstance(outcome, Loaded):
        phantoms = dict.fromkeys(service.env_vars, outcome.phantom.child_value())
    is_used = isinstance(outcome, Loaded) or not service.is_optional
    return ServiceVariables(
        service.name,
        base_urls=service.base_url_env_vars,
        is_reverse=is_used and not service.upstream.is_wildcard,
        phantoms=phantoms,
    )


def _granted(assembly: Assembly) -> frozenset[str]:
    """Return the loopback names, and others, that clients must ask the proxy for.

    Those granted by exact name, and those of routes inside TLS. A route without TLS is reached by its base
    URL alone, so its name stays direct: the command's own servers have it as well.
    """
    resolved = assembly.resolved
    rules = (resolved.host_filter.allow if resolved.host_filter is not None else None) or ()
    granted = frozenset(rule.pattern for rule in rules if rule.is_exact)
    granted |= {each.upstream.host for each in resolved.services if each.upstream.scheme == "https"}
    return granted | frozenset(LOOPBACK_NO_PROXY) if assembly.logins.is_local else granted
