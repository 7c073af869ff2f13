"""One attached connection: what it still has to take, and what it has sent."""

from __future__ import annotations

import socket
from contextlib import suppress

from nono.sessions import wire
from nono.sessions.wire import Frames, Size

RECEIVE_BYTES = 1 << 16
QUEUED_BYTES_MAX = 1 << 18  # for the writer; then the command waits, as for a slow terminal
BEHIND_BYTES_MAX = 1 << 22  # for others, who hold nothing up


class Viewer:
    """A connection that does not block; closed with close()."""

    def __init__(self, connection: socket.socket, size: Size | None, words: frozenset[str]) -> None:
        """words: What kind of viewer it is, of nono.sessions.wire."""
        self.connection = connection
        self.size = size
        self.may_type = wire.READ_ONLY not in words
        self.can_be_asked = self.may_type and wire.ASKS in words
        self.frames = Frames()
        self.unsent = bytearray()
        self.is_held = False  # until the screen is drawn that its output goes on from
        self.picture_bytes = 0  # of that screen, until it has been taken
        self.since: float | None = None  # when it last took something, while something waits
        self.is_gone = False  # it takes nothing any more

    def fileno(self) -> int:
        return self.connection.fileno()

    @property
    def holds_up(self) -> bool:
        """True if the command waits for it, should it be the writer or held."""
        return (self.may_type or self.is_held) and len(self.unsent) >= QUEUED_BYTES_MAX

    @property
    def is_far_behind(self) -> bool:
        return len(self.unsent) >= BEHIND_BYTES_MAX + self.picture_bytes

    def say(self, *parts: bytes) -> bool:
        """Send parts behind what waits, or have them wait as well. Returns False if something waits then."""
        sent = 0
        if not self.unsent and not self.is_held:
            with suppress(OSError):  # that it is gone is found out by send()
                sent = self.connection.sendmsg(parts)
        for part in parts:
            if sent < len(part):
                self.unsent += memoryview(part)[sent:]
            sent = max(sent - len(part), 0)
        return not self.unsent

    def send(self, now: float) -> None:
        """Send what it takes of what waits. Raises OSError if it is gone."""
        try:
            sent = self.connection.send(self.unsent) if self.unsent else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            self.is_gone = True
            raise
        del self.unsent[:sent]
        if not self.unsent:
            self.since = None
            self.picture_bytes = 0
        elif sent or self.since is None:
            self.since = now

    def receive(self) -> bytes | None:
        """Return what it has sent; empty if it is gone, None if there is nothing yet."""
        try:
            return self.connection.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def end(self, last: bytes) -> None:
        """Send what waits and a last frame as far as it listens, and close."""
        with suppress(OSError):
            self.connection.send(bytes(self.unsent) + last)
        self.connection.close()
