"""Answer look-ups in the command's private network, and listen there at the address of each host.

No connect is trapped there: what the proxy accepts at an address is meant for the host that has it.
"""

from __future__ import annotations

import socket
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import ExitStack, asynccontextmanager, suppress
from ipaddress import IPv4Address

import anyio

from nono.supervisor.look_ups.name_server import WAITING_BYTES, LookUps
from nono.supervisor.private_network.sockets import PrivateNetwork
from nono.supervisor.verdict.dns_message import QUERY_BYTES_MAX, answer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import Server

HOSTS_MAX = 128  # at whose addresses somebody listens: each takes a descriptor for each port
PORTS_MAX = 16  # of a host
USUAL_PORTS = (22, 80, 443)  # a refusal there says what grants the port

ServeAlso = Callable[[socket.socket], Awaitable["Server"]]  # takes the listener over
PortsOf = Callable[[str], Collection[int]]  # of a host: the ports that rules name


@asynccontextmanager
async def answered(
    inside: PrivateNetwork, look_ups: LookUps, ports_of: PortsOf, serve_also: ServeAlso
) -> AsyncIterator[None]:
    """Answer look-ups until the block is left. Raises OSError or TimeoutError if the maker is gone."""
    listeners = _Listeners(inside, ports_of, serve_also)
    with ExitStack() as stack:
        servers = [stack.enter_context(each) for each in await inside.name_servers()]
        stack.callback(listeners.close)
        async with anyio.create_task_group() as tasks:
            for served in servers:
                tasks.start_soon(_answer_each, served, look_ups, listeners)
            try:
                yield
            finally:
                tasks.cancel_scope.cancel()


async def _answer_each(served: socket.socket, look_ups: LookUps, listeners: _Listeners) -> None:
    served.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WAITING_BYTES)
    while True:
        await anyio.wait_readable(served)
        try:
            message, client = served.recvfrom(QUERY_BYTES_MAX)
        except OSError:  # the client of the last answer had closed its socket
            continue
        judged = look_ups.judge(message)
        if judged is None:
            continue
        query, answered = judged
        if answered.host is not None and answered.address is not None:
            await listeners.listen_for(answered.host, str(IPv4Address(answered.address)))
        with suppress(OSError):
            served.sendto(answer(query, answered.code, answered.address), client)


class _Listeners:
    """The listeners at the addresses of the hosts that were looked up last."""

    def __init__(self, inside: PrivateNetwork, ports_of: PortsOf, serve_also: ServeAlso) -> None:
        self._inside = inside
        self._ports_of = ports_of
        self._serve_also = serve_also
        self._opening = anyio.Lock()
        self._open: OrderedDict[str, dict[int, Server]] = OrderedDict()  # by address and port

    async def listen_for(self, host: str, address: str) -> None:
        """Listen at the address of a host on each port that its rules name, and on the usual ones."""
        named = sorted(self._ports_of(host))
        async with self._opening:
            there = self._open.setdefault(address, {})
            self._open.move_to_end(address)
            for port in dict.fromkeys((*USUAL_PORTS, *named)[:PORTS_MAX]):
                # A server of the command's own may have the port, and the maker may have been killed.
                if port not in there:
                    with suppress(OSError, TimeoutError):
                        await self._listen(there, address, port)
            if len(self._open) > HOSTS_MAX:
                _close(self._open.popitem(last=False)[1])

    async def _listen(self, there: dict[int, Server], address: str, port: int) -> None:
        listener = await self._inside.listen(address, port)
        if listener is not None:
            there[port] = await self._serve_also(listener)

    def close(self) -> None:
        for there in self._open.values():
            _close(there)


def _close(there: dict[int, Server]) -> None:
    for server in there.values():
        server.close()
