"""Relay loopback ports between this host and the private network of the command."""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress

import anyio

from nono.errors import LaunchError
from nono.sandbox.socket_maker import TCP_IPV4, TCP_IPV6
from nono.supervisor.private_network.sockets import BACKLOG, PrivateNetwork

ADDRESS = "127.0.0.1"
CONNECTIONS_MAX = 256  # on all ports together; further connections are reset
BUFFER_BYTES = 64 * 1024
CONNECT_PATIENCE_S = 10.0  # for a server inside whose backlog is full
ACCEPT_PAUSE_S = 0.1  # after a failed accept; without free descriptors it would fail again at once

_LOOPBACKS = {TCP_IPV4: "127.0.0.1", TCP_IPV6: "::1"}  # addresses of a server, in the order tried
_FAMILIES = {TCP_IPV4: socket.AF_INET, TCP_IPV6: socket.AF_INET6}
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@asynccontextmanager
async def relayed(
    inward: Sequence[int],
    outward: Sequence[int],
    inside: PrivateNetwork,
    reached: Callable[[int], None],
) -> AsyncIterator[None]:
    """Relay ports until the block is left.

    inward: Ports on which this host reaches the command.
    outward: Ports of this host that the command reaches on the same ports of its own network.
    reached: Called before each outward connection, which is not made if this raises OSError.

    Raises LaunchError if nothing can listen on a port.
    """
    relay = _Relay()

    async def connect_inside(port: int) -> socket.socket:
        return await _connect(port, inside.make)

    async def connect_here(port: int) -> socket.socket:
        reached(port)
        return await _connect(port, _make_here)

    with ExitStack() as stack:
        here = {port: stack.enter_context(_listen(port)) for port in dict.fromkeys(inward)}
        there = {
            port: stack.enter_context(await _listen_inside(inside, port)) for port in dict.fromkeys(outward)
        }
        async with anyio.create_task_group() as tasks:
            for port, listener in here.items():
                tasks.start_soon(relay.serve, listener, port, connect_inside)
            for port, listener in there.items():
                tasks.start_soon(relay.serve, listener, port, connect_here)
            try:
                yield
            finally:
                tasks.cancel_scope.cancel()


def _listen(port: int) -> socket.socket:
    try:
        listener = socket.create_server((ADDRESS, port), backlog=BACKLOG)
    except OSError as error:
        raise LaunchError(
            f"--listen-port {port}: nothing can listen on {ADDRESS}:{port}: {error.strerror}", exit_code=1
        ) from error
    listener.setblocking(False)
    return listener


class _Relay:
    def __init__(self) -> None:
        self._open = 0

    async def serve(
        self, listener: socket.socket, port: int, connect: Callable[[int], Awaitable[socket.socket]]
    ) -> None:
        loop = asyncio.get_running_loop()
        async with anyio.create_task_group() as tasks:
            while True:
                try:
                    client, _ = await loop.sock_accept(listener)
                except OSError:
                    await anyio.sleep(ACCEPT_PAUSE_S)
                    continue
                client.setblocking(False)
                if self._open >= CONNECTIONS_MAX:
                    _reset(client)
                    continue
                self._open += 1
                tasks.start_soon(self._carry, client, port, connect)

    async def _carry(
        self, client: socket.socket, port: int, connect: Callable[[int], Awaitable[socket.socket]]
    ) -> None:
        with client:
            try:
                server = await connect(port)
                with server:
                    await _splice(client, server)
            except (OSError, TimeoutError):
                _reset(client)
            finally:
                self._open -= 1


async def _connect(port: int, make: Callable[[bytes], Awaitable[socket.socket | None]]) -> socket.socket:
    """Connect to the server on a loopback port; the caller closes the connection.

    Raises OSError if nobody listens.
    """
    for asked, address in _LOOPBACKS.items():
        made = await make(asked)
        if made is None:
            continue
        try:
            with anyio.fail_after(CONNECT_PATIENCE_S):
                await asyncio.get_running_loop().sock_connect(made, (address, port))
        except ConnectionRefusedError:
            made.close()
            continue
        except BaseException:
            made.close()
            raise
        return made
    raise OSError(errno.ECONNREFUSED, "nobody listens")


async def _make_here(asked: bytes) -> socket.socket | None:
    try:
        made = socket.socket(_FAMILIES[asked], socket.SOCK_STREAM)
    except OSError:  # no IPv6 on this host
        return None
    made.setblocking(False)
    return made


async def _listen_inside(inside: PrivateNetwork, port: int) -> socket.socket:
    """Return a listener of the private network; the caller closes it. Raises LaunchError on failure."""
    try:
        listener = await inside.listen(ADDRESS, port)
    except OSError as error:
        raise LaunchError(
            f"--open-port {port}: nothing can listen on {ADDRESS}:{port} of the private network: "
            f"{error.strerror}",
            exit_code=1,
        ) from error
    if listener is None:
        raise LaunchError(f"--open-port {port}: the private network has no socket for it", exit_code=1)
    return listener


async def _splice(left: socket.socket, right: socket.socket) -> None:
    async with anyio.create_task_group() as tasks:

        async def pump(source: socket.socket, target: socket.socket) -> None:
            loop = asyncio.get_running_loop()
            try:
                while received := await loop.sock_recv(source, BUFFER_BYTES):
                    await loop.sock_sendall(target, received)
                target.shutdown(socket.SHUT_WR)
            except OSError:  # one end is gone, so the connection is over
                tasks.cancel_scope.cancel()

        tasks.start_soon(pump, left, right)
        tasks.start_soon(pump, right, left)


def _reset(client: socket.socket) -> None:
    """Send the RST that a client would get from a closed port, if that is still possible."""
    with client, suppress(OSError):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
