"""Serve the clients of a listening proxy.

Imported once a command is starting, because it imports asyncio, TLS and other modules that no command should
wait for.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from typing import TYPE_CHECKING

from nono.credentials.load import Loaded, LoadedService
from nono.credentials.phantom import SessionToken
from nono.errors import NonoError, reason_of
from nono.launch.proxy.assembly import Assembly
from nono.launch.proxy.front import Front
from nono.policy.services.credential_service import CredentialService
from nono.policy.services.draining import reads_bodies
from nono.proxy.config import Collaborators
from nono.proxy.server import RunningProxy, serve
from nono.proxy.upstream.dial import Resolver
from nono.proxy.verdict.routes import Route

if TYPE_CHECKING:
    from nono.proxy.flows.recorder import FlowRecorder


@asynccontextmanager
async def served(front: Front, parts: Collaborators) -> AsyncIterator[RunningProxy]:
    """Serve until the block is left. Raises NonoError if it cannot start.

    parts: From collaborators(); exchanges are recorded as well if the run asks for it.
    """
    assembly, authority = front.assembly, front.authority
    async with AsyncExitStack() as stack:
        flows = stack.enter_context(_recorder(assembly, front.token))
        proxy = serve(
            front.config._replace(
                routes=(*(_route(service) for service in assembly.services), *assembly.logins.routes()),
                scopes=assembly.resolved.scopes,
                logins=assembly.logins.table,
                server_context=authority.server_context if authority is not None else None,
                token_post=assembly.post,
                upstream_proxy=assembly.upstream_proxy,
            ),
            parts._replace(flows=flows),
            front.listener,
        )
        try:
            running = await stack.enter_async_context(proxy)
        except OSError as error:
            raise NonoError(f"the proxy cannot serve its clients: {reason_of(error)}") from error
        yield running


def collaborators(front: Front, resolver: Resolver) -> Collaborators:
    """Return the collaborators that every proxy of a front has."""
    session = front.assembly.session
    return Collaborators(session.record, resolver, session.warn)


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
    return recording(settings.record_flows, mask, names, assembly.session.record, assembly.session.warn)


def _route(loaded: LoadedService) -> Route:
    service, outcome = loaded.service, loaded.outcome
    upstream = service.upstream
    return Route(
        service=service.name,
        origin=upstream,
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
        same_key=loaded.same_key,
    )


def _injection_mode(service: CredentialService) -> str:
    """Return the injection mode under its name in the audit log."""
    if service.oauth2 is not None:
        return "o_auth2"
    return "aws_sig_v4" if service.aws is not None else service.inject.mode
