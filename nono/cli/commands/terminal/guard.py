"""Waits for the process that shows a session, and gives the terminal back for it if it is killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress

from nono.cli.commands.terminal.own_terminal import Lent
from nono.kernel import process

ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)


def fork_viewer(lent: Lent, life: Callable[[], int]) -> int:
    """Fork the process that shows a session; it ends with what `life` returns. Returns its pid."""
    # Nobody in the background may stop before the terminal is restored.
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)  # in the child until it reads them
    process.set_dumpable(False)  # keys that a person types go through the child, which inherits this
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
    """From now on have the viewer end in place of this process."""

    def terminate(_number: int, _frame: object) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)

    for number in ENDING:
        signal.signal(number, terminate)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)


def wait_for_viewer(pid: int, lent: Lent) -> int:
    """Wait until the viewer has ended; the terminal is then as it was. Returns its exit code, or -N."""
    status = os.waitpid(pid, 0)[1]  # PEP 475: handlers run, and it is waited on
    lent.take_back()
    return os.waitstatus_to_exitcode(status)
