"""Serve the network of a run with a proxy: its clients, its private network, and who owns a connection."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    ExitStack,
    asynccontextmanager,
    closing,
    contextmanager,
    nullcontext,
)
from functools import partial
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from nono.disk.hosts_file import names_by_address
from nono.kernel.sock_diag import SocketOwners
from nono.launch.control.live import Live, LiveNetwork
from nono.launch.proxy.engine import collaborators, served
from nono.launch.proxy.same_user import same_user
from nono.launch.serving.approver import approver_of
from nono.launch.serving.network import ServedNetwork, ServePrivate, no_private_network
from nono.launch.start import RunContext
from nono.policy.live.ports import LivePorts
from nono.policy.live.sockets import LiveSockets
from nono.policy.ports import PortGrants
from nono.sandbox.plan.enforcement import Rung
from nono.supervisor.verdict.adjudicator import NetworkGrants, loopback
from nono.supervisor.verdict.peer_registry import PeerRegistry
from nono.supervisor.verdict.syscall_args import InetAddress
from nono.supervisor.verdict.virtual_addresses import VirtualAddresses

if TYPE_CHECKING:
    from nono.approval.broker import ApprovalBroker
    from nono.audit.traffic import Spent
    from nono.launch.proxy.front import Front
    from nono.policy.hosts.host_filter import Refuse
    from nono.proxy.config import Address, DestinationOf, OpenProgram, Recognises
    from nono.proxy.conversation.run_turns import OnTurn
    from nono.proxy.server import RunningProxy
    from nono.proxy.upstream.dial import Resolver


@asynccontextmanager
async def with_proxy(
    run: RunContext, front: Front, resolver: Resolver, maker: socket.socket | None
) -> AsyncIterator[ServedNetwork]:
    """Serve the clients of the proxy of a run.

    resolver: Looks up the addresses of upstream hosts.
    maker: The channel of a socket maker in the private network; None without one.
    """
    peers = PeerRegistry()
    # On the rung notify the supervisor makes every connection itself, and so knows its child's. On netns the
    # command is alone in the proxy's network. On the others only the user is known.
    rung = run.prepared.enforcement.rung

    def judge(name: str) -> Refuse | None:
        return proxy.judge_look_up(name)  # the proxy is there before the first look-up is answered

    names = None
    if rung in (Rung.NOTIFY, Rung.NETNS):
        names = VirtualAddresses(judge, os.uname().nodename, names_by_address)
    admits = peers.take if rung is Rung.NOTIFY else None
    asks_user = rung not in (Rung.NOTIFY, Rung.NETNS)
    with (
        _recognised(rung, peers) as recognises,
        same_user("127.0.0.1") if asks_user else nullcontext() as is_ours,
    ):
        parts = collaborators(front, resolver)._replace(
            admits=admits,
            is_ours=is_ours,
            recognises=recognises,
            destination_of=_destinations(rung, peers, names),
            on_turn=_marks(run),
        )
        async with (
            approver_of(run) as approver,
            _mcp_servers(run) as programs,
            served(front, parts._replace(approver=approver, programs=programs)) as proxy,
        ):
            yield _network(run, front, proxy, approver, peers, names, maker)
    if run.traffic is not None:
        run.traffic.usage = proxy.usage_rows


def _mcp_servers(run: RunContext) -> AbstractAsyncContextManager[Mapping[Address, OpenProgram]]:
    if not run.prepared.resolved.mcp_servers:
        return nullcontext({})
    # Imported here: few runs have one.
    from nono.launch.mcp.servers import mcp_servers

    return mcp_servers(run)


def _network(
    run: RunContext,
    front: Front,
    proxy: RunningProxy,
    approver: ApprovalBroker | None,
    peers: PeerRegistry,
    names: VirtualAddresses | None,
    maker: socket.socket | None,
) -> ServedNetwork:
    """Return what the command is granted of the network, and which of it may change during the run."""
    capabilities, is_notify = run.prepared.capabilities, run.prepared.enforcement.rung is Rung.NOTIFY
    watched = None if run.options.observation is None else run.options.observation.ports
    unix = run.prepared.resolved.unix_sockets._replace(written=capabilities.grants)
    live = Live(_live(front, proxy.rules_changed, proxy.spent), proxy_port=proxy.port)
    if is_notify:
        live = live._replace(sockets=LiveSockets(unix))
    if is_notify and watched is None:
        live = live._replace(ports=LivePorts(capabilities.ports))
    return ServedNetwork(
        NetworkGrants(
            loopback(proxy.port),
            watched or live.ports or capabilities.ports,
            live.sockets or unix,
            kept_ports=capabilities.kept_ports,
            own_servers=is_notify and watched is None,
        ),
        approver,
        live,
        peers.register,
        names,
        None if watched is None else watched.bound,
        _private_network(maker, names, proxy, capabilities.ports),
    )


def _private_network(
    maker: socket.socket | None, names: VirtualAddresses | None, proxy: RunningProxy, ports: PortGrants
) -> ServePrivate:
    if maker is None or names is None:
        return no_private_network
    # Imported here: few runs have one.
    from nono.launch.serving.private_network import served

    return partial(served, maker, names, proxy, ports)


def _destinations(
    rung: Rung | None, peers: PeerRegistry, names: VirtualAddresses | None
) -> DestinationOf | None:
    """Return what knows where a connection to the proxy was meant to lead; None if nothing does."""
    if rung is Rung.NOTIFY:
        return lambda client, _: peers.destination(client)
    if rung is not Rung.NETNS or names is None:
        return None

    def by_address(_: Address, listener: Address) -> Address | None:
        host, port = listener
        return names.destination(InetAddress(IPv4Address(host), port))

    return by_address


def _marks(run: RunContext) -> OnTurn | None:
    """Return a function that takes a mark for undo when a turn begins; None for a run without undo."""
    if run.beside.undo is None:
        return None
    # Imported here: few runs use undo.
    from nono.launch.around.turn_marks import TurnMarks

    return TurnMarks(run.beside.undo, run.beside.written, run.session)


def _live(front: Front, changed: Callable[[], int], spent: Callable[[], Spent | None]) -> LiveNetwork | None:
    """Return the rules that may change; None for a run that learns them."""
    config, assembly = front.config, front.assembly
    if config.live_hosts is None or config.live_endpoints is None:
        return None
    services = {each.service.name: each.service.endpoints for each in assembly.services}
    services |= {route.name: route.endpoints for route in assembly.logins.captured}
    return LiveNetwork(config.live_hosts, config.live_endpoints, services, changed, spent)


@contextmanager
def _recognised(rung: Rung | None, peers: PeerRegistry) -> Iterator[Recognises | None]:
    """Yield a predicate for connections that the command made for certain; None if that cannot be known."""
    if rung is Rung.NETNS:
        yield lambda client, listener: True  # the command is alone in that network
        return
    if rung is not Rung.NOTIFY:
        yield None
        return
    with ExitStack() as stack:
        owners: list[SocketOwners] = []  # created on first use, because most clients send the token

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
