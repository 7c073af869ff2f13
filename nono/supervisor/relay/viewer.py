"""Exchange frames with one attached viewer, queueing what its socket does not accept."""

from __future__ import annotations

from contextlib import suppress

from nono.sessions import wire
from nono.sessions.wire import Frames, Size

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket

RECEIVE_BYTES = 1 << 16
QUEUED_BYTES_MAX = 1 << 18  # for the writer; above this, the command waits as for a slow terminal
BEHIND_BYTES_MAX = 1 << 22  # for the other viewers, for which the command does not wait


class Viewer:
    """A non-blocking connection, which end() closes."""

    def __init__(self, connection: _socket.socket, size: Size | None, words: frozenset[str]) -> None:
        """words: The kind of viewer, as constants of nono.sessions.wire."""
        self.connection = connection
        self.size = size
        self.may_type = wire.READ_ONLY not in words
        self.can_be_asked = self.may_type and wire.ASKS in words
        self.frames = Frames()
        self.unsent = bytearray()
        self.is_held = False  # until the screen that precedes its output is drawn
        self.picture_bytes = 0  # size of that screen, until it has been sent
        self.since: float | None = None  # when it last accepted bytes; None: nothing is waiting
        self.is_gone = False  # it accepts no more bytes

    def fileno(self) -> int:
        return self.connection.fileno()

    @property
    def holds_up(self) -> bool:
        """True if the command must wait for this viewer, provided that it is the writer or held."""
        return (self.may_type or self.is_held) and len(self.unsent) >= QUEUED_BYTES_MAX

    @property
    def is_far_behind(self) -> bool:
        return len(self.unsent) >= BEHIND_BYTES_MAX + self.picture_bytes

    def say(self, *parts: bytes) -> bool:
        """Send parts after the unsent bytes, or queue them. Returns False if anything is left unsent."""
        sent = 0
        if not self.unsent and not self.is_held:
            with suppress(OSError):  # send() notices that it is gone
                sent = self.connection.sendmsg(parts)
                if sent == sum(map(len, parts)):
                    return True
        for part in parts:
            if sent < len(part):
                self.unsent += memoryview(part)[sent:]
            sent = max(sent - len(part), 0)
        return not self.unsent

    def send(self, now: float) -> None:
        """Send as many of the unsent bytes as the socket accepts. Raises OSError if the viewer is gone."""
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
        """Return the bytes received; empty if the viewer is gone, None if there are none yet."""
        try:
            return self.connection.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def end(self, last: bytes) -> None:
        """Send the unsent bytes and a last frame, as far as the socket accepts them, and close."""
        with suppress(OSError):
            self.connection.send(bytes(self.unsent) + last)
        self.connection.close()
