"""Implement the supervisor's side of a run with its own terminal: how it talks to the process in front of it.

The process that a person started stays in front, at their terminal. The supervisor is forked from it and
leads a session of its own, whose terminal is the command's. Until the command runs, the supervisor may still
write to and read from the person's terminal, because the kernel allows that to processes for which it is not
the controlling terminal. From then on it does so through a viewer.
"""

from __future__ import annotations

import fcntl
import io
import os
import signal
import sys
import termios
from _socket import SHUT_RDWR, socketpair  # socket itself makes enums: 1.5 ms of a start
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

from nono.kernel import process
from nono.named_tuple import NamedTuple
from nono.sessions import wire
from nono.supervisor.relay import pty
from nono.supervisor.relay.pty import Pty, open_pty

if TYPE_CHECKING:
    import _socket

    from nono.supervisor.relay.relay import Relay

RECEIVE_BYTES = 1 << 16


class Ahead(NamedTuple):
    """What the process in front holds of the supervisor; it waits for the one and closes the other."""

    pid: int
    connection: _socket.socket


class Front:
    """What the supervisor holds of the process in front."""

    def __init__(self, own: Pty, connection: _socket.socket, *, is_detached: bool) -> None:
        """is_detached: The process in front only waits until the command runs."""
        self.pty = own
        self.is_detached = is_detached
        self.detach_keys = ""  # as spelled in config.toml
        self.recorded_bytes_max = 0  # limit for recording the terminal; 0: no recording
        self.startup_s = 0  # time for the command to show something; 0: no limit
        self._connection: _socket.socket | None = connection
        self._frames = wire.Frames()
        self._relay: Relay | None = None

    def started(self, relay: Relay, session: Mapping[str, object]) -> None:
        """Report that the command runs, and pass the person's terminal to the relay."""
        os.close(self.pty.slave)  # the command has it; nothing else may keep it open after the command's end
        process.set_parent_death_signal(0)  # from now on the supervisor survives the process in front
        connection, self._connection = self._connection, None
        assert connection is not None  # this is called once
        document = {**session, "keys": self.detach_keys}
        size = pty.size(1)
        # Before the start is announced, because the receiver may exit: nothing may keep the terminal then.
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        for stream in range(process.FIRST_PRIVATE_DESCRIPTOR):
            os.dup2(nothing, stream)
        os.close(nothing)
        sys.stderr = _Notices(self)
        if self.is_detached:
            with closing(connection), suppress(OSError):
                connection.sendall(wire.json_frame(wire.START, document))
        else:
            connection.setblocking(False)
            relay.attach(connection, None if size is None else wire.Size(*size), b"", frozenset({wire.ASKS}))
            relay.announce(document)
        self._relay = relay

    def ended(self, kept: _socket.socket | None) -> None:
        """Take over the connection on which messages can still be sent."""
        if self._relay is None:
            return  # the command never ran, and no relay got the connection
        self._relay = None
        self._connection = kept
        if kept is not None:
            kept.setblocking(True)

    @property
    def is_alone(self) -> bool:
        """True if somebody is there, and the command is not."""
        return self._relay is None and self._connection is not None

    def leave(self) -> None:
        """Tell the viewer that nothing follows: it ends while this process does, which takes a moment."""
        if self._connection is not None:
            with suppress(OSError):  # it has gone
                self._connection.shutdown(SHUT_RDWR)  # a process forked meanwhile may hold it too
            self._connection.close()
            self._connection = None

    def notice(self, text: str) -> None:
        """Show a message to the person, if anybody is there."""
        if self._relay is not None:
            self._relay.notice(text)
        elif self._connection is not None:
            self._send(wire.frame(wire.NOTICE, text.encode("utf-8", "replace")[: wire.FRAME_BYTES_MAX]))

    async def ask(self, document: Mapping[str, object], why_closed: Callable[[], str]) -> object:
        """Have a person asked while the command runs. Returns the answer; None if nobody can be asked.

        why_closed: Returns the line for the person if the question is withdrawn.
        """
        # Imported here: a run that asks while the command runs has a loop.
        import asyncio

        relay = self._relay
        if relay is None:
            return None
        answer: asyncio.Future[Mapping[str, object] | None] = asyncio.get_running_loop().create_future()

        def answered(said: Mapping[str, object] | None) -> None:
            if not answer.done():
                answer.set_result(said)

        if not relay.ask(document, answered):
            return None
        try:
            said = await answer
        except asyncio.CancelledError:
            relay.withdraw(why_closed())
            raise
        return "gone" if said is None else said.get("answer")

    @contextmanager
    def open_prompt(self) -> Iterator[RemotePrompt | None]:
        """Have the viewer take its terminal for questions after the end; None if nobody is there."""
        if self._asked({"kind": "open"}) != "open":
            yield None
            return
        try:
            yield RemotePrompt(self)
        finally:
            self._asked({"kind": "close"})

    def _asked(self, document: Mapping[str, object]) -> object:
        """Send a question, and wait for its answer; None if there is none."""
        self._send(wire.json_frame(wire.ASK, {"number": 0, **document}))
        while self._connection is not None:
            try:
                received = self._connection.recv(RECEIVE_BYTES)
                for kind, content in self._frames.feed(received):
                    if kind == wire.ANSWER:
                        return wire.parse_json(content).get("answer")
            except (OSError, ValueError):
                received = b""
            if not received:
                self.leave()
        return None

    def _send(self, content: bytes) -> None:
        if self._connection is not None:
            try:
                self._connection.sendall(content)
            except OSError:
                self.leave()


class RemotePrompt:
    """A terminal that a viewer holds for questions; see nono.approval.ask.TerminalPrompt."""

    def __init__(self, front: Front) -> None:
        self._front = front

    def say(self, lines: Iterable[str]) -> None:
        self._front._asked({"kind": "say", "lines": [*lines]})

    def ask(self, question: str) -> str | None:
        answer = self._front._asked({"kind": "line", "question": question})
        return answer if isinstance(answer, str) else None


class _Notices(io.TextIOBase):
    """A stderr whose text a viewer shows."""

    def __init__(self, front: Front) -> None:
        self._front = front

    @property
    def is_shown(self) -> bool:
        """True once the command has ended, while a viewer has its terminal to itself."""
        return self._front.is_alone

    def write(self, text: str, /) -> int:
        self._front.notice(text)
        return len(text)


def fork_supervisor(*, is_detached: bool) -> Front | Ahead:
    """Fork the supervisor, which gets a Front. The calling process stays in front, and gets Ahead.

    Call this before the launcher is forked, because the command inherits the session. Raises OSError if no
    terminal is available.
    """
    own = open_pty(like=1)
    ours, theirs = socketpair()
    parent = os.getpid()
    pid = os.fork()
    if pid:
        theirs.close()
        os.close(own.master)
        os.close(own.slave)
        return Ahead(pid, ours)
    ours.close()
    process.set_parent_death_signal(signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(128 + signal.SIGTERM)
    os.setsid()
    fcntl.ioctl(own.slave, termios.TIOCSCTTY, 0)
    return Front(own, theirs, is_detached=is_detached)


def ignore_job_control() -> None:
    """Let no key stop this process, even in the foreground. Call once the launcher is forked."""
    for number in (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU):
        signal.signal(number, signal.SIG_IGN)
