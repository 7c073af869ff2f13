"""Puts a proxy together from the policy, the loaded credentials and, if it intercepts TLS, a CA."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence, Set
from contextlib import (
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
    nullcontext,
)
from typing import TYPE_CHECKING

from nono.credentials.load import KeyPrompt, Loaded, LoadedService, Loader, Missing
from nono.credentials.phantom import SessionToken
from nono.credentials.phantom_ends import key_of_ends
from nono.errors import LaunchError, NonoError
from nono.launch.proxy.ca_worker import CaWorker, intercepts
from nono.launch.proxy.logins import Logins, load_logins
from nono.launch.proxy.trust import TrustedAuthority, trusted_authority
from nono.launch.proxy.upstream_proxy import upstream_proxy_of
from nono.launch.session import Session
from nono.named_tuple import NamedTuple
from nono.paths import state_root
from nono.policy.hosts.live_hosts import LiveHosts
from nono.policy.hosts.upstream import is_loopback
from nono.policy.resolve import Resolved
from nono.policy.schema.route_rules import TlsIdentity
from nono.policy.services.credential_service import CredentialService
from nono.policy.services.draining import reads_bodies
from nono.proxy.child_env import LOOPBACK_NO_PROXY, ServiceVariables, child_env, java_options
from nono.proxy.config import Admits, IsOurs, ProxyConfig, Recognises
from nono.proxy.server import RunningProxy, serve
from nono.proxy.token_post import TokenPost
from nono.proxy.upstream.dial import tls_context
from nono.proxy.verdict.routes import Origin, Route, Scope

if TYPE_CHECKING:
    import socket

    from nono.approval.request import Approver
    from nono.policy.hosts.host_filter import HostFilter
    from nono.policy.hosts.proxy_settings import ProxySettings
    from nono.proxy.flows.recorder import FlowRecorder
    from nono.proxy.http.upstream_proxy import UpstreamProxy
    from nono.proxy.tls.session_ca import SessionCa
    from nono.proxy.verdict.host_policy import HostPolicy


class Assembly(NamedTuple):
    """Everything a proxy needs before its event loop starts. Reading the credentials may take minutes."""

    resolved: Resolved
    session: Session
    post: TokenPost
    services: Sequence[LoadedService]
    logins: Logins
    upstream_proxy: UpstreamProxy | None
    ca_worker: CaWorker | None  # a CA that another process is making
    own_authority: SessionCa | None  # the user's own CA, in place of a generated one

    @property
    def phantoms(self) -> list[str]:
        """Those in the command's variables."""
        return [text for each in self.services for text in _variables(each).phantoms.values()]


class Assembled(NamedTuple):
    """A running proxy."""

    running: RunningProxy
    variables: Mapping[str, str]  # tell clients how to reach and trust it
    files: tuple[str, ...]  # the files these variables name; canonical


def assemble(
    resolved: Resolved,
    session: Session,
    *,
    ca_worker: CaWorker | None = None,
    own_authority: SessionCa | None = None,
    prompt: KeyPrompt | None = None,
) -> Assembly:
    """Read the credentials. Raises NonoError for one that is missing, or that no run could use.

    prompt: Asks a person for a missing one; None if nobody can be asked.
    """
    environ = session.environ
    for wanted in resolved.services:
        _check_tls_files(wanted)
        _check_helper(wanted, resolved, environ)
    post = TokenPost()
    ends = key_of_ends(state_root(environ)) if resolved.services else None
    loader = Loader(environ, post, session.record, session.redaction, session.session_id, prompt, ends)
    loaded = loader.load(resolved.services)
    keyed = [each.service for each in loaded if isinstance(each.outcome, Loaded)]
    asked_for = {service.upstream.host for service in keyed if not service.is_optional}
    logins = load_logins(resolved.oauth_routes, environ)
    logins = logins.beside({service.upstream.host for service in keyed}, asked_for)
    services = [each for each in loaded if not _is_replaced(each, logins, asked_for)]
    for service in services:
        for sentence in service.warnings:
            session.warn(sentence)
        _require(service)
    upstream_proxy = upstream_proxy_of(resolved.proxy, environ, session.warn)
    return Assembly(resolved, session, post, services, logins, upstream_proxy, ca_worker, own_authority)


def config_of(resolved: Resolved, token: SessionToken) -> ProxyConfig:
    """Return the proxy's config; the caller adds the address. Raises LaunchError without a host filter."""
    hosts = resolved.host_filter
    if hosts is None:
        raise LaunchError("a proxy without a host filter")
    settings = resolved.proxy
    learns = settings is not None and settings.learns
    live = None if learns else LiveHosts(hosts)
    return ProxyConfig(
        hosts=_learning(hosts) if live is None else live,
        live_hosts=live,
        asks_hosts=settings is not None and settings.asks,
        looks_into=_looks_into(resolved.proxy),
        session_token=token,
        scopes=tuple(Scope(each.host, each.port, each.scheme, each.endpoints) for each in resolved.scopes),
    )


