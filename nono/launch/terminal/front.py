"""Implement the supervisor's side of a run with its own terminal: how it talks to the process in front of it.

Until the command runs, the supervisor may write to and read from the person's terminal, because the kernel
allows that to processes for which it is not the controlling terminal. From then on it does so through a
viewer.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress

from nono.disk import json_text
from nono.kernel import process
from nono.kernel.signals import signal
from nono.sessions import wire
from nono.supervisor.relay import pty

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket

    from nono.launch.terminal.apart import Apart
    from nono.supervisor.relay.relay import Relay

RECEIVE_BYTES = 1 << 16


class Front:
    """What the supervisor holds of the process in front."""

    def __init__(self, apart: Apart, startup_s: int) -> None:
        """startup_s: Time for the command to show something; 0: no limit."""
        self.pty = apart.pty
        self.is_detached = apart.is_detached
        self.detach_keys = ""  # as spelled in config.toml
        self.recorded_bytes_max = 0  # limit for recording the terminal; 0: no recording
        self.startup_s = startup_s
        self.arrived: Callable[[], None] = lambda: None  # called when a viewer comes
        self._connection: _socket.socket | None = apart.connection
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

    def notice(self, text: str) -> None:
        """Show a message to the person, if anybody is there."""
        if self._relay is not None:
            self._relay.notice(text)
        elif self._connection is not None:
            self._send(wire.frame(wire.NOTICE, text.encode("utf-8", "replace")[: wire.FRAME_BYTES_MAX]))

    async def ask(self, document: Mapping[str, object], why_closed: Callable[[], str]) -> object:
        """Ask a person while the command runs. Returns the answer; None if nobody can be asked.

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
        """Take the viewer's terminal for questions after the end; None if nobody is there."""
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
                        return json_text.parse_object(content).get("answer")
            except (OSError, ValueError):
                received = b""
            if not received:
                self._leave()
        return None

    def _leave(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _send(self, content: bytes) -> None:
        if self._connection is not None:
            try:
                self._connection.sendall(content)
            except OSError:
                self._leave()


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


def ignore_job_control() -> None:
    """Let no key stop this process, even in the foreground. Call once the launcher is forked."""
    for number in (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU):
        signal.signal(number, signal.SIG_IGN)
