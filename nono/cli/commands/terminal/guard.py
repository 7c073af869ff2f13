"""Wait for the process that shows a session, and restore the terminal in its place if it is killed."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

from nono.cli.commands.terminal.own_terminal import Lent
from nono.kernel import process
from nono.kernel.signals import ENDING, signal


def fork_viewer(lent: Lent, life: Callable[[], int]) -> int:
    """Fork the process that shows a session. It ends with the result of `life`. Returns its pid."""
    # A process in the background must not be stopped before the terminal is restored.
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)  # in the child, until it reads them
    process.set_dumpable(False)  # what a person types passes through the child, which inherits this setting
    ours = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        process.set_parent_death_signal(signal.SIGTERM)
        if os.getppid() == ours:
            code = life()
    finally:
        lent.take_back()
        os._exit(code)


def pass_on(pid: int) -> None:
    """End the viewer, from now on, when this process is asked to end."""

    def terminate(_number: int, _frame: object) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)

    for number in ENDING:
        signal.signal(number, terminate)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)


def wait_for_viewer(pid: int, lent: Lent) -> int:
    """Wait until the viewer has ended and the terminal is restored. Returns its exit code, or -N."""
    status = os.waitpid(pid, 0)[1]  # PEP 475: signal handlers run, and the wait continues
    lent.take_back()
    return os.waitstatus_to_exitcode(status)
