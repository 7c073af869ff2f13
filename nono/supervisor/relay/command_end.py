"""Read from and type into the supervisor's end of the command's terminal, and follow its modes."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

from nono.sessions.wire import Size, size_of
from nono.supervisor.relay import pty
from nono.supervisor.screen.backlog import Backlog

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nono.sessions.modes import Modes
    from nono.supervisor.poll_loop import Loop, Timer
    from nono.supervisor.relay.recording import Recording

READ_BYTES = 4096
SHORT_BYTES = READ_BYTES // 2  # a read of a flood returns more
READS_MAX = 16  # in one turn of the loop; one frame holds as many bytes
TYPED_BYTES_MAX = 1 << 16  # kept for a command that does not read; above this, the viewers wait
REDRAW_S = 0.05  # between two sizes, so that a program sees the first
FIRST_BYTES = 1 << 16
_ESCAPE = b"\x1b"


def size_within_bounds(terminal: int) -> Size:
    """Return the size of a terminal, or the usual size if it is unknown."""
    return size_of(*pty.size(terminal) or pty.USUAL) or Size(*pty.USUAL)


class CommandEnd:
    """A non-blocking pty master; its creator closes it."""

    def __init__(
        self,
        loop: Loop,
        master: int,
        on_output: Callable[[], None],
        on_room: Callable[[], None],
        recording: Recording | None,
    ) -> None:
        """Start without watching the master.

        on_output: Called when there is output for take().
        on_room: Called when the terminal has accepted typed text.
        recording: Closed with close().
        """
        self._loop = loop
        self._master = master
        self._on_output, self._on_room = on_output, on_room
        self._recording = recording
        self._modes: Modes | None = None  # None until the output might set a mode
        self.backlog = Backlog(size_within_bounds(master))  # the output, for the model of the screen
        self._typed = bytearray()
        self._reads = False
        self._writes = False
        self._redrawn: tuple[Timer, Size] | None = None  # restores the size of the terminal
        self._first: bytearray | None = None  # beginning of the output, if it is kept
        self.is_alternate = False  # the alternate screen is shown
        self.modes: tuple[bytes, bytes] | None = (
            None  # sequences that undo and set them; None: no escape sequence was seen
        )
        self.is_ended = False  # the other end is closed
        self.spoke = 0.0  # when the last output came

    def move_to(self, loop: Loop) -> None:
        """Move to another loop."""
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
        """Stop watching the master, and stop recording."""
        if self._recording is not None:
            self._recording.close()
        self._stop_watching()

    def hang_up(self) -> None:
        """Close the terminal as an emulator does: its programs can read and write nothing from then on.

        The kernel sends SIGHUP to the leader of the session; the number of the master stays taken.
        Raises OSError if no descriptor is left; the terminal stays open then.
        """
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        self._stop_watching()
        self.is_ended = True
        os.dup2(nothing, self._master, inheritable=False)
        os.close(nothing)

    def _stop_watching(self) -> None:
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

    def take(self, *, drains: bool = False) -> bytes:
        """Return the output of the command, up to READS_MAX reads.

        The kernel returns at most 4 KiB from a terminal per read(2), and a read that finds nothing waits for
        the kernel's worker first. So a short read is the last one, unless the call `drains` the terminal.
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
            if len(piece) < SHORT_BYTES and not drains:
                break
        output = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if output:
            self.spoke = self._loop.time()
            self._follow(output)
        return output

    def _follow(self, output: bytes) -> None:
        """Record the output and follow its modes, before any viewer sees it."""
        if self._recording is not None:
            self._recording.feed(output)
        self.backlog.add(output, is_alternate=self.is_alternate)
        if self._first is not None and len(self._first) < FIRST_BYTES:
            self._first += output
        if self._modes is None:
            if _ESCAPE not in output:
                return
            # Imported here: many commands set no mode, and the import takes longer than they do.
            from nono.sessions.modes import Modes

            self._modes = Modes()
        if self._modes.feed(output) or self.modes is None:
            self._note(self._modes)

    def _note(self, modes: Modes) -> None:
        self.is_alternate = modes.is_alternate
        self.modes = (modes.disarm(), modes.arm())

    def arm(self) -> tuple[bytes, bytes]:
        """Return the sequences that set the command's modes in a fresh terminal: its screen, the others."""
        return (b"", b"") if self._modes is None else (self._modes.arm_screen(), self._modes.arm_others())

    def keep_first(self) -> None:
        """Keep the beginning of the output, for has_shown_something()."""
        self._first = bytearray()

    def has_shown_something(self) -> bool:
        """Return True if the output so far shows text or draws a screen. Stops keeping the output."""
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
        """Write as much as the terminal accepts."""
        written = 0
        if self._typed:
            try:
                written = os.write(self._master, self._typed)
            except BlockingIOError:
                written = 0
            except OSError:  # EIO: the session has ended
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
        """The size of the terminal; during redraw() the size that it returns to."""
        if self._redrawn is not None:
            return self._redrawn[1]
        found = pty.size(self._master)
        return None if found is None else Size(*found)

    def redraw(self, size: Size | None = None) -> None:
        """Make the programs redraw by changing the terminal's size. None: return to the present size."""
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
            self._redrawn[0].cancel()  # or it would restore the size from before this one
            self._redrawn = None
        self.backlog.resize(size)
        if self._recording is not None:
            self._recording.resize(size)
        with suppress(OSError):
            pty.set_size(self._master, size.rows, size.columns)
