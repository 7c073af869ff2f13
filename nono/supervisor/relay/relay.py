"""Copy between the terminal of a session and its viewers, in bounded memory.

The viewer that typed last is the writer. The size of its terminal is the size of the command's terminal, and
the command waits for it as for a slow terminal. The other viewers see the same output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

from nono.disk import json_text
from nono.sessions import wire
from nono.sessions.wire import Size
from nono.supervisor.relay.command_end import CommandEnd
from nono.supervisor.relay.viewer import Viewer

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from typing import Protocol

    from nono.supervisor.poll_loop import Loop, Timer
    from nono.supervisor.relay.recording import Recording
    from nono.supervisor.screen.screen import Screen
else:
    Protocol = object  # typing takes 2 ms to import

PATIENCE_S = 10.0  # for a writer that accepts no output; then the command goes on without it
QUIET_S = 0.1  # after the end of the command, for output from other processes on its terminal
LAST_WORDS_S = 5.0  # for a slow viewer to receive the last output
VIEWERS_MAX = 16
MISSED_MAX = 20  # notices kept while nobody is attached

Answered = Callable[[Mapping[str, object] | None], None]


class Told(Protocol):
    """Receive a relay's reports about its viewers."""

    def attached(self, is_arrival: bool, count: int) -> None:
        """Handle a viewer that attached or left. `count` is how many there are now."""

    def resumed(self) -> None:
        """Handle the request to continue a stopped command."""


class Question:
    """A question sent to one viewer. answered: Called with the answer; with None if the viewer left."""

    def __init__(self, viewer: Viewer, number: int, answered: Answered) -> None:
        self.viewer, self.number, self.answered = viewer, number, answered


