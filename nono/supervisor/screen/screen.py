"""Follow the screen of one session in its own process, behind the relay, and request pictures."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from nono.supervisor.screen import messages
from nono.supervisor.screen.backlog import BYTES_MAX, Backlog
from nono.supervisor.screen.library import library_path
from nono.supervisor.screen.messages import Picture
from nono.supervisor.screen.started import Started, start

FOLLOW_BYTES = BYTES_MAX // 4  # no process is started for less, unless somebody attaches
FOLLOW_S = 0.25  # who writes more than BYTES_MAX in this time is followed no further, until that is over
BEHIND_S = 5.0  # a process that has not read so long is given up
PATIENCE_S = 3.0  # with a picture, for which whoever attaches waits; a busy machine may stand still for 1 s
RECEIVE_BYTES = 1 << 16

if TYPE_CHECKING:
    from nono.supervisor.poll_loop import Loop, Timer

Done = Callable[[Picture | None], None]
_MAKE_ROOM = b"\r%b\x1b[H\x1b[J"  # with a line feed for each row: moves the old screen into the history


class Screen:
    """The screen of one session. Everything runs on its loop."""

    def __init__(self, loop: Loop, backlog: Backlog) -> None:
        """backlog: Holds what the session has written so far, and gets what it writes from now on."""
        self._loop = loop
        self._library = library_path()
        self._backlog = backlog
        self._process: Started | None = None
        self._unsent = bytearray()
        self._sent_at = 0.0
        self._received = bytearray()
        self._asked: deque[tuple[Done, Timer]] = deque()
        self._turn: Timer | None = None
        self._drops = 0  # of the backlog, when it was last looked at
        self._is_lost = False  # it has crashed or hung since somebody last attached
        self.is_whole = self._library is not None  # nothing of the output was lost
        if self._library is None:
            backlog.close()

    def move_to(self, loop: Loop) -> None:
        """Move to another loop."""
        old, self._loop = self._loop, loop
        if self._turn is not None:
            self._turn.cancel()
            self._turn = loop.call_later(FOLLOW_S, self._follow)
        for _, patience in self._asked:
            patience.cancel()
        self._asked = deque((done, loop.call_later(PATIENCE_S, self._lose)) for done, _ in self._asked)
        if self._process is not None:
            connection = self._process.connection.fileno()
            old.remove_reader(connection)
            old.remove_writer(connection)
            loop.add_reader(connection, self._on_answer)
            self._flush()

    def follow(self) -> None:
        """Note that the backlog has grown."""
        if self._turn is None and self._backlog.held_bytes >= FOLLOW_BYTES:
            self._turn = self._loop.call_later(FOLLOW_S, self._follow)

    def show(self, armed: tuple[bytes, bytes], rows: int, done: Callable[[bytes], None]) -> None:
        """Request a picture of the current screen.

        armed: The sequences that switch to the alternate screen, if shown, and set the other modes.
        rows: The rows of the viewer's terminal.
        done: Called once, soon, with the output that reproduces the screen in another terminal. Without a
          picture, only the modes.
        """
        room = _MAKE_ROOM % (b"\n" * max(rows, self._backlog.now.rows))

        def draw(picture: Picture | None) -> None:
            if picture is None or picture.is_alternate != bool(armed[0]):
                self.is_whole = False
                done(b"".join(armed))
            else:
                done(b"".join((room, picture.primary, armed[0], picture.alternate, armed[1], picture.tail)))

        self._is_lost = False
        if not self._has_process():
            draw(None)
            return
        self._asked.append((draw, self._loop.call_later(PATIENCE_S, self._lose)))
        self._send(messages.message(messages.SHOW))

    def close(self) -> None:
        if self._turn is not None:
            self._turn.cancel()
        self._lose()
        self._library = None
        self._backlog.close()

    def _follow(self) -> None:
        self._turn = None
        if self._backlog.drops != self._drops:  # most of a flood is lost anyway: what is left of it is enough
            self._drops = self._backlog.drops
            self._turn = self._loop.call_later(FOLLOW_S, self._follow)
        elif self._unsent:
            if self._loop.time() - self._sent_at > BEHIND_S:
                self._lose()
        elif self._has_process():
            self._send(b"")

    def _has_process(self) -> bool:
        """Start the process if there is none. After a failure, start it only for a new viewer."""
        if self._library is None or self._is_lost:
            return False
        if self._process is None:
            try:
                self._process = start(self._library, self._backlog.began)
            except OSError:
                return False
            self._loop.add_reader(self._process.connection.fileno(), self._on_answer)
        return True

    def _send(self, message: bytes) -> None:
        """Send everything that is not followed yet, then a message."""
        self.is_whole = self.is_whole and not self._backlog.has_gap
        self._unsent += self._backlog.take() + message
        self._sent_at = self._loop.time()
        self._flush()

    def _flush(self) -> None:
        process = self._process
        if process is None:
            return
        try:
            sent = process.connection.send(self._unsent) if self._unsent else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            self._lose()
            return
        del self._unsent[:sent]
        if self._unsent:
            self._loop.add_writer(process.connection.fileno(), self._flush)
        else:
            self._loop.remove_writer(process.connection.fileno())

    def _on_answer(self) -> None:
        assert self._process is not None
        try:
            received = self._process.connection.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            received = b""
        if not received or not self._take(received):
            self._lose()

    def _take(self, received: bytes) -> bool:
        """Pass on complete pictures. Returns False if a message is not a requested picture."""
        self._received += received
        while len(self._received) >= messages.HEAD.size:
            kind, length = messages.HEAD.unpack_from(self._received)
            if kind != messages.PICTURE or length > messages.PICTURE_BYTES_MAX or not self._asked:
                return False
            end = messages.HEAD.size + length
            if len(self._received) < end:
                break
            picture = messages.parse_picture(bytes(self._received[messages.HEAD.size : end]))
            del self._received[:end]
            done, patience = self._asked.popleft()
            patience.cancel()
            done(picture)
            if picture is None:
                return False
        return True

    def _lose(self) -> None:
        """End the process, which has crashed or hangs, and drop what it had followed."""
        process, self._process = self._process, None
        if process is not None:
            self._loop.remove_reader(process.connection.fileno())
            self._loop.remove_writer(process.connection.fileno())
            process.end()
            self.is_whole, self._is_lost = False, True
        self._unsent.clear()
        self._received.clear()
        self._backlog.lose()
        while self._asked:
            done, patience = self._asked.popleft()
            patience.cancel()
            done(None)
