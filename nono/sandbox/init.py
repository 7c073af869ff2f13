"""Run process 1 of a command's PID namespace: mount the command's view of the system, then wait.

While it waits it makes UDP sockets for the supervisor, in a network in which nobody else is (ADR 99), and
before them the ones of its name servers (ADR 120).

The kernel reparents orphans to this process and, when it ends, kills everything left in the namespace
(pid_namespaces(7)). It ends soon after the command, and at once if the supervisor is gone. No signal from
inside reaches it, and it is not dumpable, so the command can neither stop it nor inspect it.
"""

from __future__ import annotations

import _socket
import os
import select
import time

from nono.disk.resolv_conf import name_servers  # not later: the view may hide where nono is
from nono.errors import LaunchError, reason_of
from nono.forked import Answer, Reply, answer_pipe, fork_child
from nono.kernel import capabilities, namespaces, process
from nono.kernel.signals import signal
from nono.sandbox import private_mounts, socket_maker
from nono.sandbox.plan.private_view import PrivateView

FOR_A_NETWORK = (10, 12, 21)  # CAP_NET_BIND_SERVICE, CAP_NET_ADMIN, CAP_SYS_ADMIN
COMMAND = 2  # the command's pid in the namespace, as the first process forked after this one
READY = b"ready"
DIED = b"the init of the command's namespaces died"
SAID_BYTES_MAX = 4096
ORPHAN_GRACE_S = 1.0  # for processes that end by themselves soon after the command, such as tee
FIRST_LOOK_S, LOOK_EVERY_S = 0.0005, 0.01  # what keeps the masks ends by itself within a millisecond


def fork_init(view: PrivateView, lifeline: int, *, makes_sockets: bool) -> Answer:
    """Fork the init of the PID namespace that this process has unshared; it mounts the command's view.

    The next process to be forked is the command. It passes the returned value to wait_for_view(); every other
    process that holds a copy closes it.

    lifeline: One end of a SOCK_SEQPACKET channel, whose other end only the supervisor has.
    makes_sockets: Whether the supervisor may ask for sockets (nono.sandbox.socket_maker).
    """
    answer, reply = answer_pipe()
    try:
        fork_child(lambda: _live(view, lifeline, reply, makes_sockets=makes_sockets))
    finally:
        reply.close()
    return answer


def wait_for_view(answer: Answer) -> None:
    """Return once the view is mounted, and close the answer.

    Raises LaunchError if it cannot be mounted. Init then ends when this process closes the answer by exiting.
    """
    said = answer.read(SAID_BYTES_MAX)
    if said != READY:
        raise LaunchError((said or DIED).decode("utf-8", "replace"))
    answer.close()


def _live(view: PrivateView, lifeline: int, reply: Reply, *, makes_sockets: bool) -> None:
    os.setsid()  # leave the command's job, whose terminal signals must not reach this process
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps what this process adopts
    process.close_range_from(0, keep={lifeline, reply.fileno()})
    try:
        terminal = private_mounts.mount_view(view)
    except OSError as error:
        said = f"the command's own view of this system cannot be mounted: {reason_of(error)}"
        reply.send(said.encode("utf-8", "replace")[:SAID_BYTES_MAX])
        reply.wait_until_closed()  # init's end would kill the command before it has reported this failure
        return
    os.chdir("/")
    process.forget_arguments()  # the arguments may hold a password, and the command can see this process
    process.set_dumpable(False)
    process.no_new_privs()
    capabilities.drop_all(but=FOR_A_NETWORK if makes_sockets else ())
    reply.send(READY)
    reply.wait_until_closed()  # until the command has read it
    reply.close()
    _wait(_socket.socket(fileno=lifeline))
    if terminal is not None:
        os.close(terminal)


def _wait(lifeline: _socket.socket) -> None:
    """Return soon after the command has ended, or at once if the supervisor is gone."""
    poll = select.poll()
    poll.register(lifeline.fileno(), select.POLLIN)  # at its end too
    try:
        command = os.pidfd_open(COMMAND)
    except ProcessLookupError:  # the command has already ended
        return
    poll.register(command, select.POLLIN)
    is_elsewhere = False
    while command not in {descriptor for descriptor, _ in poll.poll()}:
        asked = lifeline.recv(socket_maker.REQUEST_BYTES)
        if not asked:
            return
        is_elsewhere = is_elsewhere or _enter_empty_network(lifeline)
        if is_elsewhere:
            socket_maker.answer(lifeline, asked)
        else:
            lifeline.send(socket_maker.REFUSED)
    _let_orphans_end()


def _enter_empty_network(lifeline: _socket.socket) -> bool:
    """Enter an empty network, send its name servers, and drop all capabilities.

    Returns False if the kernel refuses the network.
    """
    try:
        namespaces.enter_empty_network()
        bound = socket_maker.bind_name_servers(name_servers())
    except OSError:
        return False
    finally:
        capabilities.drop_all_but(())  # nothing is left in the bounding set
    socket_maker.send_name_servers(lifeline, bound)
    return True


def _let_orphans_end() -> None:
    """Return once no child is left, or after ORPHAN_GRACE_S. Who runs nono waits for it."""
    patience_ends = time.monotonic() + ORPHAN_GRACE_S
    next_look_s = FIRST_LOOK_S
    while time.monotonic() < patience_ends:
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:  # no children
            return
        time.sleep(next_look_s)
        next_look_s = min(2 * next_look_s, LOOK_EVERY_S)
