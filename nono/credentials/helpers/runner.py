"""Run between nono and a credential helper: end the helper with nono, and report how it ended.

The supervisor cannot be the helper's parent itself. It reaps all its children with one waitpid(-1), which
would take the helper's exit status and make it look like success. It blocks the signals it forwards, and the
helper would inherit a blocked SIGTERM or SIGCHLD. And if it is killed, nothing would end the helper. This
file is run by its path under ``python -I -S`` and imports nothing of nono.

argv: the leash (read end of a pipe, whose hang-up ends the helper), the report (write end), the program.
"""

import os
import resource
import select
import signal
import sys
from contextlib import suppress


def main(argv: list[str]) -> None:
    leash, report, command = int(argv[0]), int(argv[1]), argv[2:]
    for fd in (leash, report):
        os.set_inheritable(fd, False)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash must not leave the secret in a file
    try:
        pid = os.posix_spawn(
            command[0],
            command,
            os.environ,
            setsid=True,  # a separate group to kill, and no terminal to prompt on behind nono's back
            setsigmask=(),
            setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
        )
    except OSError as error:
        _tell(report, f"errno {error.errno}")
        return
    for standard in (0, 1, 2):
        os.close(standard)
    _wait(leash, pid)
    # Before the leader is reaped: until then the pgid refers to this group and cannot be reused.
    os.killpg(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    _tell(report, f"exit {os.waitstatus_to_exitcode(status)}")


def _wait(leash: int, pid: int) -> None:
    """Wait until the helper has ended, or the other end of the leash is closed."""
    poll = select.poll()
    poll.register(leash, select.POLLIN)
    poll.register(os.pidfd_open(pid), select.POLLIN)
    poll.poll()


def _tell(report: int, text: str) -> None:
    with suppress(BrokenPipeError):  # nono is gone
        os.write(report, text.encode("ascii"))


if __name__ == "__main__":
    main(sys.argv[1:])
