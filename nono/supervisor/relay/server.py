"""Admit connections to a session's socket that come from its user and present its key."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from nono.sessions import wire
from nono.sessions.meeting import Meeting, is_own

if TYPE_CHECKING:
    from nono.supervisor.poll_loop import Loop, Timer
    from nono.supervisor.relay.relay import Relay

HEAD_S = 2.0  # for a connection to send its request
WAITING_MAX = 8  # connections that have not sent their request yet
PAUSE_S = 1.0  # without a descriptor for the next connection


# Takes over a connection and the bytes received on it.
Others = Callable[[socket.socket, bytes], object]


class _Visitor:
    """An accepted connection, and the bytes that it has sent so far."""

    def __init__(self, connection: socket.socket, timer: Timer) -> None:
        self.connection, self.timer = connection, timer
        self.received = b""


class Server:
    """The listener and the connections that have not sent a request yet. Everything runs on its loop."""

    def __init__(self, loop: Loop, meeting: Meeting, relay: Relay | None, others: Others) -> None:
        """Listen until close(); the caller closes the socket. Raises OSError if it cannot be watched.

        relay: None if nono does not hold the terminal of the session.
        others: Takes requests that neither attach nor detach.
        """
        self._loop = loop
        self._listener, self._key = meeting
        self._relay = relay
        self._others = others
        self._waiting: list[_Visitor] = []
        self._pause: Timer | None = None  # ends with it; nothing is accepted meanwhile
        self._accept_on()

    def move_to(self, loop: Loop, others: Others) -> None:
        """Move to another loop, where `others` takes the requests that neither attach nor detach."""
        self._accept_no_more()
        for visitor in self._waiting:
            self._unwatch(visitor)
        self._loop, self._others = loop, others
        self._accept_on()
        for visitor in self._waiting:
            visitor.timer = loop.call_later(HEAD_S, self._drop, visitor)
            self._watch(visitor)

    def close(self) -> None:
        self._accept_no_more()
        for visitor in (*self._waiting,):
            self._drop(visitor)

    def _accept_on(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listener.fileno(), self._on_connection)

    def _accept_no_more(self) -> None:
        self._loop.remove_reader(self._listener.fileno())
        if self._pause is not None:
            self._pause.cancel()

    def _on_connection(self) -> None:
        try:
            descriptor, _ = self._listener._accept()  # type: ignore[attr-defined] # what socket.accept() calls
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                # The connection that waits would wake the loop in every turn.
                self._loop.remove_reader(self._listener.fileno())
                self._pause = self._loop.call_later(PAUSE_S, self._accept_on)
            return
        with suppress(OSError):
            self._admit(socket.socket(fileno=descriptor))

    def _admit(self, connection: socket.socket) -> None:
        """Serve an accepted connection if it belongs to this user."""
        connection.setblocking(False)
        if len(self._waiting) >= WAITING_MAX or not is_own(connection):
            connection.close()
            return
        visitor = _Visitor(connection, self._loop.call_later(HEAD_S, lambda: self._drop(visitor)))
        self._waiting.append(visitor)
        self._watch(visitor)

    def _watch(self, visitor: _Visitor) -> None:
        self._loop.add_reader(visitor.connection.fileno(), lambda: self._on_readable(visitor))

    def _unwatch(self, visitor: _Visitor) -> None:
        visitor.timer.cancel()
        self._loop.remove_reader(visitor.connection.fileno())

    def _drop(self, visitor: _Visitor) -> None:
        """Close a connection that went away or sent no request in time."""
        self._leave(visitor)
        visitor.connection.close()

    def _leave(self, visitor: _Visitor) -> None:
        self._unwatch(visitor)
        self._waiting.remove(visitor)

    def _on_readable(self, visitor: _Visitor) -> None:
        try:
            piece = visitor.connection.recv(wire.HEAD_BYTES_MAX)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        visitor.received += piece
        if wire.HEAD_END in visitor.received:
            self._leave(visitor)
            self._serve(visitor.connection, visitor.received)
        elif not piece or len(visitor.received) > wire.HEAD_BYTES_MAX:
            self._drop(visitor)

    def _serve(self, connection: socket.socket, received: bytes) -> None:
        head, end, rest = received.partition(wire.HEAD_END)
        request = wire.parse_request(head + end)
        if request is None:
            _answer(connection, wire.BAD, "this is no request of HTTP/1.1")
        elif not self._knows_key(request):
            _answer(connection, wire.DENIED)
        elif request.target not in (wire.ATTACH, wire.DETACH):
            self._others(connection, received)
        elif self._relay is None:
            _answer(connection, wire.NOT_FOUND, "the session has no terminal of its own")
        elif request.target == wire.ATTACH and not self._relay.is_full:
            self._attach(self._relay, connection, request, rest)
        elif request.target == wire.ATTACH:
            _answer(connection, wire.BUSY, "as many are attached as can be")
        elif self._relay.is_attached:
            self._relay.detach_all()
            _answer(connection, wire.OK)
        else:
            _answer(connection, wire.BUSY, "nobody is attached")

    def _attach(self, relay: Relay, connection: socket.socket, request: wire.Request, rest: bytes) -> None:
        relay.follow_screen()
        try:
            relay.attach(connection, request.size, rest, request.words, wire.response(wire.SWITCHED))
        except OSError:  # the viewer cannot be recorded
            connection.close()

    def _knows_key(self, request: wire.Request) -> bool:
        # Imported here: it loads OpenSSL, and few sessions ever receive a request.
        from hmac import compare_digest

        return compare_digest(request.key.encode("ascii"), self._key.encode("ascii"))


def _answer(connection: socket.socket, status: int, error: str = "") -> None:
    """Send a response and close. It fits in the empty send buffer of the connection, so it is sent whole."""
    with connection, suppress(OSError):
        connection.send(wire.response(status, error))
