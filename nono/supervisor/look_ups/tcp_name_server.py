"""Answer DNS queries over TCP (RFC 7766), on connections that the command made to a name server."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections import OrderedDict
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

from nono.disk.resolv_conf import name_servers
from nono.supervisor.look_ups.name_server import LookUps
from nono.supervisor.verdict.adjudicator import loopback
from nono.supervisor.verdict.dns_message import QUERY_BYTES_MAX
from nono.supervisor.verdict.own_datagrams import DNS
from nono.supervisor.verdict.peer_registry import PeerAddress
from nono.supervisor.verdict.syscall_args import InetAddress
from nono.watch import watch

OPEN_MAX = 64  # connections: beyond that the oldest is closed
EXPECTED_MAX = 256  # of those that were led here, how many may wait to be accepted
OPEN_S = 10.0  # how long each may stay: a resolver connects again
PAUSE_S = 1.0  # without a descriptor for the next connection
_READ_BYTES = 512  # a few queries in each turn of the loop
_LENGTH_BYTES = 2


@dataclass(slots=True)
class _Client:
    connection: socket.socket
    received: bytearray = field(default_factory=bytearray)
    timer: asyncio.TimerHandle | None = None


class TcpNameServer:
    """Stands in for the name servers in /etc/resolv.conf until close(). Listens from its first use on."""

    def __init__(self, look_ups: LookUps) -> None:
        self._look_ups = look_ups
        self._listener: socket.socket | None = None
        self._expected: OrderedDict[PeerAddress, None] = OrderedDict()
        self._clients: OrderedDict[int, _Client] = OrderedDict()  # by descriptor, oldest first

    def stands_for(self, host: IPv4Address | IPv6Address, port: int) -> bool:
        """Return True for the address of a name server that resolvers ask now: another network has others."""
        return port == DNS and host.packed in name_servers()

    def address(self) -> InetAddress:
        """Return where it listens. Raises OSError if it cannot."""
        if self._listener is None:
            listener = socket.create_server(("127.0.0.1", 0))
            try:
                listener.setblocking(False)
                watch(listener.fileno())
            except OSError:
                listener.close()
                raise
            self._listener = listener
            asyncio.get_running_loop().add_reader(listener.fileno(), self._on_connection)
        return loopback(self._listener.getsockname()[1])

    def expect(self, peer: PeerAddress, _cookie: int) -> None:
        """Serve the connection from this address: others are closed, for any program may connect.

        No cookie is compared. Whoever takes over the port of a connection that was reset before it was
        accepted is answered with virtual addresses, which lead nowhere outside the sandbox.
        """
        self._expected[peer] = None
        if len(self._expected) > EXPECTED_MAX:
            self._expected.popitem(last=False)

    def close(self) -> None:
        for descriptor in [*self._clients]:
            self._drop(descriptor)
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener.fileno())
            self._listener.close()
            self._listener = None

    def _on_connection(self) -> None:
        assert self._listener is not None  # it is readable
        try:
            connection, peer = self._listener.accept()
        except OSError as error:  # reset before it was accepted, or no descriptor is left
            if error.errno in (errno.EMFILE, errno.ENFILE):
                self._pause(self._listener)
            return
        if self._expected.pop(peer, False) is not None:
            connection.close()
            return
        connection.setblocking(False)
        try:
            watch(connection.fileno())
        except OSError:
            connection.close()
            return
        if len(self._clients) >= OPEN_MAX:
            self._drop(next(iter(self._clients)))
        descriptor = connection.fileno()
        client = self._clients[descriptor] = _Client(connection)
        loop = asyncio.get_running_loop()
        loop.add_reader(descriptor, self._on_readable, descriptor)
        client.timer = loop.call_later(OPEN_S, self._drop, descriptor)

    def _pause(self, listener: socket.socket) -> None:
        """Accept nothing for a while: the connection that waits would wake the loop in every turn."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(listener.fileno())
        loop.call_later(PAUSE_S, self._go_on, listener)

    def _go_on(self, listener: socket.socket) -> None:
        if listener is self._listener:  # not closed meanwhile
            asyncio.get_running_loop().add_reader(listener.fileno(), self._on_connection)

    def _on_readable(self, descriptor: int) -> None:
        client = self._clients[descriptor]
        try:
            piece = client.connection.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        client.received += piece
        if not piece or not self._answers_all(client):
            self._drop(descriptor)

    def _answers_all(self, client: _Client) -> bool:
        """Answer what has arrived whole. Returns False to a client that does not read, or sends no query."""
        received = client.received
        while len(received) >= _LENGTH_BYTES:
            end = _LENGTH_BYTES + int.from_bytes(received[:_LENGTH_BYTES], "big")
            if end > QUERY_BYTES_MAX:
                return False
            if len(received) < end:
                break
            said = self._look_ups.answer(bytes(received[_LENGTH_BYTES:end]))
            del received[:end]
            if said is None:
                return False
            framed = len(said).to_bytes(_LENGTH_BYTES, "big") + said
            try:
                if client.connection.send(framed) < len(framed):
                    return False
            except OSError:
                return False
        return True

    def _drop(self, descriptor: int) -> None:
        client = self._clients.pop(descriptor)
        if client.timer is not None:
            client.timer.cancel()
        asyncio.get_running_loop().remove_reader(descriptor)
        client.connection.close()
