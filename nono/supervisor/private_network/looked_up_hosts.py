"""Answer look-ups in the command's private network, and listen there at the address of each host.

No connect is trapped there: what the proxy accepts at an address is meant for the host that has it.
"""

from __future__ import annotations

import asyncio
import resource
import socket
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager, closing
from ipaddress import IPv4Address

import anyio
from anyio.abc import TaskGroup

from nono.supervisor.look_ups.name_server import LookUps, NameServer
from nono.supervisor.private_network.sockets import PrivateNetwork
from nono.supervisor.verdict.virtual_addresses import Answered
from nono.watch import watch

LISTENERS_MAX = 1024  # each takes a descriptor
_OF_ALL_FILES = 4  # and so at most a quarter of what this process may have open: clients take two each
PORTS_MAX = 16  # of a host
WAITING_MAX = 1024  # look-ups whose listeners are being made: beyond that one gets no answer, and comes again
USUAL_PORTS = (22, 80, 443)  # a refusal there says what grants the port

ServeAlso = Callable[[socket.socket], Awaitable[asyncio.Server]]  # takes the listener over
PortsOf = Callable[[str], Collection[int]]  # of a host: the ports that rules name


@asynccontextmanager
async def answered(
    inside: PrivateNetwork, look_ups: LookUps, ports_of: PortsOf, serve_also: ServeAlso
) -> AsyncIterator[None]:
    """Answer look-ups until the block is left. Raises OSError or TimeoutError if the maker is gone."""
    listeners = _Listeners(inside, ports_of, serve_also)
    descriptors = [each.detach() for each in await inside.name_servers()]
    with closing(listeners):
        async with anyio.create_task_group() as tasks:
            ready = _Ready(listeners, tasks)
            with closing(NameServer(descriptors, look_ups, ready.have_listeners)):
                try:
                    yield
                finally:
                    tasks.cancel_scope.cancel()


class _Ready:
    """Has each answer wait until somebody listens at its address, and no answer wait for another's."""

    def __init__(self, listeners: _Listeners, tasks: TaskGroup) -> None:
        self._listeners = listeners
        self._tasks = tasks
        self._waiting = 0

    def have_listeners(self, answered: Answered, send: Callable[[], None]) -> None:
        if answered.host is None or answered.address is None:
            send()
            return
        address = str(IPv4Address(answered.address))
        if self._listeners.are_open(answered.host, address):
            send()
        elif self._waiting < WAITING_MAX:
            self._waiting += 1
            self._tasks.start_soon(self._open_and_send, answered.host, address, send)

    async def _open_and_send(self, host: str, address: str, send: Callable[[], None]) -> None:
        try:
            await self._listeners.listen_for(host, address)
            send()
        finally:
            self._waiting -= 1


class _Listeners:
    """The listeners at the addresses of the hosts that were looked up last."""

    def __init__(self, inside: PrivateNetwork, ports_of: PortsOf, serve_also: ServeAlso) -> None:
        self._inside = inside
        self._ports_of = ports_of
        self._serve_also = serve_also
        self._opening = anyio.Lock()
        self._open: OrderedDict[str, dict[int, asyncio.Server]] = OrderedDict()  # by address and port
        self._number = 0
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        is_limited = files != resource.RLIM_INFINITY
        self._number_max = min(LISTENERS_MAX, files // _OF_ALL_FILES) if is_limited else LISTENERS_MAX

    def are_open(self, host: str, address: str) -> bool:
        """Return True if nothing is left to do for listen_for(), which is done then."""
        if self._missing(host, address):
            return False
        self._open.move_to_end(address)
        return True

    async def listen_for(self, host: str, address: str) -> None:
        """Listen at the address of a host on each port that its rules name, and on the usual ones."""
        async with self._opening:
            there = self._open.setdefault(address, {})
            for port in self._missing(host, address):
                try:
                    await self._listen(there, address, port)
                except (ConnectionError, TimeoutError):
                    break  # the maker has been killed, or stopped
                except OSError:
                    continue  # a server of the command's own has the port
            self._open.move_to_end(address)  # whatever was looked up meanwhile
            while self._number > self._number_max and len(self._open) > 1:
                self._close(next(iter(self._open)))

    def close(self) -> None:
        for address in [*self._open]:
            self._close(address)

    def _missing(self, host: str, address: str) -> list[int]:
        there = self._open.get(address, {})
        wanted = dict.fromkeys((*USUAL_PORTS, *sorted(self._ports_of(host))))
        return [port for port in [*wanted][:PORTS_MAX] if port not in there]

    async def _listen(self, there: dict[int, asyncio.Server], address: str, port: int) -> None:
        listener = await self._inside.listen(address, port)
        if listener is None:
            return
        try:
            watch(listener.fileno())
            there[port] = await self._serve_also(listener)
        except BaseException:
            listener.close()
            raise
        self._number += 1

    def _close(self, address: str) -> None:
        there = self._open.pop(address)
        self._number -= len(there)
        for server in there.values():
            server.close()
