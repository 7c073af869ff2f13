"""The proxy-only run: credentials, proxy, adjudicator and child on one event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import (
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from typing import NamedTuple

import anyio

from nono.audit.event import Recorder
from nono.audit.folding import FoldingRecorder
from nono.audit.ledger import AuditLog
from nono.credentials.load import Loaded, LoadedService, Loader
from nono.credentials.phantom import SessionToken, make_session_token
from nono.errors import LaunchError, NonoError
from nono.kernel import process
from nono.launch.interception import TrustedAuthority, trusted_authority
from nono.launch.run import Start, Warn, record_nothing
from nono.policy.credential_service import CredentialService
from nono.policy.upstream import is_loopback
from nono.proxy.child_env import LOOPBACK_NO_PROXY, ServiceVariables, child_env
from nono.proxy.dial import tls_context
from nono.proxy.route import Origin, Route, Scope
from nono.proxy.server import Admits, ProxyConfig, RunningProxy, serve
from nono.proxy.token_post import TokenPost
from nono.sandbox.plan import Rung
from nono.supervisor import loop
from nono.supervisor.adjudicator import NetworkGrants, loopback
from nono.supervisor.notify_loop import NotifyLoop
from nono.supervisor.peer_registry import PeerRegistry

Services = list[LoadedService]


def run(start: Start, log: AuditLog | None, proxy_port: int, warn: Warn) -> int:
    """The command's exit code. Credentials are read before there is a loop that a slow keyring could stop."""
    resolved = start.prepared.resolved
    for wanted in resolved.services:
        _check_tls_files(wanted)
    record = FoldingRecorder(log.record if log is not None else record_nothing)
    post = TokenPost()
    services = Loader(start.environ, post, record).load(resolved.services)
    for service in services:
        for sentence in _warnings(service):
            warn(sentence)
    parts = Parts(start, log, record, post, services, proxy_port, warn)
    try:
        return anyio.run(_supervise, parts, backend_options={"use_uvloop": True})
    except BaseExceptionGroup as group:
        raise _cause(group) from group


class Parts(NamedTuple):
    """What there is before the loop."""

    start: Start
    log: AuditLog | None
    record: FoldingRecorder
    post: TokenPost
    services: Services
    proxy_port: int
    warn: Warn


def _check_tls_files(service: CredentialService) -> None:
    """NonoError when the certificates of this service's TLS identity cannot be used."""
    try:
        tls_context(service.tls)
    except OSError as error:
        named = ", ".join(f"'{path}'" for path in service.tls if path is not None)
        reason = error.strerror or error
        raise NonoError(f"credential '{service.name}': {named} cannot be used: {reason}") from error


def _cause(error: BaseException) -> BaseException:
    """What went wrong, without the task groups it came through."""
    while isinstance(error, BaseExceptionGroup):
        error = next((each for each in error.exceptions if isinstance(each, NonoError)), error.exceptions[0])
    return error


def _warnings(loaded: LoadedService) -> list[str]:
    sentences = list(loaded.warnings)
    if not isinstance(loaded.outcome, Loaded):
        missing = loaded.outcome
        hint = f"\n  hint: {missing.hint}" if missing.hint else ""
        sentences.append(f"{missing.message}; requests to '{loaded.service.name}' answer 503{hint}")
    return sentences


async def _supervise(parts: Parts) -> int:
    start, log, record = parts.start, parts.log, parts.record
    token = make_session_token()
    peers = PeerRegistry()
    # On the notify rung the supervisor makes every connection itself, and so knows its own child's.
    admits = peers.take if start.prepared.enforcement.rung is Rung.NOTIFY else None
    async with anyio.create_task_group() as tasks:
        if log is not None:
            tasks.start_soon(loop.keep_written, log, record.flush)
        try:
            with _authority(parts) as authority:
                async with _proxy(_proxy_config(parts, token, authority), parts, admits) as proxy:
                    added = _child_variables(parts, proxy.port, token, authority)
                    readable = authority.files if authority is not None else ()
                    listener = _take_listener(start, start.restrict(added, proxy.port, readable=readable))
                    listen_ports = frozenset(start.prepared.capabilities.listen_ports)
                    grants = NetworkGrants(loopback(proxy.port), listen_ports)
                    with _adjudicator(listener, grants, record, peers):
                        start.go()
                        exit_code = await loop.wait(start.child)
        finally:
            record.drain()
        tasks.cancel_scope.cancel()
    return exit_code


