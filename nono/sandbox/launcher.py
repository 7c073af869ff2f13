"""Forks a small process before anything secret or threaded exists; that process becomes the command.

Protocol, each line one message of nono.sandbox.channel:

    supervisor → launcher   {"probe": {"network": true|false}}  optional, more than once
    launcher → supervisor   {"facts": ...}
    supervisor → launcher   {"namespaces": VIEW}                optional: take namespaces of its own
    launcher → supervisor   {"moved_to": PID}                   it goes on as that process; the old one ends
    supervisor → launcher   {"private_network": PORT, "makes_sockets": true|false}
                                                                on the rung netns: leave this network
    launcher → supervisor   {"proxy_listener": N, "socket_maker": N}
                                                                numbers, or null; open until the plan comes
    supervisor → launcher   {"plan": ..., "command": ...}
    launcher → supervisor   {"restricted": true, "listener": N} the number of its listener, or null
    supervisor → launcher   {"go": true}                        the listener is taken, the start is recorded
    launcher → supervisor   end of file (close-on-exec)         execve succeeded
                            {"failed": text, "status": 126|127} anything else, at any point

os.fork() is sound here because the process that calls it has one thread and no event loop yet.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from typing import NoReturn

from nono.errors import LaunchError, NonoError
from nono.kernel import process
from nono.sandbox import channel, probe
from nono.sandbox.enter import Command, default_signals, enter, open_missing_standard_streams
from nono.sandbox.plan.facts import HostFacts
from nono.sandbox.plan.plan import SandboxPlan
from nono.sandbox.plan.private_view import PrivateView
from nono.sandbox.private_network import enter_private_network
from nono.sandbox.socket_maker import fork_socket_maker

STATUS_NOT_RESTRICTED = 126
STATUS_NOT_EXECUTED = 127
OUTSIDE = 0  # how getppid(2) calls a parent outside this PID namespace
ENDED_EARLY = "the process that was to become the command ended before it started; a signal may have come"


class Launcher:
    """The supervisor's end. Whoever waits for `pid` reaps the process; close() closes the socket."""

    def __init__(self, pid: int, connection: socket.socket, lifeline: int) -> None:
        self.pid = pid
        self._connection = connection
        self._lifeline = lifeline  # the writing end of a pipe on which nothing is written
        self._probes_network: bool | None = None  # what the pending probe covers; None: there is none

    def request_facts(self, *, network: bool) -> None:
        """Start the launcher's kernel probe, which runs while the supervisor does something else.

        network: Probe for what holds a network too, and not only for namespaces of the command's own.
        """
        self._send({"probe": {"network": network}})
        self._probes_network = network

    def facts(self, *, network: bool) -> HostFacts:
        """Return the result of the probe that request_facts started, or of one made now if that said less."""
        if self._probes_network is None or network > self._probes_network:
            self.settle()
            self.request_facts(network=network)
        self._probes_network = None
        found = self._receive()["facts"]
        if not isinstance(found, dict):
            raise LaunchError("the launcher sent no host facts")
        return HostFacts.from_message(found)

    def settle(self) -> None:
        """Wait for a pending probe to end and discard its result."""
        if self._probes_network is not None:
            self.facts(network=self._probes_network)

    def enter_namespaces(self, view: PrivateView) -> None:
        """Move the launcher to namespaces of its own, in which it will see `view`.

        It goes on as another child of this process; `pid` changes.
        """
        self.settle()
        # The init of the namespaces loses its parent, the process that `pid` is now. It is ours then.
        process.become_subreaper()
        self._send({"namespaces": view.to_message()})
        moved_to = self._receive()["moved_to"]
        if not isinstance(moved_to, int):
            raise LaunchError("the launcher did not say where it is")
        os.waitpid(self.pid, 0)
        self.pid = moved_to

    def leave_network(self, proxy_port: int, *, makes_sockets: bool) -> tuple[int, int | None]:
        """Move the launcher to its own network namespace. Return two descriptor numbers in the launcher.

        They are a listener for the proxy, and the channel of a socket maker if `makes_sockets`. Call before
        begin_restrict: the launcher closes both when the plan arrives. proxy_port 0 takes a free port.
        """
        self.settle()
        self._send({"private_network": proxy_port, "makes_sockets": makes_sockets})
        answer = self._receive()
        listener, maker = answer["proxy_listener"], answer["socket_maker"]
        if not isinstance(listener, int) or makes_sockets != isinstance(maker, int):
            raise LaunchError("the launcher sent no listener, or no socket maker")
        return listener, maker if isinstance(maker, int) else None

    def begin_restrict(self, plan: SandboxPlan, command: Command) -> None:
        """Send the plan and command.

        The launcher restricts itself while the supervisor does something else.
        """
        self.settle()
        self._send(
            {
                "plan": plan.to_message(),
                "command": [command.program, list(command.argv), command.environment, command.workdir],
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

    def close(self) -> None:
        """Close the socket and the lifeline.

        A launcher that still waits for its plan or for go() then ends; so does the init of its namespaces.
        """
        self._connection.close()
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1

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


def fork_launcher(environ: Mapping[str, str]) -> Launcher:
    """Fork the launcher. Call before asyncio, ssl, pydantic or any secret is in memory.

    environ: The copy of the environment in this process, of which the launcher is to hold none.
    """
    open_missing_standard_streams()
    if process.thread_count() != 1:
        raise LaunchError("nono must not have threads when it forks its launcher")
    ours, theirs = socket.socketpair()
    lifeline_end, lifeline = os.pipe()
    supervisor_pid = os.getpid()
    pid = os.fork()
    if pid == 0:
        ours.close()
        os.close(lifeline)
        process.forget_environment(environ)  # it may hold keys; the command's comes with the plan
        _become_command(theirs, lifeline_end, supervisor_pid)
    theirs.close()
    os.close(lifeline_end)
    return Launcher(pid, ours, lifeline)


def _become_command(connection: socket.socket, lifeline_end: int, supervisor_pid: int) -> NoReturn:
    """Run the launcher's whole life; never return into the code that forked it."""
    status = STATUS_NOT_RESTRICTED
    try:
        _leave_supervisor(supervisor_pid)
        request = channel.receive(connection.fileno())
        while request is not None and "probe" in request:
            request = _probe(connection, request)
        holds_all = False
        if request is not None and "namespaces" in request:
            holds_all = _take_namespaces(connection, lifeline_end, request)
            request = channel.receive(connection.fileno())
        leaves = request is not None and "private_network" in request
        if request is not None and leaves:
            request = _leave_network(connection, request)
        if request is not None:
            plan, command = _parse_request(request)
            if plan.private_network != leaves:
                raise LaunchError("the plan is for another network than the launcher is in")
            listener = enter(plan, command, keep={connection.fileno()}, holds_all=holds_all)
            channel.send(connection.fileno(), {"restricted": True, "listener": listener})
            if channel.receive(connection.fileno()) is not None:
                status = STATUS_NOT_EXECUTED
                os.execve(command.program, command.argv, command.environment)
    except NonoError as error:
        _report(connection, error.message, status)
    except OSError as error:
        _report(connection, _sentence(error, status), status)
    except BaseException as error:  # a bug here must end this process, not run on as a second supervisor
        _report(connection, f"the launcher failed: {error!r}", status)
    finally:
        os._exit(status)


def _probe(connection: socket.socket, request: channel.Message) -> channel.Message | None:
    """Send the facts and return the next message."""
    asked = request["probe"]
    facts = probe.host_facts(network=isinstance(asked, dict) and bool(asked["network"]))
    channel.send(connection.fileno(), {"facts": facts.to_message()})
    # For what most likely comes next, while the supervisor is busy.
    from nono.kernel import clone  # noqa: F401 - imported for later
    from nono.sandbox import init  # noqa: F401 - imported for later

    return channel.receive(connection.fileno())


def _take_namespaces(connection: socket.socket, lifeline_end: int, request: channel.Message) -> bool:
    """Go on as a process in namespaces of its own; the process that calls this does not return.

    Returns True, in the new one, if it has every capability over a user namespace of its own.
    """
    view = request["namespaces"]
    if not isinstance(view, dict):
        raise ValueError("namespaces without a view")
    # Imported here: not every run has them.
    from nono.kernel import clone, namespaces
    from nono.sandbox.init import fork_init, wait_for_view

    holds_all = namespaces.leave_processes()
    answer = fork_init(PrivateView.from_message(view), lifeline_end)
    moved_to = clone.fork_sibling()
    if moved_to:
        channel.send(connection.fileno(), {"moved_to": moved_to})
        os._exit(0)
    process.set_parent_death_signal(signal.SIGKILL)
    if os.getppid() != OUTSIDE:  # the supervisor died before the call above could notice
        os._exit(STATUS_NOT_RESTRICTED)
    wait_for_view(answer)
    return holds_all


def _leave_network(connection: socket.socket, request: channel.Message) -> channel.Message | None:
    """Move to a private network and return the message after the announcement.

    By then the supervisor has taken the announced descriptors.
    """
    proxy_port = request["private_network"]
    if not isinstance(proxy_port, int):
        raise ValueError("a private network without a port")
    with ExitStack() as stack:
        listener = stack.enter_context(enter_private_network(proxy_port))
        maker = stack.enter_context(fork_socket_maker()) if request["makes_sockets"] else None
        numbers: channel.Message = {
            "proxy_listener": listener.fileno(),
            "socket_maker": None if maker is None else maker.fileno(),
        }
        channel.send(connection.fileno(), numbers)
        return channel.receive(connection.fileno())


def _leave_supervisor(supervisor_pid: int) -> None:
    """Drop what this process inherited from its parent and the command must not have."""
    default_signals()
    process.set_parent_death_signal(signal.SIGKILL)
    if os.getppid() != supervisor_pid:  # it died before the call above could notice
        os._exit(STATUS_NOT_RESTRICTED)
    # pidfd_getfd on this process needs it dumpable, whatever the supervisor inherited or chose.
    process.set_dumpable(True)


def _parse_request(request: channel.Message) -> tuple[SandboxPlan, Command]:
    plan, command = request["plan"], request["command"]
    if not isinstance(plan, dict) or not isinstance(command, list):
        raise ValueError("a launch request without a plan or a command")
    program, argv, environment, workdir = command
    return SandboxPlan.from_message(plan), Command(program, tuple(argv), environment, workdir)


def _sentence(error: OSError, status: int) -> str:
    if status == STATUS_NOT_EXECUTED:
        return f"Command execution failed: {error.filename}: {error.strerror}"
    return f"the command was not started: {error}"


def _report(connection: socket.socket, text: str, status: int) -> None:
    with suppress(OSError):  # the supervisor is gone, and so is everybody who could read it
        channel.send(connection.fileno(), {"failed": text, "status": status})
