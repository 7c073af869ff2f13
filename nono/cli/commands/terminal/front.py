"""Stand in front of a run, at the terminal of the person who started it."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable, Mapping
from contextlib import closing, suppress

from nono.bytecode import finder
from nono.cli.commands.terminal.guard import fork_viewer
from nono.cli.commands.terminal.own_terminal import Lent, in_front
from nono.disk import json_text
from nono.disk.descriptor import is_readable
from nono.errors import NonoError
from nono.kernel.signals import ENDING, TYPED, shell_exit_code, signal
from nono.launch.terminal.apart import Ahead
from nono.sessions import wire

LEFT = 128 + signal.SIGTSTP  # exit code when the run goes on, as for a job stopped with Ctrl-Z
SEEN, WAS_LEFT = 0, 2  # exit codes of the process that shows the session
READ_BYTES = 4096
ENDING_S = 5.0
LOOK_EVERY_S = 0.25


def stand_in_front(ahead: Ahead) -> int:
    """Show the terminal of a command until it ends or is left. Returns the exit code of this process.

    Call Ahead.step_back() before, which blocks the signals that are waited for here.
    """
    lent = Lent()
    starter = _starter()
    viewer = fork_viewer(lent, lambda: _show(ahead, lent, starter))
    ahead.connection.close()
    _stop_together(ahead.pid, lambda: bool(lent.session), lent)
    ended: dict[int, int] = {}
    finder.unload()
    while ahead.pid not in ended and ended.get(viewer, SEEN) == SEEN:
        _reap(ended)
        if ahead.pid not in ended and ended.get(viewer, SEEN) == SEEN:
            received = signal.sigwaitinfo({signal.SIGCHLD, *ENDING})
            if received.si_signo != signal.SIGCHLD:
                _pass_on(received, ahead.pid, viewer, lent)
    if ended.get(viewer, SEEN) == SEEN:
        return _of_the_command(ahead.pid, viewer, ended, lent)
    lent.take_back()
    if not lent.session:
        os.kill(ahead.pid, signal.SIGTERM)
        return LEFT
    if ended[viewer] < 0:
        say_left(lent.session, "the process that showed it was killed")
    return LEFT


def _of_the_command(supervisor: int, viewer: int, ended: dict[int, int], lent: Lent) -> int:
    """Return the exit code of a run whose supervisor has ended, after its viewer has ended too."""
    while viewer not in ended:
        # A terminal that accepts no output must not prevent the person from ending the run.
        if signal.sigwaitinfo({signal.SIGCHLD, *ENDING}).si_signo != signal.SIGCHLD:
            os.kill(viewer, signal.SIGKILL)
        _reap(ended)
    if not lent.session or ended[supervisor] < 0:
        lent.restore()  # the viewer may have been killed while asking a question
    lent.take_back()
    code = ended[supervisor]
    if code == 128 + signal.SIGINT and lent.was_interrupted and os.getpgrp() != os.getpid():
        # A script or make in the same job: Ctrl-C would have reached it too if there were no terminal in
        # between.
        with suppress(OSError):  # they may belong to another user
            os.kill(0, signal.SIGINT)  # blocked in this process
    return shell_exit_code(code)


def _reap(ended: dict[int, int]) -> None:
    with suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG)) != (0, 0):
            ended[found[0]] = os.waitstatus_to_exitcode(found[1])


def _starter() -> int | None:
    """Return the program that has started this process, if the command is meant where it asks for an end.

    That is a program such as timeout(1), and not the shell that leads the session: it may just have lost its
    terminal.
    """
    parent = os.getppid()
    return parent if parent != os.getsid(0) else None


def _pass_on(received: signal.struct_siginfo, supervisor: int, viewer: int, lent: Lent) -> None:
    """Leave the session, or end it if it has not started yet.

    What interrupts is the command's: until the terminal is in raw mode Ctrl-C becomes a signal, and a person
    or a program may send one (`kill -INT %1`).
    """
    with suppress(ProcessLookupError):
        if received.si_signo in TYPED or not lent.session:
            os.kill(supervisor, received.si_signo)
        elif received.si_signo == signal.SIGTERM and received.si_pid == _starter():
            os.kill(supervisor, signal.SIGTERM)
        else:
            os.kill(viewer, signal.SIGTERM)


def _stop_together(supervisor: int, has_begun: Callable[[], bool], lent: Lent | None) -> None:
    """Make Ctrl-Z stop the supervisor too while it asks, because it does not belong to this job.

    lent: The terminal at which it asks, whose modes are undone meanwhile; None: it asks nobody.
    """

    def stop(number: int, _frame: object) -> None:
        asks = not has_begun()
        is_open = False
        with suppress(ProcessLookupError):
            if asks:
                os.kill(supervisor, signal.SIGSTOP)
                if lent is not None:
                    is_open = lent.is_changed()  # by a question
                    lent.restore()  # not every shell sets modes of its own
            try:
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)
                signal.signal(number, stop)
                if is_open:
                    _wait_in_background()
            finally:  # SIGINT ends the wait for a detached session
                if asks:
                    os.kill(supervisor, signal.SIGCONT)

    signal.signal(signal.SIGTSTP, stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTSTP})


def _wait_in_background() -> None:
    """Stop again until `fg`: in the background, the supervisor would read what is typed for the shell.

    The kernel stops a job that reads there, but the supervisor is not of this job.
    """
    while not in_front() and not signal.sigpending() & {*ENDING}:
        os.kill(os.getpid(), signal.SIGTTIN)
        select.select([], [], [], LOOK_EVERY_S)  # nothing stops a job without a shell


def _show(ahead: Ahead, lent: Lent, starter: int | None) -> int:
    """Show the session in a process of its own. Returns SEEN or WAS_LEFT."""
    # Imported here, as late as the process is forked.
    from nono.cli.commands.terminal.viewer import DETACHED, LOST, Viewer

    viewer = Viewer(ahead.connection, lent, starter=starter)
    end = viewer.view()
    if end == DETACHED:
        say_left(lent.session)
    elif end == LOST and lent.session:
        _say(f"\r\nSession {lent.session} is gone: its supervisor was killed.")
    elif end.get("end") == "slow":
        say_left(lent.session, "this terminal took no output for too long")
    return SEEN if end == LOST or end.get("end") == "ended" else WAS_LEFT


def say_left(session_id: str, why: str | None = None) -> None:
    """Say that the session goes on, how to return to it, and how to end it, as `kill %1` did not."""
    _say(f"\r\n[nono] Session detached{f': {why}' if why else ''}.")
    _say(f"\nResume this session with:\n  nono attach {session_id}")
    _say(f"End it with:\n  nono stop {session_id}")


def _say(text: str) -> None:
    with suppress(OSError):  # the terminal is gone
        print(text, file=sys.stderr, flush=True)


def wait_for_start(ahead: Ahead, patience_s: float | None) -> Mapping[str, object]:
    """Wait until the command of a detached session runs. Raises NonoError if it does not start.

    patience_s: The longest time to wait; None: no limit.
    """
    # Imported here: only a detached session is waited for.
    from nono.typed.waiting import wait_for

    lent = Lent() if os.isatty(0) else None
    _stop_together(ahead.pid, lambda: False, lent)
    with closing(ahead.connection) as connection:
        try:
            said = connection.recv(READ_BYTES) if wait_for(connection, timeout_s=patience_s) else None
        except KeyboardInterrupt:
            os.kill(ahead.pid, signal.SIGINT)
            os.waitpid(ahead.pid, 0)
            raise
        for kind, content in wire.Frames().feed(said or b""):
            if kind == wire.START:
                return json_text.parse_object(content)
    if said is None:
        _end(ahead.pid)
        if lent is not None:
            lent.restore()  # the supervisor may have been ended while asking a question
        raise StartFailedError(
            f"Detached session failed to become attachable within its startup timeout ({patience_s:g} s).", 1
        )
    code = shell_exit_code(os.waitstatus_to_exitcode(os.waitpid(ahead.pid, 0)[1]))
    raise StartFailedError(f"Detached session failed to start (exit status: {code}).", code or 1)


def _end(pid: int) -> None:
    """End a supervisor that takes too long, and everything that it has started."""
    process = os.pidfd_open(pid)
    os.kill(pid, signal.SIGTERM)
    if not is_readable(process, within_s=ENDING_S):
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(process)


class StartFailedError(NonoError):
    """The supervisor has ended and has given the reason."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code