@asynccontextmanager
async def proxy_of(
    assembly: Assembly,
    config: ProxyConfig,
    token: SessionToken,
    *,
    admits: Admits | None = None,
    is_ours: IsOurs | None = None,
    recognises: Recognises | None = None,
    approver: Approver | None = None,
    listener: socket.socket | None = None,
    port_flag: str = "--proxy-port",
) -> AsyncIterator[Assembled]:
    """Run the proxy until the block is left. Raises NonoError when it cannot start.

    config: Made by config_of with this token.
    token: The session token clients must present.
    admits: Tells whether the child made a connection; None: all are admitted.
    is_ours: Tells whether a program of our user made a connection; None: strangers are not kept apart.
    recognises: Tells whether the child made a connection for certain: it then needs no token.
    approver: Answers requests that need approval; None: they are refused.
    listener: Passed to serve.
    port_flag: The option that chose the port, for the error message.
    """
    async with AsyncExitStack() as stack:
        authority = stack.enter_context(_authority(assembly))
        flows = stack.enter_context(_recorder(assembly, token))
        proxy = serve(
            config._replace(
                routes=(*(_route(service) for service in assembly.services), *assembly.logins.routes),
                logins=assembly.logins.table,
                server_context=authority.server_context if authority is not None else None,
                token_post=assembly.post,
                upstream_proxy=assembly.upstream_proxy,
            ),
            assembly.session.record,
            admits=admits,
            is_ours=is_ours,
            recognises=recognises,
            approver=approver,
            alarm=assembly.session.warn,
            flows=flows,
            listener=listener,
        )
        try:
            running = await stack.enter_async_context(proxy)
        except OSError as error:
            # Imported here: only this message needs it.
            from nono.proxy.http.upstream_proxy import authority as authority_text

            raise NonoError(
                f"Proxy bind failed on {authority_text(config.address, config.port)}: {error.strerror}",
                hint=f"without {port_flag} a free port is taken" if config.port else None,
            ) from error
        services = [*(_variables(service) for service in assembly.services), *assembly.logins.variables]
        settings = assembly.resolved.proxy
        variables = child_env(
            running.port,
            token.child_value() if config.require_auth else None,
            services,
            granted=_granted(assembly),
            no_proxy=settings.no_proxy if settings is not None else (),
            address=config.client_address,
        )
        if authority is not None:
            variables |= authority.variables
        if recognises is not None:
            inherited = variables.get("JAVA_TOOL_OPTIONS") or assembly.session.environ.get(
                "JAVA_TOOL_OPTIONS"
            )
            variables["JAVA_TOOL_OPTIONS"] = java_options(
                f"{config.client_address}:{running.port}", variables["NO_PROXY"], inherited or ""
            )
        yield Assembled(running, variables, authority.files if authority is not None else ())


def _check_tls_files(service: CredentialService) -> None:
    """Raise NonoError if a certificate or key of the service's TLS identity cannot be used."""
    # One by one, because OpenSSL's errors name no file.
    ca, cert, key = service.tls
    if ca is not None:
        _check_tls(f"credential '{service.name}': tls_ca '{ca}'", ca, TlsIdentity(ca), _NO_CERTIFICATE)
    if cert is None or key is None:
        return
    cert_name = f"credential '{service.name}': tls_client_cert '{cert}'"
    key_name = f"tls_client_key '{key}'"
    _check_tls(cert_name, cert, TlsIdentity(cert), _NO_CERTIFICATE)  # readable as a CA, so it holds one
    try:
        _check_tls(f"credential '{service.name}': {key_name}", key, TlsIdentity(None, cert, key), _NO_KEY)
    except NonoError as error:
        reason = getattr(error.__cause__, "reason", None)
        if reason is None:  # not OpenSSL's, or OpenSSL gave no reason
            raise
        if reason in _OF_TWO_PAIRS:
            raise NonoError(f"{cert_name} and {key_name} do not belong together") from error
        raise NonoError(f"{cert_name} cannot be used: {reason.replace('_', ' ').lower()}") from error


# NO_CERTIFICATE_ASSIGNED: one of the pair is RSA and the other is not.
_OF_TWO_PAIRS = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")
_NO_CERTIFICATE = "it holds no certificate in PEM"
_NO_KEY = "it holds no key in PEM, or one with a passphrase"


