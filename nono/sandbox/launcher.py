"""Fork a small process before anything secret or threaded exists; that process becomes the command.

Protocol, each line one message of nono.sandbox.channel:

    supervisor → launcher   {"probe": {"network": true|false, "private_network": true|false}}
                                                                optional, more than once
    launcher → supervisor   {"facts": ...}
    launcher → supervisor   {"probe_ended": true}               the children of the probe are gone
    supervisor → launcher   {"namespaces": VIEW, "makes_sockets": true|false}
                                                                optional: take namespaces of its own
    launcher → supervisor   {"moved_to": PID}                   it goes on as that process; the old one ends
    supervisor → launcher   {"terminal": N}                     optional: take the terminal of the session,
                                                                which is open under that number
    supervisor → launcher   {"private_network": PORT}           on the rung netns: leave this network
    launcher → supervisor   {"proxy_listener": N, "socket_maker": N}
                                                                numbers; open until the plan comes
    supervisor → launcher   {"plan": ..., "command": ...}
    launcher → supervisor   {"restricted": true, "listener": N} the number of its listener, or null
    supervisor → launcher   {"go": true}                        the listener is taken, the start is recorded
    launcher → supervisor   end of file (close-on-exec)         execve succeeded
                            {"failed": text, "status": 126|127} anything else, at any point

os.fork() is sound here because the process that calls it has one thread and no event loop yet.
"""

from __future__ import annotations

import os
from _socket import (  # socket makes enums of its constants: 2 ms of a start without a proxy
    AF_UNIX,
    SHUT_RDWR,
    SOCK_SEQPACKET,
    socketpair,
)
from collections.abc import Mapping
from contextlib import suppress

from nono.errors import LaunchError
from nono.kernel import process
from nono.named_tuple import NamedTuple
from nono.sandbox import channel
from nono.sandbox.command import STATUS_NOT_RESTRICTED, Command

# Needed on both sides of the fork, so imported before it.
from nono.sandbox.plan.facts import HostFacts
from nono.sandbox.plan.plan import SandboxPlan
from nono.sandbox.plan.private_view import PrivateView

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket

ENDED_EARLY = "the process that was to become the command ended before it started; a signal may have come"
TOLD_BYTES = 65536  # a whole pipe


class Probe(NamedTuple):
    """What the launcher is to find out, beside whether the command can have namespaces of its own."""

    network: bool  # what holds a network
    private_network: bool  # a network namespace, even if there is a listener

    def covers(self, other: Probe) -> bool:
        return self.network >= other.network and self.private_network >= other.private_network


