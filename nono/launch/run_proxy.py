"""Opens the proxy of one run: its credentials, its listener, and the ports relayed beside it."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    ExitStack,
    asynccontextmanager,
    closing,
    contextmanager,
    nullcontext,
)

from nono.audit import event
from nono.audit.event import Recorder
from nono.credentials.phantom import make_session_token
from nono.kernel import process
from nono.kernel.sock_diag import SocketOwners
from nono.launch.proxy.assembly import Assembly, assemble, config_of, proxy_of
from nono.launch.proxy.exposed import LoadedKeys, loaded_keys, warn_of_arguments, withhold
from nono.launch.proxy.git_ssh import git_ssh
from nono.launch.proxy.same_user import same_user
from nono.launch.start import RunContext
from nono.launch.supervised import Network, approver_of
from nono.policy.ports import OPEN_PORT, PortGrants, PortRange
from nono.proxy.config import Address, Recognises
from nono.sandbox.plan.enforcement import Rung
from nono.supervisor.verdict.adjudicator import NetworkGrants, loopback
from nono.supervisor.verdict.peer_registry import PeerRegistry


def with_proxy(run: RunContext) -> AbstractAsyncContextManager[Network]:
    """Read the credentials now, and start the proxy when the block is entered."""
    assembly = assemble(run.prepared.resolved, run.session, ca_worker=run.ca_worker, prompt=run.key_prompt)
    keys = loaded_keys(assembly)
    warn_of_arguments(keys, run.prepared.argv, run.session)
    return _network(run, assembly, keys)


@asynccontextmanager
async def _network(run: RunContext, assembly: Assembly, keys: LoadedKeys) -> AsyncIterator[Network]:
    capabilities, resolved = run.prepared.capabilities, run.prepared.resolved
    peers = PeerRegistry()
    # On the notify rung the supervisor makes every connection itself, and so knows which are its child's. On
    # netns nobody else is in the network where the proxy listens. On the others only the user is known.
    rung = run.prepared.enforcement.rung
    admits = peers.take if rung is Rung.NOTIFY else None
    asks_user = rung not in (Rung.NOTIFY, Rung.NETNS)
    with (
        _left_logins(run, assembly),
        _private_network(run) as (private, maker),
        _recognised(rung, peers) as recognises,
        same_user("127.0.0.1") if asks_user else nullcontext() as is_ours,
    ):
        token = make_session_token()
        config = config_of(resolved, token)._replace(port=run.proxy_port)
        async with (
            approver_of(run) as approver,
            proxy_of(
                assembly,
                config,
                token,
                admits=admits,
                is_ours=is_ours,
                recognises=recognises,
                approver=approver,
                listener=private,
            ) as proxy,
        ):
            port = proxy.running.port
            hosts = resolved.host_filter
            assert hosts is not None  # or there was no proxy
            ssh = git_ssh(run.inherited, hosts, capabilities.grants)
            watched = None if run.observation is None else run.observation.ports
            ports = capabilities.ports if watched is None else watched
            variables = {**proxy.variables, **ssh.variables}
            inherited = {**run.inherited, **variables}
            withheld = withhold(keys, inherited, run.env_credentials, run.session)
            yield Network(
                NetworkGrants(
                    loopback(port),
                    ports,
                    resolved.unix_sockets._replace(written=capabilities.grants),
                    own_servers=rung is Rung.NOTIFY and watched is None,
                ),
                approver,
                port,
                variables,
                (*proxy.files, *ssh.files),
                _relayed(maker, capabilities.ports, run.session.record),
                peers.register,
                None if watched is None else watched.bound,
                withheld,
            )
    run.session.say([f"  [nono] used: {line}" for line in proxy.running.usage_lines])


def _left_logins(run: RunContext, assembly: Assembly) -> AbstractContextManager[None]:
    resolved = run.prepared.resolved
    if not resolved.oauth_routes or not resolved.capabilities.masking.absent:
        return nullcontext()
    # Imported here: few runs have a login.
    from nono.launch.proxy.left_logins import left_logins_removed

    return left_logins_removed(resolved, run.session, assembly.phantoms)


@contextmanager
def _recognised(rung: Rung | None, peers: PeerRegistry) -> Iterator[Recognises | None]:
    """Yield a predicate for connections that the command made for certain; None if there is no telling."""
    if rung is Rung.NETNS:
        yield lambda client, listener: True  # nobody else is in that network
        return
    if rung is not Rung.NOTIFY:
        yield None
        return
    with ExitStack() as stack:
        owners: list[SocketOwners] = []  # made when it is first asked: most clients send the token

        def recognises(client: Address, listener: Address) -> bool:
            expected = peers.cookie(client)
            if not expected:
                return False
            try:
                if not owners:
                    owners.append(stack.enter_context(closing(SocketOwners())))
            except OSError:
                return False
            return owners[0].cookie(client, listener) == expected

        yield recognises


@contextmanager
def _private_network(
    run: RunContext,
) -> Iterator[tuple[socket.socket | None, socket.socket | None]]:
    """Open the command's private network; yields the proxy's listener there and a socket maker's channel.

    Both are None on other rungs. Without a granted port nothing is relayed, and there is no maker.
    """
    if run.prepared.enforcement.rung is not Rung.NETNS:
        yield None, None
        return
    ports = run.prepared.capabilities.ports
    makes_sockets = bool(ports.listen or ports.open)
    number, maker = run.launcher.leave_network(run.proxy_port, makes_sockets=makes_sockets)
    with ExitStack() as stack:
        listener = stack.enter_context(_take_socket(run, number))
        listener.setblocking(False)
        yield listener, None if maker is None else stack.enter_context(_take_socket(run, maker))


def _take_socket(run: RunContext, number: int) -> socket.socket:
    return socket.socket(fileno=process.duplicate_descriptor(run.launcher.pid, number))


def _relayed(
    maker: socket.socket | None, ports: PortGrants, record: Recorder
) -> AbstractAsyncContextManager[None]:
    """Relay the granted ports between this host and the private network; does nothing without a maker."""
    if maker is None:
        return nullcontext()
    # Imported here: few runs have one.
    from nono.supervisor.port_relay import ADDRESS, relayed

    def reached(port: int) -> None:
        record(event.network(mode="connect", decision="allow", target=ADDRESS, port=port, rule=OPEN_PORT))

    return relayed(_each(ports.listen), _each(ports.open), maker, reached)


def _each(ranges: Sequence[PortRange]) -> list[int]:
    return [port for each in ranges for port in range(each.first, each.last + 1)]