def _check_tls(named: str, path: str, identity: TlsIdentity, unusable: str) -> None:
    try:
        open(path, "rb").close()
        tls_context(identity)
    except OSError as error:
        # ssl.SSLError is an OSError too, and has a `reason`.
        reason = unusable if hasattr(error, "reason") else error.strerror
        raise NonoError(f"{named} cannot be used: {reason}") from error


def _check_helper(service: CredentialService, resolved: Resolved, environ: Mapping[str, str]) -> None:
    """Raise NonoError if the command could replace the program that prints the service's key."""
    if service.capture is None:
        return
    # Imported here: few runs have one.
    from nono.credentials.helpers.program import find_program
    from nono.credentials.values.errors import CredentialUnavailable
    from nono.policy.host_filesystem import HostFilesystem
    from nono.policy.services import key_reach

    try:
        program = find_program(service.capture.command[0], environ)
    except CredentialUnavailable:
        return  # loading the credential will report it
    key_reach.refuse_writable_program(service.name, program, resolved.capabilities.grants, HostFilesystem())


def _require(loaded: LoadedService) -> None:
    """Raise NonoError if the key is missing and the run needs it."""
    missing, service = loaded.outcome, loaded.service
    if isinstance(missing, Missing) and not service.is_optional:
        raise NonoError(f"there is no key for '{service.name}': {missing.message}", hint=missing.hint)


def _is_replaced(loaded: LoadedService, logins: Logins, asked_for: Set[str]) -> bool:
    """Return True if a login, or a key that was asked for, does for a service that is optional.

    The base URL of one without a key would lead its clients to an answer 503.
    """
    service, is_missing = loaded.service, isinstance(loaded.outcome, Missing)
    if not service.is_optional:
        return False
    host = service.upstream.host
    return (is_missing and host in asked_for) or logins.replaces(host, is_missing=is_missing)


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


def _recorder(assembly: Assembly, token: SessionToken) -> AbstractContextManager[FlowRecorder | None]:
    settings = assembly.resolved.proxy
    if settings is None or settings.record_flows is None:
        return nullcontext()
    # Imported here: few runs are recorded.
    from nono.credentials.mask import mask_of
    from nono.launch.proxy.flows import recording

    loaded = [each.outcome for each in assembly.services if isinstance(each.outcome, Loaded)]
    mask = mask_of(token, [each.phantom for each in loaded], [each.credential for each in loaded])
    names = frozenset(each.service.inject.header.lower().encode("ascii") for each in assembly.services)
    return recording(settings.record_flows, mask, names, assembly.session.warn)


def _looks_into(settings: ProxySettings | None) -> Callable[[str], bool] | None:
    """Return a predicate for hosts to intercept although no path rule needs it; None: there are none."""
    if settings is None or not settings.learns:
        return None
    return lambda host: host not in settings.tunnels


def _learning(hosts: HostFilter) -> HostPolicy:
    # Imported here: few runs learn.
    from nono.policy.learning.hosts import learning_hosts

    return learning_hosts(hosts)


def _route(loaded: LoadedService) -> Route:
    service, outcome = loaded.service, loaded.outcome
    upstream = service.upstream
    return Route(
        service=service.name,
        origin=Origin(upstream.scheme, upstream.host, upstream.port, upstream.base_path),
        credential=outcome.credential if isinstance(outcome, Loaded) else None,
        phantom=outcome.phantom if isinstance(outcome, Loaded) else None,
        accept=service.accept,
        inject=service.inject,
        injection_mode=_injection_mode(service),
        base_url_variable=next(iter(service.base_url_env_vars), ""),
        endpoints=service.endpoints,
        upgrades=service.upgrades,
        rate_limit=service.rate_limit,
        limits=service.limits,
        tls=service.tls,
        watched=service.tripwire,
        drains=reads_bodies(upstream),
    )


def _injection_mode(service: CredentialService) -> str:
    """Return the injection mode under its name in the audit log."""
    if service.oauth2 is not None:
        return "o_auth2"
    return "aws_sig_v4" if service.aws is not None else service.inject.mode


def _variables(loaded: LoadedService) -> ServiceVariables:
    """Return the child's variables for a service.

    Without a key there is no phantom, and where it is optional no URL either: the client may have a login.
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
    """Return the hosts granted by exact name, plus every loopback name if a route leads to this machine."""
    resolved = assembly.resolved
    rules = (resolved.host_filter.allow if resolved.host_filter is not None else None) or ()
    named = frozenset(rule.pattern for rule in rules if rule.is_exact)
    has_local_route = any(is_loopback(service.upstream.host) for service in resolved.services)
    has_local_route = has_local_route or assembly.logins.is_local
    return named | frozenset(LOOPBACK_NO_PROXY) if has_local_route else named
