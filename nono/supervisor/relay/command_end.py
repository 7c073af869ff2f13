"""The end of the command's terminal that the supervisor has: reads, types, and follows the modes."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from nono.sessions.wire import Size
from nono.supervisor.relay import pty
from nono.supervisor.screen.backlog import Backlog

if TYPE_CHECKING:
    from nono.sessions.modes import Modes
    from nono.supervisor.poll_loop import Loop, Timer
    from nono.supervisor.relay.recording import Recording

READ_BYTES = 4096
READS_MAX = 16  # in one turn of the loop; a frame holds as much
TYPED_BYTES_MAX = 1 << 16  # for a command that does not read; then the viewers wait
REDRAW_S = 0.05  # between two sizes: time for a program to see the first
FIRST_BYTES = 1 << 16
_ESCAPE = b"\x1b"


class CommandEnd:
    """A master, which must not block; whoever has made it closes it."""

    def __init__(
        self,
        loop: Loop,
        master: int,
        on_output: Callable[[], None],
        on_room: Callable[[], None],
        recording: Recording | None,
    ) -> None:
        """Begin with nothing watched.

        on_output: Called when there is something to take().
        on_room: Called when typed text was taken.
        recording: Closed with close().
        """
        self._loop = loop
        self._master = master
        self._on_output, self._on_room = on_output, on_room
        self._recording = recording
        self._modes: Modes | None = None  # until something might set one
        self.backlog = Backlog(pty.size_within_bounds(master))  # of the output, for what models the screen
        self._typed = bytearray()
        self._reads = False
        self._writes = False
        self._redrawn: tuple[Timer, Size] | None = None  # gives the terminal its size back
        self._first: bytearray | None = None  # of the output, if it is kept
        self.is_alternate = False  # the screen that is shown
        self.modes: tuple[bytes, bytes] | None = (
            None  # what undoes and sets them; None: no sequence was written
        )
        self.is_ended = False  # nobody holds the other end any more
        self.spoke = 0.0  # when the last output came

    def move_to(self, loop: Loop) -> None:
        """Go on on another loop."""
        reads = self._reads
        self.stop_reading()
        if self._writes:
            self._loop.remove_writer(self._master)
            loop.add_writer(self._master, self._write)
        self._loop = loop
        if self._recording is not None:
            self._recording.move_to(loop)
        if reads:
            self.read_on()
        if self._redrawn is not None:
            timer, size = self._redrawn
            timer.cancel()
            self.resize(size)

    def close(self) -> None:
        """Watch nothing any more, and record nothing."""
        if self._recording is not None:
            self._recording.close()
        self.stop_reading()
        if self._writes:
            self._loop.remove_writer(self._master)
            self._writes = False

    def read_on(self) -> None:
        if not self._reads and not self.is_ended:
            self._loop.add_reader(self._master, self._on_output)
            self._reads = True

    def stop_reading(self) -> None:
        if self._reads:
            self._loop.remove_reader(self._master)
            self._reads = False

    def take(self) -> bytes:
        """Return what the command has written, within bounds.

        The kernel gives out 4 KiB of a terminal at a time.
        """
        pieces: list[bytes] = []
        for _ in range(0 if self.is_ended else READS_MAX):
            try:
                piece = os.read(self._master, READ_BYTES)
            except BlockingIOError:
                break
            except OSError:  # EIO: the last process has closed it
                piece = b""
            if not piece:
                self.stop_reading()
                self.is_ended = True
                break
            pieces.append(piece)
        output = b"".join(pieces)
        if output:
            self.spoke = self._loop.time()
            self._follow(output)
        return output

    def _follow(self, output: bytes) -> None:
        """Keep up with what was written, before anybody is shown it."""
        if self._recording is not None:
            self._recording.feed(output)
        self.backlog.add(output, is_alternate=self.is_alternate)
        if self._first is not None and len(self._first) < FIRST_BYTES:
            self._first += output
        if self._modes is None:
            if _ESCAPE not in output:
                return
            # Imported here: many commands set no mode, and what finds one takes longer than they do.
            from nono.sessions.modes import Modes

            self._modes = Modes()
        if self._modes.feed(output) or self.modes is None:
            self._note(self._modes)

    def _note(self, modes: Modes) -> None:
        self.is_alternate = modes.is_alternate
        self.modes = (modes.disarm(), modes.arm())

    def arm(self) -> tuple[bytes, bytes]:
        """Return what sets the command's modes in a terminal that has none: its screen, the others."""
        return (b"", b"") if self._modes is None else (self._modes.arm_screen(), self._modes.arm_others())

    def keep_first(self) -> None:
        """Keep the beginning of the output, for has_shown_something()."""
        self._first = bytearray()

    def has_shown_something(self) -> bool:
        """Return True if the output so far shows anything, or draws a screen; it is kept no longer."""
        # Imported here: few runs are timed.
        from nono.sessions.modes import is_seen

        first, self._first = bytes(self._first or b""), None
        return is_seen(first) or self.is_alternate

    @property
    def is_full(self) -> bool:
        """True if the command has not read what was typed."""
        return len(self._typed) >= TYPED_BYTES_MAX

    def type(self, typed: bytes) -> None:
        self._typed += typed
        self._write()

    def _write(self) -> None:
        """Write what the terminal takes."""
        written = 0
        if self._typed:
            try:
                written = os.write(self._master, self._typed)
            except BlockingIOError:
                written = 0
            except OSError:  # EIO: the session is at its end
                written = len(self._typed)
        del self._typed[:written]
        if bool(self._typed) != self._writes:
            self._writes = bool(self._typed)
            if self._writes:
                self._loop.add_writer(self._master, self._write)
            else:
                self._loop.remove_writer(self._master)
        self._on_room()

    @property
    def size(self) -> Size | None:
        """The size of the terminal, also while it has another one for a moment."""
        if self._redrawn is not None:
            return self._redrawn[1]
        found = pty.size(self._master)
        return None if found is None else Size(*found)

    def redraw(self, size: Size | None = None) -> None:
        """Have the programs draw their screen anew: they do when its size changes. None: the same again."""
        with suppress(OSError):
            now = self.size
            size = size or now
            if size is not None and now == size:
                pty.set_size(self._master, size.rows, size.columns - 1 or 2)
                self._redrawn = self._loop.call_later(REDRAW_S, self.resize, size), size
            elif size is not None:
                self.resize(size)

    def resize(self, size: Size) -> None:
        if self._redrawn is not None:
            self._redrawn[0].cancel()  # or it would give back the size from before this one
            self._redrawn = None
        self.backlog.resize(size)
        if self._recording is not None:
            self._recording.resize(size)
        with suppress(OSError):
            pty.set_size(self._master, size.rows, size.columns)
