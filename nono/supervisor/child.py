"""Handle the running command: its exit, its signals, and the orphans it leaves."""

from __future__ import annotations

import errno
import os
import select
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from nono.bytecode import finder
from nono.kernel import process, signals
from nono.kernel.signals import ReceivedSignal, signal
from nono.sessions.ends import FOREIGN, Sender
from nono.sessions.processes import all_processes, below, process_name, process_stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nono.sessions.stopping import StopRequest

# SIGTSTP is absent: the terminal stops supervisor and command together.
FORWARDED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)

NICER_BY = 15  # added to our own niceness for the command, which waits for us (docs/adr/0017)
NICE_MAX = 19

MASKS_LOST = (
    "what keeps denied paths hidden was killed, so the command was ended: "
    "a file that took the place of a denied one would have lain open"
)
TOGETHER_MS = 200  # between the ends of two processes that something kills together, such as a control group
ORPHAN_GRACE_S = 1.0  # for processes that end by themselves soon after the command
KILLING_S = 5.0  # for processes that fork faster than they can be killed; after that they are left alone


class Child:
    """The command's process group and, because nono is a subreaper, every process orphaned by it.

    No event loop owns the descriptors: a run with nothing else to do uses poll(2), other runs use
    add_reader(). Either way, call serve_signals() when `descriptor` is readable. Signals alone are read from
    signal_descriptor.
    """

    def __init__(
        self,
        pid: int,
        pidfd: int,
        signal_descriptor: int,
        stop_request: Callable[[], StopRequest | None] = lambda: None,
        kill_at_once: Callable[[], None] | None = None,
    ) -> None:
        """stop_request: Returns the request of `nono stop` if that has sent SIGTERM.

        kill_at_once: As for supervise().
        """
        self.pid = pid
        self.spared: set[int] = set()  # children of nono's own that outlive the command
        self.exit_code: int | None = None  # 128+N when signal N ended it
        self.ended_by: int | None = None  # that signal
        self.received: dict[int, Sender] = {}  # the last sender of each signal
        self.stopped_by: str | None = None  # who requested the end with `nono stop`
        self.lost: str | None = None  # what the command may not go on without, as a sentence
        self.on_stop: Callable[[], None] | None = None  # called when the command stops, as by Ctrl-Z
        self._stop_request = stop_request
        self._kill_at_once = kill_at_once
        self._masked: int | None = None
        self._end_at_once: Callable[[], object] = lambda: None
        self.signal_descriptor = signal_descriptor
        self._pidfd = pidfd
        self._events = _events_of(signal_descriptor, pidfd)
        self.descriptor = signal_descriptor if self._events is None else self._events.fileno()

    def serve_signals(self) -> None:
        """Forward received signals and reap ended children.

        Does not block, except once for ORPHAN_GRACE_S at most if the command has ended but cannot be reaped,
        and for TOGETHER_MS at most if what keeps its masks has.
        """
        happened = [] if self._events is None else [number for number, _ in self._events.poll(0)]
        while (received := signals.read_signal(self.signal_descriptor)) is not None:
            if received.number == signal.SIGCHLD:
                self._reap()
            elif received.number == signal.SIGCONT:
                self._continue()
            elif received.from_kernel:
                # The terminal sent it to the command too.
                self.received[received.number] = Sender(0)
                if received.number == signal.SIGHUP and os.getsid(0) == os.getpid():
                    # When a terminal closes, only its session leader is told, such as nono in `xterm -e`.
                    self.send(signal.SIGHUP)
            else:
                self._pass_on(received)
        if self._masked is not None and _has_happened(self._masked, events=0):
            self._masks_end(self._masked)
        if self._pidfd in happened and self.exit_code is None:
            self._reap_traced()

    def watch_masks(self, masked: int, end_at_once: Callable[[], object]) -> None:
        """End the command when what keeps its masks ends before it does.

        masked: A pipe that ends with that; the caller closes it, after the command.
        end_at_once: Ends the command's namespaces, if it has any.
        """
        self._masked, self._end_at_once = masked, end_at_once
        if self._events is not None:
            with suppress(OSError):  # no watches left: the next signal is soon enough
                self._events.register(masked, 0)  # epoll always reports EPOLLHUP

    def _masks_end(self, masked: int) -> None:
        self._masked = None
        if self._events is not None:
            with suppress(OSError):
                self._events.unregister(masked)
        # Otherwise it ended because the command had, or something killed both, in either order.
        if not _has_happened(self._pidfd, TOGETHER_MS):
            self.lost = MASKS_LOST
            self.send(signal.SIGKILL)
            self._end_at_once()
            if self._kill_at_once is not None:
                self._kill_at_once()
            self._end_tracer()

    def close(self) -> None:
        if self._events is not None:
            self._events.close()

    def _pass_on(self, received: ReceivedSignal) -> None:
        pid = received.pid or FOREIGN
        leads_session = pid == os.getsid(0)
        sender = Sender(pid, received.uid, process_name(pid), leads_session)
        if received.number == signal.SIGHUP and not leads_session and _terminal_is_closed():
            sender = Sender(0)
        self.received[received.number] = sender
        asked = self._stop_request() if received.number == signal.SIGTERM else None
        if asked is None:
            self.send(received.number)
            return
        self.stopped_by = asked.by
        if asked.force:
            self.send(signal.SIGKILL)
            self._end_tracer()  # at its last step the command waits for it (PTRACE_O_TRACEEXIT)
        else:
            self.send(signal.SIGTERM)
        self.send(signal.SIGCONT)  # a stopped job would otherwise end only when continued

    def _continue(self) -> None:
        """Continue a command that has stopped itself. A shell's `fg` has continued the whole job already."""
        found = process_stat(self.pid)
        if found is not None and found.is_stopped:
            self.send(signal.SIGCONT)

    def send(self, number: int) -> None:
        """Signal the command through its pidfd, which never refers to another process."""
        if self.exit_code is None:
            with suppress(ProcessLookupError):  # it ended; SIGCHLD is on its way
                signal.pidfd_send_signal(self._pidfd, number)

    def lower_priority(self) -> None:
        """Lower the command's priority (nice +15) so that the supervisor stays responsive. Call before exec.

        Otherwise the code that answers its calls and requests would compete with every process the command
        starts.
        """
        nice = os.getpriority(os.PRIO_PROCESS, 0) + NICER_BY
        os.setpriority(os.PRIO_PROCESS, self.pid, min(nice, NICE_MAX))

    def _reap(self) -> None:
        options = os.WNOHANG | (0 if self.on_stop is None else os.WUNTRACED)
        while True:
            try:
                pid, status = os.waitpid(-1, options)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if not os.WIFSTOPPED(status):
                self._has_ended(pid, status)
            elif pid == self.pid and self.on_stop is not None:
                self.on_stop()

    def _has_ended(self, pid: int, status: int) -> None:
        self.spared.discard(pid)  # the number may be given to another process now
        if pid == self.pid:
            code = os.waitstatus_to_exitcode(status)
            self.exit_code = signals.shell_exit_code(code)
            self.ended_by = -code if code < 0 else None

    def end(self) -> None:
        """Kill the command if it still runs, and end everything it left running. Twice is harmless.

        What is left gets a moment, and is killed then: nobody would answer its calls. The moment is for `tee`
        in a shell's >(...), which ends once its input ends. A subreaper inherits every descendant whose
        parent has died, so each round of killing reaches one more generation.
        """
        self.send(signal.SIGKILL)  # it is reaped below, where a tracer of its own is ended too
        patience_ends = time.monotonic() + ORPHAN_GRACE_S
        gives_up = patience_ends + KILLING_S
        while self._others_remain() and time.monotonic() < gives_up:
            patience_s = 0.0 if self.lost else patience_ends - time.monotonic()
            if patience_s > 0:
                signal.sigtimedwait({signal.SIGCHLD}, patience_s)
                continue
            if self._kill_at_once is not None:
                self._kill_at_once()
            self._end_tracer()
            for descendant in {*process.child_pids()} - self.spared:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(descendant, signal.SIGKILL)  # the number of an unreaped child is not reused
            signal.sigtimedwait({signal.SIGCHLD}, KILLING_S / 10)

    def _others_remain(self) -> bool:
        """Reap every child that has ended. Returns True if others remain that are not spared."""
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG)) != (0, 0):
                self._has_ended(*ended)
            # Where the kernel does not list them, what is spared would be waited for in vain.
            return not self.spared or bool({*process.child_pids()} - self.spared)
        return False

    def _reap_traced(self) -> None:
        """Reap the command, which has ended; end its tracer if that leaves it unreaped.

        A command may be traced by a process that it has started. The kernel tells us nothing of its end then,
        until the tracer has waited for it or has ended; no signal can change that.
        """
        patience_ends = time.monotonic() + ORPHAN_GRACE_S
        self._reap()
        while self.exit_code is None and (left_s := patience_ends - time.monotonic()) > 0:
            signal.sigtimedwait({signal.SIGCHLD}, left_s)
            self._reap()
        self._end_tracer()

    def _end_tracer(self) -> None:
        """Kill the process that traces the command, if the command has started it."""
        if self.exit_code is None:
            # Imported here: few commands are traced.
            from nono.kernel import threads

            with suppress(OSError), ExitStack() as stack:
                tracer = threads.thread_group_id(threads.tracer_thread(self.pid))
                pidfd = os.pidfd_open(tracer)
                stack.callback(os.close, pidfd)
                # Asked once more: meanwhile it may have ended, and its number be another's.
                if threads.thread_group_id(threads.tracer_thread(self.pid)) != tracer:
                    return
                if tracer in below(os.getpid(), all_processes()):
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)


