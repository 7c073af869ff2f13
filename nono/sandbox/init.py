"""Runs process 1 of a command's PID namespace: it makes the command's view of the system, then waits.

The kernel gives it every orphan and, when it ends, kills all that is left in the namespace
(pid_namespaces(7)). It ends soon after the command, and at once if the supervisor is gone. No signal from
inside reaches it, and it is not dumpable, so the command cannot stop it or look into it.
"""

from __future__ import annotations

import os
import select
import signal
import time

from nono.errors import LaunchError
from nono.forked import Answer, Reply, answer_pipe, fork_child
from nono.kernel import capabilities, process
from nono.sandbox import private_mounts
from nono.sandbox.plan.private_view import PrivateView

COMMAND = 2  # its pid in the namespace: it is the first that is forked after this process
READY = b"ready"
DIED = b"the init of the command's namespaces died"
SAID_BYTES_MAX = 4096
ORPHAN_GRACE_S = 1.0  # for processes that end by themselves soon after the command, such as tee
LOOK_EVERY_S = 0.01


def fork_init(view: PrivateView, lifeline: int) -> Answer:
    """Fork the init of the PID namespace that this process has left for; it mounts the view of its command.

    The next process to be forked is the command. It calls wait_for_view() on what this returns; whoever else
    has a copy closes it.

    lifeline: The reading end of a pipe whose other end only the supervisor has.
    """
    answer, reply = answer_pipe()
    try:
        fork_child(lambda: _live(view, lifeline, reply))
    finally:
        reply.close()
    return answer


def wait_for_view(answer: Answer) -> None:
    """Return once the view is mounted, and close the answer.

    LaunchError: it cannot be mounted; the process ends when the answer is closed, by the end of this one.
    """
    said = answer.read(SAID_BYTES_MAX)
    if said != READY:
        raise LaunchError((said or DIED).decode("utf-8", "replace"))
    answer.close()


def _live(view: PrivateView, lifeline: int, reply: Reply) -> None:
    os.setsid()  # outside the command's job: signals of the terminal are not for this process
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps what this process adopts
    process.close_range_from(0, keep={lifeline, reply.fileno()})
    try:
        terminal = private_mounts.mount_view(view)
    except OSError as error:
        said = f"the command's own view of this system cannot be mounted: {error.strerror or error}"
        reply.send(said.encode("utf-8", "replace")[:SAID_BYTES_MAX])
        reply.wait_until_closed()  # its end would kill the command before that has passed this on
        return
    os.chdir("/")
    process.forget_arguments()  # options may hold a password, and the command sees this process
    process.set_dumpable(False)
    process.no_new_privs()
    capabilities.drop_all()
    reply.send(READY)
    reply.wait_until_closed()  # the command has read it
    reply.close()
    _wait(lifeline)
    if terminal is not None:
        os.close(terminal)


def _wait(lifeline: int) -> None:
    """Return soon after the command has ended, or at once if the supervisor is gone."""
    poll = select.poll()
    poll.register(lifeline, 0)  # poll(2) always reports POLLHUP
    try:
        command = os.pidfd_open(COMMAND)
    except ProcessLookupError:  # it has ended already
        return
    poll.register(command, select.POLLIN)
    if command in {descriptor for descriptor, _ in poll.poll()}:
        _let_orphans_end()


def _let_orphans_end() -> None:
    patience_ends = time.monotonic() + ORPHAN_GRACE_S
    while time.monotonic() < patience_ends:
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:  # there are none
            return
        time.sleep(LOOK_EVERY_S)
