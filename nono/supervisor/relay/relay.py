"""Copies between the terminal of a session and the one viewer that may be attached, in bounded memory."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from contextlib import suppress

from nono.sessions import wire
from nono.sessions.modes import Modes
from nono.sessions.wire import Frames, Size
from nono.supervisor.relay import pty

READ_BYTES = 4096
READS_MAX = 16  # in one turn of the loop; a frame holds as much
RECEIVE_BYTES = 1 << 16
UNSENT_BYTES_MAX = 1 << 18  # to a viewer; then the command waits, as for a slow terminal
TYPED_BYTES_MAX = 1 << 16  # for a command that does not read; then the viewer waits
PATIENCE_S = 10.0  # with a viewer that takes nothing; the command goes on without it
REDRAW_S = 0.05  # between two sizes: time for a program to see the first
QUIET_S = 0.1  # after the end of the command, for what others of its terminal still write
LAST_WORDS_S = 5.0  # for a viewer that is slow to take them
LOOK_S = 0.005


class Viewer:
    """One attached connection, non-blocking; closed by the relay."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.frames = Frames()
        self.unsent = bytearray()
        self.since: float | None = None  # when it last took something, while something waits


class Relay:
    """The relay of one session. Everything runs on the loop that made it."""

    def __init__(self, master: int, attached: Callable[[bool], None]) -> None:
        """Take over the master, which must not block.

        attached: Told before a viewer is served, and when it has left.
        """
        self._loop = asyncio.get_running_loop()
        self._master = master
        self._attached = attached
        self._modes = Modes()
        self._viewer: Viewer | None = None
        self._typed = bytearray()
        self._reads_master = False
        self._writes_master = False
        self._ended = asyncio.Event()  # nobody holds the other end of the terminal any more
        self._spoke = 0.0  # when the last output came
        self._watch: asyncio.TimerHandle | None = None
        self._read_on()

    @property
    def is_attached(self) -> bool:
        return self._viewer is not None

    def attach(self, connection: socket.socket, size: Size | None, received: bytes) -> None:
        """Serve a viewer that was let in. There must be no other. received: what it has sent already.

        Raises OSError if that cannot be recorded; the viewer is then not served.
        """
        self._attached(True)
        viewer = self._viewer = Viewer(connection)
        viewer.unsent += wire.response(wire.SWITCHED)
        if modes := self._modes.arm():
            viewer.unsent += wire.frame(wire.DATA, modes)
        self._loop.add_reader(connection, self._on_viewer)
        self._flush()
        if size is not None:
            self._redraw(size)
        self._take(received)

    def detach(self, word: str = "detached", **fields: object) -> None:
        """Let the viewer go, and tell it why as far as it listens."""
        viewer, self._viewer = self._viewer, None
        if viewer is None:
            return
        self._loop.remove_reader(viewer.connection)
        self._loop.remove_writer(viewer.connection)
        with suppress(OSError):
            viewer.connection.send(bytes(viewer.unsent) + wire.end_frame(word, **fields))
        viewer.connection.close()
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self._read_on()
        with suppress(OSError):  # it has left, whether that can be recorded or not
            self._attached(False)

    async def finish(self, exit_code: int | None) -> None:
        """Relay the last words of the command, and let the viewer go."""
        began = self._loop.time()
        self._spoke = max(self._spoke, began)
        while self._loop.time() < began + LAST_WORDS_S:
            is_quiet = self._ended.is_set() or self._loop.time() - self._spoke > QUIET_S
            if is_quiet and not (self._viewer is not None and self._viewer.unsent):
                break
            await asyncio.sleep(LOOK_S)
        self.detach("ended", exit_code=exit_code)
        self._stop_reading()
        if self._writes_master:
            self._loop.remove_writer(self._master)
            self._writes_master = False

    def _redraw(self, size: Size) -> None:
        """Have the programs draw their screen anew: they do when its size changes."""
        with suppress(OSError):
            if pty.size(self._master) == size:
                pty.set_size(self._master, size.rows, size.columns - 1 or 2)
                self._loop.call_later(REDRAW_S, self._resize, size)
            else:
                self._resize(size)

    def _resize(self, size: Size) -> None:
        with suppress(OSError):
            pty.set_size(self._master, size.rows, size.columns)

    def _read_on(self) -> None:
        viewer = self._viewer
        is_full = viewer is not None and len(viewer.unsent) >= UNSENT_BYTES_MAX
        if not is_full and not self._reads_master and not self._ended.is_set():
            self._loop.add_reader(self._master, self._on_output)
            self._reads_master = True

    def _stop_reading(self) -> None:
        if self._reads_master:
            self._loop.remove_reader(self._master)
            self._reads_master = False

    def _on_output(self) -> None:
        output = self._read()
        if not output:
            return
        self._spoke = self._loop.time()
        self._modes.feed(output)
        viewer = self._viewer
        if viewer is not None:
            viewer.unsent += wire.frame(wire.DATA, output)
            self._flush()
            if len(viewer.unsent) >= UNSENT_BYTES_MAX:
                self._stop_reading()

    def _read(self) -> bytes:
        """Read what is there, within bounds; the kernel gives out 4 KiB of a terminal at a time."""
        pieces: list[bytes] = []
        for _ in range(READS_MAX):
            try:
                piece = os.read(self._master, READ_BYTES)
            except BlockingIOError:
                break
            except OSError:  # EIO: the last process has closed it
                piece = b""
            if not piece:
                self._stop_reading()
                self._ended.set()
                break
            pieces.append(piece)
        return b"".join(pieces)

    def _flush(self) -> None:
        """Send to the viewer what it takes."""
        viewer = self._viewer
        if viewer is None:
            return
        try:
            sent = viewer.connection.send(viewer.unsent) if viewer.unsent else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            self.detach()
            return
        del viewer.unsent[:sent]
        if viewer.unsent:
            if sent or viewer.since is None:
                viewer.since = self._loop.time()
            self._loop.add_writer(viewer.connection, self._flush)
            if self._watch is None:
                self._watch = self._loop.call_later(PATIENCE_S, self._look)
        else:
            viewer.since = None
            self._loop.remove_writer(viewer.connection)
        self._read_on()

    def _look(self) -> None:
        """Let a viewer go that has taken nothing for too long."""
        self._watch = None
        viewer = self._viewer
        if viewer is None or viewer.since is None:
            return
        left_s = viewer.since + PATIENCE_S - self._loop.time()
        if left_s <= 0:
            self.detach("slow")
        else:
            self._watch = self._loop.call_later(left_s, self._look)

    def _on_viewer(self) -> None:
        assert self._viewer is not None
        try:
            received = self._viewer.connection.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            received = b""
        if received:
            self._take(received)
        else:
            self.detach()

    def _take(self, received: bytes) -> None:
        viewer = self._viewer
        if viewer is None:
            return
        try:
            for kind, content in viewer.frames.feed(received):
                if kind == wire.DATA:
                    self._typed += content
                elif kind == wire.SIZE and len(content) == wire.SCREEN.size:
                    size = wire.size_of(*wire.SCREEN.unpack(content))
                    if size is not None:
                        self._resize(size)
        except ValueError:
            self.detach()
            return
        self._type()

    def _type(self) -> None:
        """Write to the terminal what it takes."""
        written = 0
        if self._typed:
            try:
                written = os.write(self._master, self._typed)
            except BlockingIOError:
                written = 0
            except OSError:  # EIO: the session is at its end
                written = len(self._typed)
        del self._typed[:written]
        if bool(self._typed) != self._writes_master:
            self._writes_master = bool(self._typed)
            if self._writes_master:
                self._loop.add_writer(self._master, self._type)
            else:
                self._loop.remove_writer(self._master)
        if self._viewer is not None:
            if len(self._typed) >= TYPED_BYTES_MAX:
                self._loop.remove_reader(self._viewer.connection)
            else:
                self._loop.add_reader(self._viewer.connection, self._on_viewer)
