"""Relay the command's own terminal while nothing else needs an event loop."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from nono.audit import event
from nono.bytecode import finder
from nono.errors import NonoError
from nono.kernel.signals import signal
from nono.launch.session import Session
from nono.launch.session_record import SessionEntry
from nono.launch.terminal.front import Front, ignore_job_control
from nono.named_tuple import NamedTuple
from nono.sessions.ends import Sender
from nono.supervisor.child import Child
from nono.supervisor.poll_loop import Loop, PollLoop, Timer
from nono.supervisor.relay.command_end import size_within_bounds
from nono.supervisor.relay.relay import Relay

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

    from nono.credentials.values.credential import LeakDetector
    from nono.supervisor.relay.recording import Recording
    from nono.supervisor.relay.server import Server

LOOK_S = 0.005


class Shown(NamedTuple):
    """A run with its own terminal."""

    front: Front
    child: Child
    entry: SessionEntry
    session: Session
    handed_out: Mapping[str, str]  # the command's credentials, by variable
    leaks: Sequence[LeakDetector] = ()  # detectors for the run's keys


class OwnTerminal:
    """The terminal of one run, and its relay's events; see nono.supervisor.relay.relay.Told."""

    def __init__(self, shown: Shown, loop: Loop) -> None:
        self._front, self._child, self._entry, self._session, *_ = shown
        self.meeting = self._entry.listen() if self._front.is_detached else None
        ignore_job_control()
        os.set_blocking(self._front.pty.master, False)
        self.relay = Relay(loop, self._front.pty.master, self, _recording(shown, loop))
        self._loop = loop
        self._late: Timer | None = None  # runs until the command must have shown something
        self._shows_until = 0.0  # when that is
        self._child.on_stop = self._on_stop

    def listen(self) -> None:
        """Let others attach, or warn that nobody can. Call once, before started()."""
        try:
            self.meeting = self.meeting or self._entry.listen()
        except NonoError as error:
            self._session.warn(error.message)

    def started(self) -> None:
        """Show the terminal to the process in front, as the command runs."""
        self._front.started(self.relay, {**self._entry.shown(), "can_be_left": self.meeting is not None})
        if self._front.startup_s:
            self.relay.command.keep_first()
            self._shows_until = self._loop.time() + self._front.startup_s
            self._late = self._loop.call_later(self._front.startup_s, self._look_at_start)

    def move_to(self, loop: Loop) -> None:
        """Continue on another loop with the same clock; the old one is no longer used."""
        self.relay.move_to(loop)
        if self._late is not None:
            self._late.cancel()
            self._late = loop.call_later(max(0.0, self._shows_until - loop.time()), self._look_at_start)

    def _look_at_start(self) -> None:
        """End a command that has shown nothing so far: it may wait for something that is not granted."""
        self._late = None
        if self._child.exit_code is None and not self.relay.command.has_shown_something():
            from nono.amounts import several

            self._child.stopped_by = "nono, as --startup-timeout says"
            self._child.send(signal.SIGKILL)
            self._session.say(
                [
                    f"  [nono] blocked: no terminal output after {several(self._front.startup_s, 'second')}.",
                    "  hint: nono run --explain lists what it was refused; --startup-timeout 0 waits",
                ]
            )

    def attached(self, is_arrival: bool, count: int) -> None:
        child = self._child
        if child.exit_code is not None:
            return
        if not count and self.meeting is None:
            self._hang_up()  # nobody could ever attach to it again
        self._session.record(event.terminal_shown(is_arrival))
        self._entry.attached(count > 0)
        if count:  # of several, another one can be asked what the one that left did not answer
            self._front.arrived()

    def _hang_up(self) -> None:
        """End the command as a closed terminal does.

        The signal alone would not do: bash loses one that comes while it begins to read a line.
        """
        self._child.received[signal.SIGHUP] = Sender(0)
        with suppress(OSError):  # EMFILE: the signal alone is better than nothing
            self.relay.command.hang_up()
        # This process leads the session, and passes on the signal that it has got for that.
        if signal.SIGHUP not in signal.sigpending():
            self._child.send(signal.SIGHUP)  # another process still holds the terminal's other end

    def resumed(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGCONT)

    def _on_stop(self) -> None:
        """Handle a stop of the command. If another job is in front, that job has the terminal."""
        with suppress(OSError):
            if os.tcgetpgrp(self._front.pty.master) == self._child.pid:
                self.relay.stopped()

    def close(self) -> None:
        """Let the viewers go. The process in front gets its terminal back, and can still show messages.

        The master stays open: closing it would send SIGHUP to this process, which leads the session.
        """
        self._front.ended(self.relay.close(self._child.exit_code))
        if self.meeting is not None:
            self.meeting.listener.close()


def _recording(shown: Shown, loop: Loop) -> Recording | None:
    """Begin to record what the terminal shows, if a person wants that."""
    front, leaks = shown.front, [*shown.leaks]
    if not front.recorded_bytes_max:
        return None
    if shown.handed_out:
        # Imported here: few runs pass a credential to the command.
        from nono.credentials.values.tripwire import tripwire_for
        from nono.secret import Secret

        detector = tripwire_for([*map(Secret, shown.handed_out.values())])
        leaks += [] if detector is None else [detector]
    size = size_within_bounds(front.pty.master)
    return shown.entry.recorded(loop, size, front.recorded_bytes_max, leaks, shown.session.warn)


class Visitor(NamedTuple):
    """Somebody who asks for more than the terminal, and what served who asked for that."""

    server: Server
    connection: socket.socket
    received: bytes


def wait_on_poll(
    shown: Shown,
    go: Callable[[Callable[[], object]], object],
    go_on: Callable[[OwnTerminal, Sequence[Visitor]], int],
) -> int:
    """Start a command, relay its terminal, and return its exit code.

    go: Starts the command, and calls its argument meanwhile. What it raises is raised.
    go_on: Goes on with an event loop, once somebody asks for more than the terminal. Raises NonoError if
        there can be none; then nobody is answered.
    """
    loop, child = PollLoop(), shown.child
    terminal = OwnTerminal(shown, loop)
    came: list[Visitor] = []
    try:
        loop.add_reader(child.descriptor, child.serve_signals)
        go(terminal.listen)
        terminal.started()
        meeting = terminal.meeting

        def on_first_visitor() -> None:
            # Imported here: most runs have none.
            from nono.supervisor.relay.server import Server

            assert meeting is not None  # or it would not be called
            server = Server(
                loop, meeting, terminal.relay, lambda *visitor: came.append(Visitor(server, *visitor))
            )

        if meeting is not None:
            loop.add_reader(meeting.listener.fileno(), on_first_visitor)
        child.serve_signals()  # it may have ended before anybody watched
        finder.unload()
        while child.exit_code is None:
            loop.run_until(lambda: child.exit_code is not None or bool(came))
            if child.exit_code is None:
                try:
                    return go_on(terminal, came)
                except NonoError as error:
                    shown.session.warn(error.message)
            while came:
                came.pop().connection.close()
        began = loop.time()
        loop.remove_reader(child.descriptor)
        loop.run_until(lambda: terminal.relay.has_said_all(began), LOOK_S)
        return child.exit_code
    finally:
        terminal.close()