def _authority(parts: Parts) -> AbstractContextManager[TrustedAuthority | None]:
    """The CA of this run, where a host has to be looked into."""
    resolved = parts.start.prepared.resolved
    settings = resolved.proxy
    if settings is None or not (resolved.services or resolved.scopes or resolved.oauth_routes):
        return nullcontext()
    return trusted_authority(settings, parts.start.environ, parts.warn)


def _child_variables(
    parts: Parts, port: int, token: SessionToken, authority: TrustedAuthority | None
) -> dict[str, str]:
    variables = [_variables(service) for service in parts.services]
    added = child_env(port, token.child_value(), variables, granted=_granted(parts.start))
    return added if authority is None else {**added, **authority.variables}


def _proxy_config(parts: Parts, token: SessionToken, authority: TrustedAuthority | None) -> ProxyConfig:
    resolved = parts.start.prepared.resolved
    hosts = resolved.host_filter
    if hosts is None:
        raise LaunchError("a proxy-only run without a host filter")
    return ProxyConfig(
        hosts=hosts,
        session_token=token,
        routes=tuple(_route(service) for service in parts.services),
        scopes=tuple(Scope(each.host, each.port, each.scheme, each.endpoints) for each in resolved.scopes),
        server_context=authority.server_context if authority is not None else None,
        token_post=parts.post,
        port=parts.proxy_port,
    )


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
    )


def _injection_mode(service: CredentialService) -> str:
    """As the audit log calls it."""
    if service.oauth2 is not None:
        return "o_auth2"
    return "aws_sig_v4" if service.aws is not None else service.inject.mode


def _variables(loaded: LoadedService) -> ServiceVariables:
    """Where the child finds the service; without its credential there is no phantom to find."""
    service, outcome = loaded.service, loaded.outcome
    phantoms = {}
    if isinstance(outcome, Loaded):
        phantoms = dict.fromkeys(service.env_vars, outcome.phantom.child_value())
    return ServiceVariables(service.name, base_urls=service.base_url_env_vars, phantoms=phantoms)


@asynccontextmanager
async def _proxy(config: ProxyConfig, parts: Parts, admits: Admits | None) -> AsyncIterator[RunningProxy]:
    """The proxy, with what its start-up may run into as sentences."""
    async with AsyncExitStack() as stack:
        try:
            proxy = serve(config, parts.record, admits=admits, alarm=parts.warn)
            running = await stack.enter_async_context(proxy)
        except OSError as error:
            raise NonoError(
                f"Proxy bind failed on 127.0.0.1:{config.port}: {error.strerror}",
                hint="without --proxy-port a free port is taken" if config.port else None,
            ) from error
        yield running


def _granted(start: Start) -> frozenset[str]:
    """The hosts that are allowed by their very name; of this machine every name, if it has a route."""
    resolved = start.prepared.resolved
    rules = (resolved.host_filter.allow if resolved.host_filter is not None else None) or ()
    named = frozenset(rule.pattern for rule in rules if rule.is_exact)
    has_local_route = any(is_loopback(service.upstream.host) for service in resolved.services)
    return named | frozenset(LOOPBACK_NO_PROXY) if has_local_route else named


def _take_listener(start: Start, number: int | None) -> int | None:
    """A descriptor of the launcher's listener; by pidfd_getfd, since sending it would be trapped by it."""
    return None if number is None else process.duplicate_descriptor(start.launcher.pid, number)


@contextmanager
def _adjudicator(
    listener: int | None, grants: NetworkGrants, record: Recorder, peers: PeerRegistry
) -> Iterator[None]:
    """Serves the listener, if there is one, until the block is left."""
    if listener is None:
        yield
        return
    adjudicator = NotifyLoop(listener, grants, record, peers.register)
    adjudicator.start()
    try:
        yield
    finally:
        adjudicator.close()
