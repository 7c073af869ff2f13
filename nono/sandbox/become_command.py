"""Run the launcher, from its fork to the execve that makes it the command."""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack, suppress

from nono.errors import LaunchError, NonoError, in_words
from nono.kernel import process
from nono.kernel.signals import signal
from nono.sandbox import channel, probe
from nono.sandbox.command import STATUS_NOT_EXECUTED, STATUS_NOT_RESTRICTED, Command
from nono.sandbox.enter import default_signals, enter
from nono.sandbox.plan.plan import SandboxPlan
from nono.sandbox.plan.private_view import PrivateView

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from typing import NoReturn

OUTSIDE = 0  # getppid(2) returns this for a parent outside the PID namespace


def become_command(
    connection: _socket.socket, lifeline_end: int, masking: int, supervisor_pid: int
) -> NoReturn:
    """Run the launcher's whole life; never return into the code that forked it.

    masking: As for nono.sandbox.enter.enter().
    """
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
        if request is not None and "terminal" in request:
            _take_terminal(request)
            request = channel.receive(connection.fileno())
        leaves = request is not None and "private_network" in request
        if request is not None and leaves:
            request, owns_network = _leave_network(connection, request)
            # Kept for the masks: root may map its own id in another user namespace with CAP_SETFCAP only.
            holds_all |= owns_network
        if request is not None:
            plan, command = _parse_request(request)
            if plan.private_network != leaves:
                raise LaunchError("the plan is for another network than the launcher is in")
            listener = enter(plan, command, keep={connection.fileno()}, masking=masking, holds_all=holds_all)
            channel.send(connection.fileno(), {"restricted": True, "listener": listener})
            if channel.receive(connection.fileno()) is not None:
                status = STATUS_NOT_EXECUTED
                os.execve(command.program, command.argv, command.environment)
    except NonoError as error:
        _report(connection, error.message, status)
    except OSError as error:
        _report(connection, sentence(error, status), status)
    except BaseException as error:  # a bug here must end this process, not run on as a second supervisor
        _report(connection, f"the launcher failed: {error!r}", status)
    finally:
        os._exit(status)


def _probe(connection: _socket.socket, request: channel.Message) -> channel.Message | None:
    """Send the facts, wait for the end of the probe's children, and return the next message."""
    asked = request["probe"]
    if not isinstance(asked, dict):
        raise ValueError("a probe of nothing")
    network, private_network = bool(asked["network"]), bool(asked["private_network"])
    with probe.probed(network=network, private_network=private_network) as facts:
        channel.send(connection.fileno(), {"facts": facts.to_message()})
        # Imports the modules that are most likely needed next, while the supervisor is busy.
        from nono.kernel import namespaces  # noqa: F401 - imported for later
        from nono.sandbox import init  # noqa: F401 - imported for later

    channel.send(connection.fileno(), {"probe_ended": True})
    return channel.receive(connection.fileno())


def _take_namespaces(connection: _socket.socket, lifeline_end: int, request: channel.Message) -> bool:
    """Go on as a process in namespaces of its own; the process that calls this does not return.

    Returns True, in the new process, if it has every capability over a user namespace of its own.
    """
    view = request["namespaces"]
    if not isinstance(view, dict):
        raise ValueError("namespaces without a view")
    # Imported here: not every run has namespaces.
    from nono.kernel import namespaces
    from nono.sandbox.init import fork_init, wait_for_view

    holds_all = namespaces.leave_processes()
    answer = fork_init(
        PrivateView.from_message(view), lifeline_end, makes_sockets=bool(request["makes_sockets"])
    )
    moved_to = namespaces.fork_sibling()
    if moved_to:
        channel.send(connection.fileno(), {"moved_to": moved_to})
        os._exit(0)
    process.set_parent_death_signal(signal.SIGKILL)
    if os.getppid() != OUTSIDE:  # the supervisor died before the call above could notice
        os._exit(STATUS_NOT_RESTRICTED)
    wait_for_view(answer)
    return holds_all


def _take_terminal(request: channel.Message) -> None:
    """Become the foreground job of the session's terminal, and use it for the standard streams.

    The supervisor leads the session, as a shell does, so that the kernel lets keys stop the job.
    """
    number = request["terminal"]
    if not isinstance(number, int):
        raise ValueError("a terminal without a number")
    os.setpgid(0, 0)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})  # it would stop us here, in the background
    os.tcsetpgrp(number, os.getpgrp())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTTOU})
    for stream in range(process.FIRST_PRIVATE_DESCRIPTOR):
        os.dup2(number, stream)
    os.close(number)


def _leave_network(
    connection: _socket.socket, request: channel.Message
) -> tuple[channel.Message | None, bool]:
    """Move to a private network and return the message after the announcement.

    By then the supervisor has taken the announced descriptors. Also return True if this process has every
    capability over a user namespace that owns the network.
    """
    # Imported here, with socket: few runs have one.
    from nono.sandbox.private_network import enter_private_network, stand_in_for_hosts
    from nono.sandbox.socket_maker import fork_socket_maker

    proxy_port = request["private_network"]
    if not isinstance(proxy_port, int):
        raise ValueError("a private network without a port")
    with ExitStack() as stack:
        listener, holds_all = enter_private_network(proxy_port)
        stack.enter_context(listener)
        maker = stack.enter_context(fork_socket_maker(stand_in_for_hosts()))
        numbers: channel.Message = {"proxy_listener": listener.fileno(), "socket_maker": maker.fileno()}
        channel.send(connection.fileno(), numbers)
        return channel.receive(connection.fileno()), holds_all


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
    program, argv, *others = command
    return SandboxPlan.from_message(plan), Command(program, tuple(argv), *others)


def sentence(error: OSError, status: int) -> str:
    """Say why the command did not start, to the supervisor, which prints it."""
    if status == STATUS_NOT_EXECUTED:
        return f"Command execution failed: {error.filename}: {error.strerror}"
    # As fork(2) says it.
    limit = ": ulimit -u shows how many processes your user may have" if error.errno == errno.EAGAIN else ""
    return f"the command was not started: {in_words(error)}{limit}"


def _report(connection: _socket.socket, text: str, status: int) -> None:
    with suppress(OSError):  # the supervisor is gone, and so is everybody who could read it
        channel.send(connection.fileno(), {"failed": text, "status": status})
