"""Look after CMD and its descendants, as their parent and subreaper, until they have ended."""

from __future__ import annotations

import os
import select
import signal
import socket
from collections.abc import Sequence
from time import monotonic
from typing import TYPE_CHECKING, NoReturn

from support.kernelsim.calls import (
    PR_SET_CHILD_SUBREAPER,
    PR_SET_DUMPABLE,
    landlock_abi,
    prctl,
    read_siginfo,
    signalfd,
)
from support.kernelsim.child import EXIT_SIMULATOR_FAILED, SignalMask, confine, execute
from support.kernelsim.listener import Listener
from support.kernelsim.standin import StandIn, imagine, say
from support.kernelsim.tracer import Tracer, is_group_stop

if TYPE_CHECKING:
    from support.kernelsim.kernel import Kernel

ORPHANS_END_S = 5.0
WALL = 0x40000000  # __WALL, wait(2): also traced tasks that are threads

# A fault is the simulator's own; Python ignores SIGPIPE and SIGXFSZ; the rest is for CMD.
OWN_SIGNALS = frozenset(
    {
        *(signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE, signal.SIGXFSZ),
        *(signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP, signal.SIGSYS),
        signal.SIGABRT,
    }
)
LINGERING_ENDED_BY = frozenset({signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM})


def run(kernel: Kernel, argv: Sequence[str]) -> int:
    """Run to the end. Returns CMD's exit code, or the negative number of the signal that killed it."""
    outcome = fork(kernel)
    return outcome if isinstance(outcome, int) else execute(argv, outcome)


def fork(kernel: Kernel) -> int | SignalMask:
    """Fork CMD's process and attend it to its end. Returns twice, like fork(2).

    In CMD's process: the signal mask that CMD is to have; most signals are blocked. In the simulator: CMD's
    exit code, or the negative number of the signal that killed it.
    """
    try:
        return _fork(kernel)
    except OSError as error:
        say(str(error))
        return EXIT_SIMULATOR_FAILED


def end_like(code: int) -> NoReturn:
    """End this process as CMD ended. `code`: as returned by `fork`."""
    if code < 0:
        prctl(PR_SET_DUMPABLE, 0)  # CMD may have dumped core already, and once is enough
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {-code})
        os.kill(os.getpid(), -code)
    os._exit(code if code >= 0 else 128 - code)


def _fork(kernel: Kernel) -> int | SignalMask:
    if kernel.landlock_abi is not None and kernel.landlock_abi > landlock_abi():
        say(f"this kernel has Landlock ABI {landlock_abi()}, not {kernel.landlock_abi}")
        return EXIT_SIMULATOR_FAILED
    ours, theirs = socket.socketpair()
    # Blocked before the fork, so that no signal ends one of the two in between: CMD finds it pending.
    blocked = signal.valid_signals() - OWN_SIGNALS
    mask_of_cmd = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    cmd = os.fork()
    if cmd == 0:
        ours.close()
        confine(kernel, theirs)
        return mask_of_cmd
    theirs.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # no child could be waited for if it is ignored
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    tree = Tree(cmd, signalfd(blocked), kernel.linger)
    try:
        _attend(kernel, tree, ours)
        return tree.serve()
    finally:
        tree.end_orphans()


def _attend(kernel: Kernel, tree: Tree, channel: socket.socket) -> None:
    """Meet CMD where it waits before its execve(2), get ready to answer, and let it go.

    If CMD never got that far, or cannot be attended, the closed channel ends it and `serve` returns how.
    """
    with channel:
        message, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
        _let_go_of_cmds_descriptors({channel.fileno(), tree.signals, *descriptors})
        if not message:
            return
        standin = StandIn(imagine(kernel), kernel.verbose)
        if kernel.notify_busy:
            tree.listener = Listener(descriptors[0], standin)
        elif kernel.consulted:
            tree.tracer = Tracer(tree.cmd, standin)
        channel.send(b"g")


def _let_go_of_cmds_descriptors(own: set[int]) -> None:
    """Keep none of CMD's pipes open, so that its peers see when CMD closes them. `say` needs stderr."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
    low = 3
    for descriptor in sorted(own):
        os.closerange(low, descriptor)
        low = descriptor + 1
    os.closerange(low, os.sysconf("SC_OPEN_MAX"))


class Tree:
    """CMD and its descendants. Closes no descriptor; the end of the process does."""

    def __init__(self, cmd: int, signals: int, linger: bool) -> None:
        self.cmd = cmd
        self.signals = signals
        self.listener: Listener | None = None
        self.tracer: Tracer | None = None
        self._linger = linger
        self._code: int | None = None
        self._everyone_ended = False

    def serve(self) -> int:
        """Answer, reap and forward until CMD, or with --linger everyone, has ended. Returns as `fork`."""
        poll = select.poll()
        poll.register(self.signals, select.POLLIN)
        if self.listener:
            poll.register(self.listener.descriptor, select.POLLIN)
        while self._code is None or (self._linger and not self._everyone_ended):
            for descriptor, event in poll.poll():
                if descriptor == self.signals:
                    self._handle_signals()
                elif self.listener and event & select.POLLIN:
                    self.listener.serve_one()
                else:  # hung up: nobody is left under the filter
                    poll.unregister(descriptor)
        return self._code

    def end_orphans(self) -> None:
        """Kill what is left. The children of a killed child become ours in turn, until none is left."""
        deadline = monotonic() + ORPHANS_END_S
        while not self._everyone_ended and monotonic() < deadline:
            for pid in children_of(os.getpid()):
                try:
                    os.kill(pid, signal.SIGKILL)
                except PermissionError:
                    say(f"process {pid} runs on as another user")
                    return
            self._reap()
            if not self._everyone_ended:
                signal.sigtimedwait({signal.SIGCHLD}, 0.1)

    def _handle_signals(self) -> None:
        pending = read_siginfo(self.signals)
        self._reap()  # first: a signal that arrived when CMD had ended must not be lost on its corpse
        for number, si_code in pending:
            if number == signal.SIGCHLD or si_code > 0:  # the latter is the terminal's: CMD has it too
                continue
            if self._code is None:
                os.kill(self.cmd, number)
            elif number in LINGERING_ENDED_BY:
                self._linger = False

    def _reap(self) -> None:
        options = os.WNOHANG | os.WUNTRACED | WALL
        while True:
            try:
                pid, status = os.waitpid(-1, options)
            except ChildProcessError:
                self._everyone_ended = True
                return
            if pid == 0:
                return
            if os.WIFSTOPPED(status):
                self._stopped(pid, status)
            elif pid == self.cmd:
                self._code = os.waitstatus_to_exitcode(status)

    def _stopped(self, pid: int, status: int) -> None:
        if self.tracer:
            self.tracer.resume(pid, status)
        if pid == self.cmd and (not self.tracer or is_group_stop(status)) and has_terminal():
            # The shell waits for the simulator and must see it stop. Its SIGCONT reaches both.
            os.kill(os.getpid(), signal.SIGSTOP)


def has_terminal() -> bool:
    """Return True if a shell may be doing job control; otherwise nobody would ever continue the simulator."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def children_of(parent: int) -> list[int]:
    """Return the children of a process, from proc_pid_stat(5), including zombies."""
    children: list[int] = []
    for name in os.listdir("/proc"):
        if not name.isdecimal():
            continue
        try:
            with open(f"/proc/{name}/stat", errors="replace") as file:
                after_name = file.read().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended meanwhile
        if int(after_name[1]) == parent:
            children.append(int(name))
    return children
