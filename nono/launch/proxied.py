"""The proxy-only run: credentials, proxy, adjudicator and child on one event loop."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

import anyio

from nono.audit.event import Recorder
from nono.audit.folding import FoldingRecorder
from nono.audit.ledger import AuditLog
from nono.credentials.load import Loaded, LoadedService, load_services
from nono.credentials.phantom import SessionToken, make_session_token
from nono.errors import LaunchError, NonoError
from nono.kernel import process
from nono.launch.run import Start, Warn, record_nothing
from nono.policy.credential_service import CredentialService
from nono.proxy.child_env import ServiceVariables, child_env
from nono.proxy.route import Origin, Route
from nono.proxy.server import Admits, ProxyConfig, RunningProxy, serve
from nono.sandbox.plan import Rung
from nono.supervisor import loop
from nono.supervisor.adjudicator import NetworkGrants, loopback
from nono.supervisor.notify_loop import NotifyLoop
from nono.supervisor.peer_registry import PeerRegistry

LoadedServices = list[LoadedService[CredentialService]]


def run(start: Start, log: AuditLog | None, proxy_port: int, warn: Warn) -> int:
    """The command's exit code. Credentials are read before there is a loop that a slow keyring could stop."""
    for wanted in start.prepared.resolved.services:
        _check_tls_ca(wanted)
    services = load_services(start.prepared.resolved.services, start.environ)
    for service in services:
        for sentence in _warnings(service):
            warn(sentence)
    options = {"use_uvloop": True}
    try:
        return anyio.run(_supervise, start, log, proxy_port, services, backend_options=options)
    except BaseExceptionGroup as group:
        raise _cause(group) from group


def _check_tls_ca(service: CredentialService) -> None:
    """NonoError when the certificates that this service's upstream is to be checked with cannot be used."""
    if service.tls_ca is None:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=service.tls_ca)
    except OSError as error:
        reason = error.strerror or error
        raise NonoError(
            f"credential '{service.name}': tls_ca '{service.tls_ca}' cannot be used: {reason}"
        ) from error


def _cause(error: BaseException) -> BaseException:
    """What went wrong, without the task groups it came through."""
    while isinstance(error, BaseExceptionGroup):
        error = next((each for each in error.exceptions if isinstance(each, NonoError)), error.exceptions[0])
    return error


def _warnings(loaded: LoadedService[CredentialService]) -> list[str]:
    sentences = list(loaded.warnings)
    if not isinstance(loaded.outcome, Loaded):
        missing = loaded.outcome
        hint = f"\n  hint: {missing.hint}" if missing.hint else ""
        sentences.append(f"{missing.message}; requests to '{loaded.service.name}' answer 503{hint}")
    return sentences


async def _supervise(start: Start, log: AuditLog | None, proxy_port: int, services: LoadedServices) -> int:
    record = FoldingRecorder(log.record if log is not None else record_nothing)
    token = make_session_token()
    peers = PeerRegistry()
    # On the notify rung the supervisor makes every connection itself, and so knows its own child's.
    admits = peers.take if start.prepared.enforcement.rung is Rung.NOTIFY else None
    config = _proxy_config(start, services, token, proxy_port)
    async with anyio.create_task_group() as tasks:
        if log is not None:
            tasks.start_soon(loop.keep_written, log, record.flush)
        try:
            async with _proxy(config, record, admits) as proxy:
                variables = [_variables(service) for service in services]
                added = child_env(proxy.port, token.child_value(), variables, granted=_granted(start))
                listener = _take_listener(start, start.restrict(added, proxy.port))
                listen_ports = frozenset(start.prepared.capabilities.listen_ports)
                grants = NetworkGrants(loopback(proxy.port), listen_ports)
                with _adjudicator(listener, grants, record, peers):
                    start.go()
                    exit_code = await loop.wait(start.child)
        finally:
            record.drain()
        tasks.cancel_scope.cancel()
    return exit_code


def _proxy_config(
    start: Start, services: LoadedServices, token: SessionToken, proxy_port: int
) -> ProxyConfig:
    hosts = start.prepared.resolved.host_filter
    if hosts is None:
        raise LaunchError("a proxy-only run without a host filter")
    return ProxyConfig(
        hosts=hosts,
        session_token=token,
        routes=tuple(_route(service) for service in services),
        port=proxy_port,
    )


def _route(loaded: LoadedService[CredentialService]) -> Route:
    service, outcome = loaded.service, loaded.outcome
    upstream = service.upstream
    return Route(
        service=service.name,
        origin=Origin(upstream.scheme, upstream.host, upstream.port, upstream.base_path),
        inject_header=service.inject_header,
        credential=outcome.header if isinstance(outcome, Loaded) else None,
        phantom=outcome.phantom if isinstance(outcome, Loaded) else None,
        base_url_variable=service.base_url_env_vars[0],
        tls_ca=service.tls_ca,
    )


def _variables(loaded: LoadedService[CredentialService]) -> ServiceVariables:
    """Where the child finds the service; without its credential there is no phantom to find."""
    service, outcome = loaded.service, loaded.outcome
    phantoms = {}
    if isinstance(outcome, Loaded):
        phantoms = dict.fromkeys(service.env_vars, outcome.phantom.child_value())
    return ServiceVariables(service.name, base_urls=service.base_url_env_vars, phantoms=phantoms)


@asynccontextmanager
async def _proxy(config: ProxyConfig, record: Recorder, admits: Admits | None) -> AsyncIterator[RunningProxy]:
    """The proxy, with what its start-up may run into as sentences."""
    async with AsyncExitStack() as stack:
        try:
            running = await stack.enter_async_context(serve(config, record, admits=admits))
        except OSError as error:
            raise NonoError(
                f"Proxy bind failed on 127.0.0.1:{config.port}: {error.strerror}",
                hint="without --proxy-port a free port is taken" if config.port else None,
            ) from error
        yield running


def _granted(start: Start) -> frozenset[str]:
    """The hosts that are allowed by their very name."""
    hosts = start.prepared.resolved.host_filter
    rules = (hosts.allow if hosts is not None else None) or ()
    return frozenset(rule.pattern for rule in rules if rule.is_exact)


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