class Relay:
    """The relay of one session. Everything runs on its loop."""

    def __init__(self, loop: Loop, master: int, told: Told, recording: Recording | None = None) -> None:
        """Take over the master, which must be non-blocking. recording: Closed with the relay."""
        self._loop = loop
        self._told = told
        self._viewers: list[Viewer] = []  # the one that typed last comes first
        self._is_stopped = False  # the command is stopped, and a viewer was told
        self._watch: Timer | None = None
        self._question: Question | None = None
        self._questions = 0
        self._missed: list[bytes] = []
        self._told_modes: tuple[bytes, bytes] | None = None  # the modes last sent to the viewers
        self._screen: Screen | None = None  # None: programs redraw for a viewer that attaches
        self.command = CommandEnd(loop, master, self._on_output, self._listen_to_all, recording)
        self._read_on()

    @property
    def is_attached(self) -> bool:
        return bool(self._viewers)

    @property
    def is_full(self) -> bool:
        return len(self._viewers) >= VIEWERS_MAX

    @property
    def _is_held_up(self) -> bool:
        """True if the command must wait until a viewer has received its output."""
        return any(each.holds_up for each in self._viewers if each is self._writer or each.is_held)

    @property
    def _writer(self) -> Viewer | None:
        return self._viewers[0] if self._viewers and self._viewers[0].may_type else None

    def move_to(self, loop: Loop) -> None:
        """Move to another loop. The old loop serves nothing afterwards."""
        for viewer in self._viewers:
            self._forget(viewer)
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self._loop = loop
        self.command.move_to(loop)
        if self._screen is not None:
            self._screen.move_to(loop)
        self._listen_to_all()
        for viewer in (*self._viewers,):
            self._flush(viewer)

    def follow_screen(self) -> None:
        """Start to follow the screen, which is then drawn for each new viewer. Later calls do nothing."""
        # Imported here: nobody attaches to most runs at a terminal.
        from nono.supervisor.screen.screen import Screen

        if self._screen is None:
            self._screen = Screen(self._loop, self.command.backlog)

    def attach(
        self,
        connection: _socket.socket,
        size: Size | None,
        received: bytes,
        words: frozenset[str] = frozenset(),
        head: bytes = b"",
    ) -> None:
        """Serve a viewer that was admitted.

        received: The bytes that it has sent already.
        head: The response that it waits for; empty for the process that started the session.
        Raises OSError if the viewer cannot be recorded; it is then not served.
        """
        if head:
            self._told.attached(True, len(self._viewers) + 1)
        viewer = Viewer(connection, size, words)
        is_writer = viewer.may_type and self._writer is None
        self._viewers.insert(0 if is_writer else len(self._viewers), viewer)
        viewer.unsent += head
        self._listen_to(viewer)
        is_shown = bool(head) and self._screen is not None
        if is_shown or self.command.modes is not None:
            viewer.unsent += wire.modes_frame(*(self.command.modes or (b"", b"")))
        if head and self._screen is not None:
            self._show_screen(viewer, self._screen, is_writer=is_writer)
        else:
            viewer.unsent += wire.frames(wire.DATA, b"".join(self.command.arm()))
        viewer.unsent += b"".join(self._missed)
        self._missed.clear()
        self._flush(viewer)
        if head:  # a viewer that attached later has seen nothing yet
            if self._screen is None:
                self.command.redraw(size if is_writer else None)
            self._resume()
        self._take(viewer, received)

    def _show_screen(self, viewer: Viewer, screen: Screen, *, is_writer: bool) -> None:
        """Send a viewer the current screen first, then the output that arrives in the meantime."""
        self._flush(viewer)  # it prepares its terminal while the screen is drawn
        place = len(viewer.unsent)
        size = viewer.size
        is_other = is_writer and size is not None and self.command.size != size
        if is_other and size is not None:
            self.command.resize(size)

        def draw(content: bytes) -> None:
            picture = wire.frames(wire.DATA, content)
            viewer.unsent[place:place] = picture
            viewer.picture_bytes = len(picture)
            viewer.is_held = False
            if viewer in self._viewers:
                self._flush(viewer)
                if not is_other and not screen.is_whole:
                    self.command.redraw()

        viewer.is_held = True
        screen.show(self.command.arm(), 0 if size is None else size.rows, draw)

    def detach_all(self) -> None:
        """Disconnect every viewer, and send each the reason if its socket accepts it."""
        for viewer in (*self._viewers,):
            self._let_go(viewer, wire.end_frame("detached"))

    def notice(self, text: str) -> None:
        """Show a message from nono to the writer, or to the next viewer if there is none."""
        frame = wire.frame(wire.NOTICE, text.encode("utf-8", "replace")[: wire.FRAME_BYTES_MAX])
        if self._viewers:
            self._say(self._viewers[0], frame)
        elif len(self._missed) < MISSED_MAX:
            self._missed.append(frame)

    def announce(self, document: Mapping[str, object]) -> None:
        """Tell the viewers that the command runs."""
        for viewer in (*self._viewers,):
            self._say(viewer, wire.json_frame(wire.START, document))

    def stopped(self) -> None:
        """Tell the writer that the command was stopped, because its person may want to do something else."""
        viewer = self._writer
        if viewer is not None and viewer.can_be_asked and not self._is_stopped:
            self._on_output(drains=True)  # first the output from before the stop
            self._is_stopped = True
            self._say(viewer, wire.frame(wire.STOPPED, b""))

    def ask(self, document: Mapping[str, object], answered: Answered) -> bool:
        """Make the writer ask its person; hold the output meanwhile. Returns False if nobody can be asked."""
        if self._question is not None:
            return False
        self._on_output(drains=True)  # first the output from before the question
        viewer = self._writer
        if viewer is None or not viewer.can_be_asked:
            return False
        self._questions += 1
        self._question = Question(viewer, self._questions, answered)
        self.command.stop_reading()
        self._say(viewer, wire.json_frame(wire.ASK, {"number": self._questions, **document}))
        return True

    def withdraw(self, why: str = "") -> None:
        """Withdraw the current question, if any. why: A line for the person who was asked."""
        question, self._question = self._question, None
        if question is not None:
            self._say(
                question.viewer, wire.json_frame(wire.WITHDRAWN, {"number": question.number, "why": why})
            )
            self._go_on()

    def has_said_all(self, began: float) -> bool:
        """Return True once the viewers have the last output of a command that ended at `began`."""
        self.withdraw()  # the asker is gone, and the output since the question is still unread
        if not self._is_held_up:
            self._on_output(drains=True)
        now = self._loop.time()
        is_quiet = self.command.is_ended or now - max(self.command.spoke, began) > QUIET_S
        waits = any(viewer.unsent or viewer.is_held for viewer in self._viewers)
        return (is_quiet and not waits) or now > began + LAST_WORDS_S

    def close(self, exit_code: int | None) -> _socket.socket | None:
        """Disconnect the viewers. Returns one connection to which nono may still send messages, or None.

        That viewer has restored its terminal. The caller closes the connection.
        """
        kept = None
        self.withdraw()
        for viewer in (*self._viewers,):
            if kept is None and viewer.can_be_asked:
                self._say(viewer, wire.json_frame(wire.BARE, {"exit_code": exit_code}))
                if viewer in self._viewers and not viewer.unsent:
                    kept = viewer.connection
                    self._forget(viewer)
                    self._viewers.remove(viewer)
                    continue
            self._let_go(viewer, wire.end_frame("ended", exit_code=exit_code))
        self.command.close()
        if self._screen is not None:
            self._screen.close()
        if self._watch is not None:
            self._watch.cancel()
        return kept

    def _let_go(self, viewer: Viewer, last: bytes) -> None:
        if viewer not in self._viewers:
            return
        was_writer = viewer is self._writer
        self._viewers.remove(viewer)
        self._forget(viewer)
        viewer.end(last)
        question = self._question
        if question is not None and question.viewer is viewer:
            self._question = None
            question.answered(None)
        if was_writer:
            self._viewers.sort(key=lambda each: not each.may_type)
            self._resume()  # the viewer that left it stopped does not return to continue it
            if self._writer is not None and self._writer.size is not None:
                self.command.resize(self._writer.size)
        self._read_on()
        with suppress(OSError):  # the viewer is gone, whether that can be recorded or not
            self._told.attached(False, len(self._viewers))

    def _listen_to_all(self) -> None:
        for viewer in self._viewers:
            self._listen_to(viewer)

    def _listen_to(self, viewer: Viewer) -> None:
        if self.command.is_full:
            self._loop.remove_reader(viewer.fileno())
        else:
            self._loop.add_reader(viewer.fileno(), lambda: self._on_viewer(viewer))

    def _forget(self, viewer: Viewer) -> None:
        self._loop.remove_reader(viewer.fileno())
        self._loop.remove_writer(viewer.fileno())

    def _resume(self) -> None:
        if self._is_stopped:
            self._is_stopped = False
            self._told.resumed()

    def _go_on(self) -> None:
        """Show output again to a viewer whose screen was used for a question or by a shell."""
        self._read_on()
        if self.command.is_alternate:
            self.command.redraw()

    def _read_on(self) -> None:
        if self._question is None and not self._is_held_up:
            self.command.read_on()

    def _on_output(self, *, drains: bool = False) -> None:
        output = b"" if self._question is not None else self.command.take(drains=drains)
        if not output:
            return
        if self._screen is not None:
            self._screen.follow()
        parts = [wire.FRAME.pack(wire.DATA, len(output)), output]
        if self.command.modes != self._told_modes:
            # Before the output that sets them: a viewer killed in between must not leave them set.
            self._told_modes = self.command.modes
            parts.insert(0, wire.modes_frame(*(self.command.modes or (b"", b""))))
        is_behind = False
        for viewer in (*self._viewers,):
            if not viewer.say(*parts):
                is_behind = True
                self._flush(viewer)
                if viewer.is_far_behind:
                    self._let_go(viewer, wire.end_frame("slow"))
        if is_behind and self._is_held_up:
            self.command.stop_reading()

    def _say(self, viewer: Viewer, *parts: bytes) -> None:
        if not viewer.say(*parts):
            self._flush(viewer)

    def _flush(self, viewer: Viewer) -> None:
        """Send a viewer as much as its socket accepts."""
        if viewer not in self._viewers or viewer.is_held:
            return
        try:
            viewer.send(self._loop.time())
        except OSError:
            while viewer in self._viewers:  # read what was typed before it went
                self._on_viewer(viewer)
            return
        if viewer.unsent:
            self._loop.add_writer(viewer.fileno(), lambda: self._flush(viewer))
            if self._watch is None:
                self._watch = self._loop.call_later(PATIENCE_S, self._look)
        else:
            self._loop.remove_writer(viewer.fileno())
        self._read_on()

    def _look(self) -> None:
        """Disconnect viewers that have received nothing for too long."""
        self._watch = None
        now = self._loop.time()
        for viewer in (*self._viewers,):
            if self._is_stopped and viewer is self._writer:
                viewer.since = now if viewer.unsent else None  # the viewer is stopped too, and will continue
            elif viewer.since is not None and viewer.since + PATIENCE_S <= now:
                self._let_go(viewer, wire.end_frame("slow"))
        waiting = [viewer.since for viewer in self._viewers if viewer.since is not None]
        if waiting:
            self._watch = self._loop.call_later(min(waiting) + PATIENCE_S - now, self._look)

    def _on_viewer(self, viewer: Viewer) -> None:
        received = viewer.receive()
        if received:
            self._take(viewer, received)
        elif received is not None or viewer.is_gone:
            self._let_go(viewer, b"")

    def _take(self, viewer: Viewer, received: bytes) -> None:
        try:
            for kind, content in viewer.frames.feed(received):
                if viewer.may_type and viewer in self._viewers:
                    self._take_frame(viewer, kind, content)
        except ValueError:
            self._let_go(viewer, b"")

    def _take_frame(self, viewer: Viewer, kind: int, content: bytes) -> None:
        if kind == wire.DATA:
            self._become_writer(viewer)
            self.command.type(content)
        elif kind == wire.SIZE and len(content) == wire.SCREEN.size:
            size = wire.size_of(*wire.SCREEN.unpack(content))
            if size is not None:
                viewer.size = size
                # A viewer sends its size when it attaches, during the moment in which redraw() sets another.
                if viewer is self._writer and size != self.command.size:
                    self.command.resize(size)
        elif kind == wire.CONTINUE and viewer is self._writer:
            self._resume()
            self._go_on()
        elif kind == wire.ANSWER:
            self._take_answer(viewer, json_text.parse_object(content))

    def _become_writer(self, viewer: Viewer) -> None:
        if viewer is not self._writer:
            self._viewers.remove(viewer)
            self._viewers.insert(0, viewer)
            self._resume()  # the viewer that stopped it no longer controls it
            if viewer.size is not None:
                self.command.resize(viewer.size)
            self._read_on()

    def _take_answer(self, viewer: Viewer, answer: Mapping[str, object]) -> None:
        question = self._question
        # Ignore an answer from a viewer that was not asked, and an answer to an older question.
        if question is None or question.viewer is not viewer or answer.get("number") != question.number:
            return
        self._question = None
        question.answered(answer)
        self._go_on()
