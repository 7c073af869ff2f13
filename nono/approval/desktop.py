"""Show a notification on a person's desktop (org.freedesktop.Notifications on the session bus)."""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial

from jeepney import DBusAddress, MessageType, message_bus, new_method_call
from jeepney.auth import BEGIN, Authenticator
from jeepney.bus import get_connectable_addresses
from jeepney.low_level import calc_msg_size

LIMIT_S = 5.0  # for the whole exchange; the bus may have to start the service
RECEIVED_MAX = 65536  # bytes; a bus sends a few hundred
_HEAD_BYTES = 16
_PEER = struct.Struct("iII")  # struct ucred of SO_PEERCRED: pid, uid, gid
_SERVICE = DBusAddress(
    "/org/freedesktop/Notifications", "org.freedesktop.Notifications", "org.freedesktop.Notifications"
)


def show(address: str, title: str, body: str) -> None:
    """Show a notification, and wait until the desktop has accepted it.

    Raises OSError or ValueError if it cannot be shown, or jeepney's own error for an invalid address.

    address: The value of DBUS_SESSION_BUS_ADDRESS. Only Unix sockets in it are used.
    body: Read as markup by many desktops.
    """
    # No action button: a person answers at a terminal, where the whole question is shown.
    values: tuple[object, ...] = ("nono", 0, "dialog-question", title, body, [], {"urgency": ("y", 1)}, -1)
    notify = new_method_call(_SERVICE, "Notify", "susssasa{sv}i", values)
    with _bus(get_connectable_addresses(address), time.monotonic() + LIMIT_S) as bus:
        bus.send(message_bus.Hello().serialise(serial=1) + notify.serialise(serial=2))
        for _ in range(2):
            bus.await_reply()


class _Bus:
    """A connection to a message bus. Replies are counted and never parsed, whoever sends them."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline
        self._received = 0

    def send(self, content: bytes) -> None:
        self._limit()
        self._connection.sendall(content)

    def receive(self, size: int) -> bytes:
        """Return at least one byte."""
        self._limit()
        piece = self._connection.recv(size)
        self._received += len(piece)
        if not piece or self._received > RECEIVED_MAX:
            raise ConnectionError("the bus hangs up" if not piece else "the bus says too much")
        return piece

    def await_reply(self) -> None:
        """Wait for the next reply to a call. Raises ConnectionError if it is an error."""
        kind = 0
        while kind != MessageType.method_return.value:
            head = self._exactly(_HEAD_BYTES)
            self._exactly(calc_msg_size(head) - _HEAD_BYTES)
            kind = head[1]
            if kind == MessageType.error.value:
                raise ConnectionError("the call was refused; no desktop may be there")

    def authenticate(self) -> None:
        authenticator = Authenticator()
        for line in authenticator:
            self.send(line)
            authenticator.feed(self.receive(1024))
        self.send(BEGIN)

    def _exactly(self, size: int) -> bytes:
        found = bytearray()
        while len(found) < size:
            found += self.receive(min(size - len(found), RECEIVED_MAX))
        return bytes(found)

    def _limit(self) -> None:
        left_s = self._deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("the bus has not answered in time")
        self._connection.settimeout(left_s)


@contextmanager
def _bus(paths: Iterable[str], deadline: float) -> Iterator[_Bus]:
    """Connect to the first available bus. Raises OSError, or ValueError if the bus rejects the user."""
    connect = partial(socket.socket, socket.AF_UNIX, socket.SOCK_STREAM)
    for path in paths:
        with connect() as connection:
            connection.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                connection.connect(path)
            except OSError:
                continue
            # Any process may take over the abstract name of a bus that has ended, and would read the
            # questions.
            credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
            if _PEER.unpack(credentials)[1] not in (0, os.geteuid()):
                raise PermissionError("the bus is another user's")
            bus = _Bus(connection, deadline)
            bus.authenticate()
            yield bus
            return
    raise ConnectionError("there is no bus at the address")