class Launcher:
    """The supervisor's end. Whoever waits for `pid` reaps the process; close() closes the socket.

    Every method that sends or waits raises LaunchError with the failure that the launcher reports, or if it
    has ended.
    """

    def __init__(self, pid: int, connection: _socket.socket, lifeline: _socket.socket, masked: int) -> None:
        self.pid = pid
        self.masked = masked  # a pipe that ends with what keeps denied paths masked, if the plan has masks
        self._connection = connection
        self.lifeline = lifeline  # open until close(), so that the init of its namespaces lives as long
        self._pending: Probe | None = None
        self._has_probe_ended = True

    def request_facts(self, wanted: Probe) -> None:
        """Start the launcher's kernel probe, which runs while the supervisor does something else."""
        self.end_probe()
        self._send({"probe": wanted._asdict()})
        self._pending, self._has_probe_ended = wanted, False

    def facts(self, wanted: Probe) -> HostFacts:
        """Return the result of the probe that request_facts started, or of one made now if that said less."""
        if self._pending is None or not self._pending.covers(wanted):
            self.settle()
            self.request_facts(wanted)
        self._pending = None
        found = self._receive_or_fail()["facts"]
        if not isinstance(found, dict):
            raise LaunchError("the launcher sent no host facts")
        return HostFacts.from_message(found)

    def settle(self) -> None:
        """Wait for the result of a pending probe and discard it."""
        if self._pending is not None:
            self.facts(self._pending)

    def end_probe(self) -> None:
        """Wait until the processes of the probe are gone, whose result must have been taken."""
        if not self._has_probe_ended:
            self._has_probe_ended = bool(self._receive_or_fail()["probe_ended"])

    def begin_namespaces(self, view: PrivateView, *, makes_sockets: bool) -> None:
        """Send the launcher to new namespaces, in which it sees `view`.

        It moves while the supervisor does something else.

        makes_sockets: Whether `lifeline` will be the channel of a socket maker in an empty network.
        """
        self.settle()
        # The init of the namespaces will lose its parent, the current `pid`, and becomes our child.
        process.become_subreaper()
        self._send({"namespaces": view.to_message(), "makes_sockets": makes_sockets})

    def end_namespaces(self) -> None:
        """Wait until the launcher has moved. It continues as another child of this process: `pid` changes."""
        moved_to = self._receive()["moved_to"]
        if not isinstance(moved_to, int):
            raise LaunchError("the launcher did not say where it is")
        os.waitpid(self.pid, 0)
        self.pid = moved_to

    def take_terminal(self, number: int) -> None:
        """Put the launcher into the foreground of the session's terminal, open there as descriptor `number`.

        Call after end_namespaces().
        """
        self.settle()
        self._send({"terminal": number})

    def leave_network(self, proxy_port: int) -> tuple[int, int]:
        """Move the launcher to its own network namespace. Return two descriptor numbers in the launcher.

        They are a listener for the proxy, and the channel of a socket maker (nono.sandbox.socket_maker). Call
        before begin_restrict: the launcher closes both when the plan arrives. proxy_port 0 takes a free port.
        """
        self.settle()
        self._send({"private_network": proxy_port})
        answer = self._receive()
        listener, maker = answer["proxy_listener"], answer["socket_maker"]
        if not isinstance(listener, int) or not isinstance(maker, int):
            raise LaunchError("the launcher sent no listener, or no socket maker")
        return listener, maker

    def begin_restrict(self, plan: SandboxPlan, command: Command) -> None:
        """Send the plan and command.

        The launcher restricts itself while the supervisor does something else.
        """
        self.settle()
        self._send(
            {
                "plan": plan.to_message(),
                "command": list(command),
            }
        )

    def end_restrict(self) -> int | None:
        """Wait until the launcher is restricted. Return the number of its listener there, or None."""
        number = self._receive()["listener"]
        return number if isinstance(number, int) else None

    def go(self) -> None:
        """Tell the launcher to execute the command."""
        self._send({"go": True})

    def wait_for_exec(self) -> None:
        """Wait until execve succeeded. Raises LaunchError if the command cannot be executed."""
        if (message := self._receive_or_end()) is not None:
            raise _launch_error(message)

    def fileno(self) -> int:
        return self._connection.fileno()

    def uncovered(self) -> list[str]:
        """Return the denied paths that lay open after they had been masked, as far as is known by now."""
        os.set_blocking(self.masked, False)
        told = b""
        with suppress(BlockingIOError):
            while piece := os.read(self.masked, TOLD_BYTES):
                told += piece
        return [os.fsdecode(path) for path in told.split(b"\0") if path]

    def close(self) -> None:
        """Close the socket, the lifeline and the pipe. Call once.

        A launcher that still waits for its plan or for go() then ends; so does the init of its namespaces.
        """
        self._connection.close()
        self.lifeline.close()
        os.close(self.masked)

    def end_namespaces_at_once(self) -> None:
        """End the init of the command's namespaces, if it has any, and with it everything inside them."""
        with suppress(OSError):  # it is gone
            self.lifeline.shutdown(SHUT_RDWR)

    def abandon(self) -> None:
        """Close the socket and wait until the process is gone."""
        self.close()
        os.waitpid(self.pid, 0)

    def _send(self, message: channel.Message) -> None:
        try:
            channel.send(self._connection.fileno(), message)
        except BrokenPipeError as error:
            self._receive()  # raises the failure that it reported before it ended, if any
            raise LaunchError(ENDED_EARLY) from error

    def _receive_or_end(self) -> channel.Message | None:
        try:
            return channel.receive(self._connection.fileno())
        except ConnectionResetError as error:  # it ended before reading our message
            raise LaunchError(ENDED_EARLY) from error

    def _receive(self) -> channel.Message:
        self.end_probe()
        return self._receive_or_fail()

    def _receive_or_fail(self) -> channel.Message:
        message = self._receive_or_end()
        if message is None:
            raise LaunchError(ENDED_EARLY)
        if "failed" in message:
            raise _launch_error(message)
        return message


def _launch_error(message: channel.Message) -> LaunchError:
    status = message.get("status")
    return LaunchError(
        str(message.get("failed", "the launcher sent something unexpected")),
        exit_code=status if isinstance(status, int) else STATUS_NOT_RESTRICTED,
    )


def fork_launcher(environ: Mapping[str, str], likely: Probe) -> Launcher:
    """Fork the launcher and have it probe the kernel. Call before asyncio, ssl or any secret is in memory.

    Raises LaunchError if this process has threads.

    environ: The copy of the environment in this process, of which the launcher is to hold none.
    likely: What the run is likely to ask for.
    """
    process.open_missing_standard_streams()
    if process.thread_count() != 1:
        raise LaunchError("nono must not have threads when it forks its launcher")
    ours, theirs = socketpair()
    lifeline_end, lifeline = socketpair(AF_UNIX, SOCK_SEQPACKET)
    masked, masking = os.pipe()
    supervisor_pid = os.getpid()
    pid = os.fork()
    if pid == 0:
        ours.close()
        lifeline.close()
        os.close(masked)
        process.forget_environment(environ)  # it may hold keys; the command's environment comes with the plan
        try:
            # Imported here: the supervisor does not need it, and imports its own modules meanwhile.
            from nono.sandbox.become_command import become_command

            become_command(theirs, lifeline_end.fileno(), masking, supervisor_pid)
        finally:
            os._exit(STATUS_NOT_RESTRICTED)
    theirs.close()
    lifeline_end.close()
    os.close(masking)
    launcher = Launcher(pid, ours, lifeline, masked)
    launcher.request_facts(likely)
    return launcher
