"""Copy between a person's terminal and a session until one of them ends it."""

from __future__ import annotations

import os
import select
from collections.abc import Mapping
from contextlib import suppress

from nono.cli.commands.terminal.own_terminal import Lent, in_front, is_gone, stop_job, write
from nono.disk import json_text
from nono.kernel import signals
from nono.kernel.signals import signal
from nono.sessions import wire
from nono.sessions.detach_key import DetachKeys
from nono.sessions.wire import Frames
from nono.settings.keys import parse_keys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket

    from nono.cli.commands.terminal.questions import Questions

READ_BYTES = 1 << 16
TYPED_BYTES_MAX = 1 << 16
LAST_WORDS_S = 1.0
LOOK_EVERY_S = 0.25  # looks for a change to the foreground, which no signal reports
_WATCHED = (signal.SIGWINCH, signal.SIGCONT, signal.SIGTSTP, *signals.ENDING)
_CTRL_C = b"\x03"
# The person's title is kept by their terminal meanwhile (xterm's window operations 22 and 23).
_KEEP_TITLE, _TITLE_BACK = b"\x1b[22;2t", b"\x1b[23;2t"
_PLAIN = b"\x1b[0m"

DETACHED = {"end": "detached"}
LOST = {"end": "lost"}


class Viewer:
    """One attached terminal."""

    def __init__(
        self,
        connection: _socket.socket,
        lent: Lent,
        *,
        keys: bytes | None = None,
        received: bytes = b"",
        is_read_only: bool = False,
        starter: int | None = None,
    ) -> None:
        """keys: the keys that detach; None: the session has not sent them yet, and has not started.

        received: What followed the head of the response.
        starter: The process whose SIGTERM to the whole job, as timeout(1) sends it, ends the command.
        """
        self.session: Mapping[str, object] = {}  # as reported by the supervisor, once it has
        self._connection = connection
        self._lent = lent
        self._keys = None if keys is None else DetachKeys(keys)
        self._received = received
        self._is_read_only = is_read_only
        self._is_in_front = keys is None
        self._starter = starter
        self._disarm = b""  # undoes the modes of the command
        self._arm: bytes | None = None  # sets the modes of the command; None: it may have none
        self._frames = Frames()
        self._unsent = bytearray()
        self._size: wire.Size | None = None  # the size last reported to the supervisor
        self._ended: Mapping[str, object] | None = None  # how the command ended, once that is reported
        self._questions: Questions | None = None
        self._later: list[tuple[int, bytes]] = []  # frames that arrived while the person was being asked
        self._leaving: Mapping[str, object] | None = None  # why to leave, if a signal arrived meanwhile
        self._signals = -1

    def view(self) -> Mapping[str, object]:
        """Copy until the end. Returns why it ended; the terminal is then as it was before."""
        self._signals = descriptor = signals.open_signalfd(_WATCHED)
        self._connection.setblocking(False)
        try:
            if self._keys is not None:
                self._lent.lend()
                self._send_size()
            return self._show(self._received) or self._copy(descriptor)
        finally:
            self._lent.take_back()
            os.close(descriptor)

    def _copy(self, descriptor: int) -> Mapping[str, object]:
        end: Mapping[str, object] | None = None
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        while end is None:
            is_shown = self._keys is not None and self._ended is None
            if is_shown and not self._lent.is_lent and in_front():
                if is_gone():
                    return DETACHED
                self._show_again()
            if self._lent.is_lent and len(self._unsent) < TYPED_BYTES_MAX:
                poll.register(0, select.POLLIN)
            else:
                with suppress(KeyError):
                    poll.unregister(0)
            poll.register(self._connection, select.POLLIN | (select.POLLOUT if self._unsent else 0))
            is_behind = is_shown and not self._lent.is_lent
            ready = dict(poll.poll(LOOK_EVERY_S * 1000 if is_behind else None))
            if descriptor in ready:
                end = self._on_signal(descriptor)
            if end is None and self._connection.fileno() in ready:
                end = self._on_connection(ready[self._connection.fileno()])
            if end is None and 0 in ready and self._lent.is_lent:
                end = self._on_typed()
        if end == DETACHED:
            self._send_rest()
        return end

    def _send_rest(self) -> None:
        """Send what was typed before the keys that detach, if it is accepted soon."""
        with suppress(OSError):
            self._connection.settimeout(LAST_WORDS_S)
            self._connection.sendall(self._unsent)

    def _on_signal(self, descriptor: int) -> Mapping[str, object] | None:
        while (received := signals.read_signal(descriptor)) is not None:
            if received.number == signal.SIGTERM and received.pid == self._starter:
                continue  # the process in front receives it too, and passes it on
            if received.number in signals.TYPED and self._is_in_front:
                continue  # the process in front passes it on to the supervisor
            if received.number == signal.SIGTERM or (
                received.number in signals.ENDING and self._keys is not None
            ):
                return self._ended or (LOST if self._keys is None else DETACHED)
            if self._keys is None or self._ended is not None:
                continue  # before the start, the supervisor receives the signal and ends
            if received.number == signal.SIGTSTP and self._lent.is_lent:
                self._suspend()
            elif received.number == signal.SIGCONT and self._lent.is_lent:
                # timeout(1) sends it to a job that was not stopped; a shell has used the terminal meanwhile.
                if not self._lent.is_raw_still():
                    self._lent.forget()
                self._show_again()
            self._send_size()
        return None

    def _send_size(self) -> None:
        size = terminal_size()
        if size is not None and size != self._size:
            self._size = size
            self._unsent += wire.frame(wire.SIZE, wire.SCREEN.pack(*size))

    def _on_connection(self, events: int) -> Mapping[str, object] | None:
        if events & select.POLLOUT:
            try:
                del self._unsent[: self._connection.send(self._unsent)]
            except BlockingIOError:
                pass
            except OSError:  # closed, but its last frames are still to be read
                self._unsent.clear()
        if not events & ~select.POLLOUT:
            return None
        try:
            received = self._connection.recv(READ_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            return self._ended or LOST
        return self._show(received) if received else self._ended or LOST

    def _show(self, received: bytes) -> Mapping[str, object] | None:
        try:
            for kind, content in self._frames.feed(received):
                end = self._show_frame(kind, content)
                while end is None and self._later:
                    end = self._show_frame(*self._later.pop(0))
                end = end or self._leaving
                if end is not None:
                    return end
        except (OSError, ValueError):
            return DETACHED
        return None

    def _show_frame(self, kind: int, content: bytes) -> Mapping[str, object] | None:
        match kind:
            case wire.DATA:
                write(content)
            case wire.MODES:
                self._follow(*wire.parse_modes(content))
            case wire.NOTICE:
                write(content.replace(b"\n", b"\r\n") if self._lent.is_lent else content)
            case wire.START:
                self.session = json_text.parse_object(content)
                self._lent.session = str(self.session.get("id"))
                self._keys = DetachKeys(parse_keys(str(self.session.get("keys"))))
                self._lent.lend()
                self._send_size()
            case wire.STOPPED:
                self._suspend()
            case wire.ASK:
                self._ask(json_text.parse_object(content))
            case wire.BARE:
                self._ended = {"end": "ended", **json_text.parse_object(content)}
                self._lent.take_back()
            case wire.END:
                return json_text.parse_object(content)
        return None

    def _follow(self, disarm: bytes, arm: bytes) -> None:
        self._note(disarm)
        if self._arm is None:
            write(_KEEP_TITLE)
        self._disarm, self._arm = disarm, arm

    def _note(self, disarm: bytes) -> None:
        self._lent.note(disarm + _PLAIN + _TITLE_BACK)

    def _suspend(self) -> None:
        """Give the terminal back to the shell until the shell continues this job."""
        self._lent.take_back()
        stop_job()
        signal.sigtimedwait({signal.SIGCONT}, 0)  # discard the signal that has just arrived
        self._show_again()

    def _show_again(self) -> None:
        """Set raw mode and the session's modes if this process is in front, and let the command go on."""
        self._lent.lend()
        if self._lent.is_lent and self._arm is not None:
            self._note(self._disarm)
            write(_KEEP_TITLE + self._arm)
        self._unsent += wire.frame(wire.CONTINUE, b"")

    def _ask(self, document: Mapping[str, object]) -> None:
        """Ask the person, and answer."""
        if self._questions is None:
            # Imported here: few runs ask anything.
            from nono.cli.commands.terminal.questions import Questions

            watched = (self._connection.fileno(), self._signals)
            self._questions = Questions(watched, self._withdrawn, self._leave)
        was_lent = self._lent.is_lent
        self._lent.take_back()
        answer = self._questions.answer(document, self._detach_keys)
        self._unsent += wire.json_frame(wire.ANSWER, {"number": document.get("number"), "answer": answer})
        if was_lent and self._leaving is None:
            self._show_again()

    @property
    def _detach_keys(self) -> DetachKeys | None:
        return None if self.session.get("can_be_left") is False else self._keys

    def _leave(self) -> None:
        self._leaving = DETACHED

    def _withdrawn(self) -> str | None:
        """Handle what arrives while the person is asked. Returns why asking has become pointless."""
        self._leaving = self._on_signal(self._signals)
        try:
            received = self._connection.recv(READ_BYTES)
        except BlockingIOError:
            received = None
        except OSError:
            received = b""
        self._later += self._frames.feed(received or b"")
        for kind, content in self._later:
            if kind == wire.WITHDRAWN:
                return str(json_text.parse_object(content).get("why", ""))
            if kind == wire.END:
                return ""
        return "" if received == b"" or self._leaving is not None else None

    def _on_typed(self) -> Mapping[str, object] | None:
        try:
            typed = os.read(0, READ_BYTES // 2)
        except BlockingIOError:  # another program has read it: the terminal was left non-blocking
            return None
        except OSError:
            typed = b""
        keys = self._detach_keys
        passed, is_detached = (typed, not typed) if keys is None else keys.feed(typed)
        if passed and not self._is_read_only:
            if _CTRL_C in passed:
                self._lent.interrupt()
            self._unsent += wire.frame(wire.DATA, passed)
        return DETACHED if is_detached or not typed else None


def report_end(descriptor: int, end: Mapping[str, object]) -> None:
    """Tell another process why a viewer ended."""
    os.write(descriptor, json_text.compact_ascii(dict(end)).encode("ascii"))


def terminal_size() -> wire.Size | None:
    """Return the size of the terminal on stdout; None if it is unknown."""
    try:
        columns, rows = os.get_terminal_size(1)
    except OSError:
        return None
    return wire.size_of(rows, columns)
