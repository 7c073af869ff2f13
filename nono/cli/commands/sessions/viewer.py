"""Copies between the terminal of a person and the socket of a session, until one of them has enough."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
from collections.abc import Mapping
from contextlib import suppress

from nono.cli.commands.sessions.own_terminal import Lent
from nono.kernel import signals
from nono.sessions import wire
from nono.sessions.detach_key import DetachKeys
from nono.sessions.modes import Modes
from nono.sessions.wire import Frames

READ_BYTES = 1 << 16
TYPED_BYTES_MAX = 1 << 16
LAST_WORDS_S = 1.0
_ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)


class Viewer:
    """One attached terminal."""

    def __init__(
        self, connection: socket.socket, received: bytes, size: wire.Size | None, keys: bytes, lent: Lent
    ) -> None:
        """received: What came behind the head of the response. size: The one that the supervisor was told."""
        self._connection = connection
        self._size = size
        self._received = received
        self._keys = DetachKeys(keys)
        self._lent = lent
        self._modes = Modes()
        self._frames = Frames()
        self._unsent = bytearray()

    def view(self, report: int) -> int:
        """Copy until the end, and write why it ended to the descriptor `report`. Returns an exit code."""
        descriptor = signals.open_signalfd((signal.SIGWINCH, *_ENDING))
        self._connection.setblocking(False)
        end = self._show(self._received)
        if terminal_size() != self._size:
            self._send_size()
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        while end is None:
            may_type = len(self._unsent) < TYPED_BYTES_MAX
            poll.register(0, select.POLLIN if may_type else 0)
            poll.register(self._connection, select.POLLIN | (select.POLLOUT if self._unsent else 0))
            ready = dict(poll.poll())
            if descriptor in ready:
                end = self._on_signal(descriptor)
            if end is None and self._connection.fileno() in ready:
                end = self._on_connection(ready[self._connection.fileno()])
            if end is None and 0 in ready:
                end = self._on_typed()
        if end.get("end") == "detached":
            self._send_rest()
        os.write(report, json.dumps(dict(end)).encode("ascii"))
        return 0

    def _send_rest(self) -> None:
        """Send what was typed before the keys that detach, if it is taken soon."""
        with suppress(OSError):
            self._connection.settimeout(LAST_WORDS_S)
            self._connection.sendall(self._unsent)

    def _on_signal(self, descriptor: int) -> Mapping[str, object] | None:
        while (received := signals.read_signal(descriptor)) is not None:
            if received.number != signal.SIGWINCH:
                return {"end": "detached"}
            self._send_size()
        return None

    def _send_size(self) -> None:
        size = terminal_size()
        if size is not None:
            self._unsent += wire.frame(wire.SIZE, wire.SCREEN.pack(*size))

    def _on_connection(self, events: int) -> Mapping[str, object] | None:
        try:
            if events & select.POLLOUT:
                del self._unsent[: self._connection.send(self._unsent)]
            if events & ~select.POLLOUT:
                received = self._connection.recv(READ_BYTES)
                return self._show(received) if received else {"end": "lost"}
        except BlockingIOError:
            return None
        except OSError:
            return {"end": "lost"}
        return None

    def _show(self, received: bytes) -> Mapping[str, object] | None:
        try:
            for kind, content in self._frames.feed(received):
                if kind == wire.END:
                    return wire.parse_end(content)
                if kind == wire.DATA:
                    if self._modes.feed(content):
                        # Noted before it is written: a kill in between must not leave them armed.
                        self._lent.note(self._modes.disarm())
                    _write(content)
        except (OSError, ValueError):
            return {"end": "detached"}
        return None

    def _on_typed(self) -> Mapping[str, object] | None:
        try:
            typed = os.read(0, READ_BYTES // 2)
        except OSError:
            typed = b""
        passed, is_detached = self._keys.feed(typed)
        if passed:
            self._unsent += wire.frame(wire.DATA, passed)
        return {"end": "detached"} if is_detached or not typed else None


def terminal_size() -> wire.Size | None:
    """Return the size of the terminal on stdout; None if it does not say."""
    try:
        columns, rows = os.get_terminal_size(1)
    except OSError:
        return None
    return wire.size_of(rows, columns)


def _write(content: bytes) -> None:
    remaining = memoryview(content)
    while remaining:
        remaining = remaining[os.write(1, remaining) :]