@contextmanager
def supervise(
    pid: int,
    kill_at_once: Callable[[], None] | None,
    stop_request: Callable[[], StopRequest | None] = lambda: None,
) -> Iterator[Child]:
    """Take charge of a child that has not been reaped.

    Leaving the block kills the child if it still runs, and ends everything it left running.

    kill_at_once: Kills most of that in one step, however fast it forks.
    stop_request: As for Child.
    """
    process.become_subreaper()
    pidfd = os.pidfd_open(pid)
    signal_descriptor = signals.open_signalfd((*FORWARDED, signal.SIGCONT, signal.SIGCHLD))
    child = Child(pid, pidfd, signal_descriptor, stop_request, kill_at_once)
    try:
        yield child
    finally:
        child.spared.clear()
        child.end()
        child.close()
        os.close(signal_descriptor)
        os.close(pidfd)


def _events_of(signal_descriptor: int, pidfd: int) -> select.epoll | None:
    """Watch for signals, and once for the end of the command; None if this user has no watches left."""
    events = select.epoll()
    try:
        events.register(signal_descriptor, select.EPOLLIN)
        events.register(pidfd, select.EPOLLIN | select.EPOLLONESHOT)  # readable for good once it has ended
    except OSError:
        events.close()
        return None
    return events


def _has_happened(descriptor: int, patience_ms: int = 0, events: int = select.POLLIN) -> bool:
    """Check whether a pipe or a pidfd tells of the end of a process, or does so soon.

    events: 0 for a pipe, in which may be something to read before its end.
    """
    poll = select.poll()
    poll.register(descriptor, events)
    return bool(poll.poll(patience_ms))


def _terminal_is_closed() -> bool:
    """Check whether a standard stream is a terminal that has hung up; other files answer ENOTTY."""
    for stream in range(process.FIRST_PRIVATE_DESCRIPTOR):
        try:
            termios.tcgetattr(stream)
        except termios.error as error:
            if error.args[0] == errno.EIO:
                return True
    return False


def wait(child: Child) -> int:
    """Block until the command has ended and return its exit code. For a run that serves nothing meanwhile."""
    poll = select.poll()
    poll.register(child.descriptor, select.POLLIN)
    child.serve_signals()
    finder.unload()
    while child.exit_code is None:
        poll.poll()
        child.serve_signals()
    return child.exit_code
