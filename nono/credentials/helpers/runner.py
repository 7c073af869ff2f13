"""The process between nono and a credential helper: it ends the helper with us, and tells how it ended.

It is there because the supervisor cannot be the helper's parent. The supervisor reaps every child it has with
one waitpid(-1), so that a helper's exit status would be lost to whoever asks for it and read as success; it
blocks the signals it forwards, and a blocked SIGTERM or SIGCHLD would be inherited; and when it is killed,
nothing would end the helper. Run by its path under ``python -I -S``: nothing of nono is imported here.

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
            setsid=True,  # a group of its own to be killed, and no terminal to ask on behind nono's back
            setsigmask=(),
            setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
        )
    except OSError as error:
        _tell(report, f"errno {error.errno}")
        return
    for standard in (0, 1, 2):
        os.close(standard)
    _wait(leash, pid)
    # Before the leader is reaped: until then the number means this group and no later one.
    os.killpg(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    _tell(report, f"exit {os.waitstatus_to_exitcode(status)}")


def _wait(leash: int, pid: int) -> None:
    """Until the helper has ended, or nobody holds the leash any more."""
    poll = select.poll()
    poll.register(leash, select.POLLIN)
    poll.register(os.pidfd_open(pid), select.POLLIN)
    poll.poll()


def _tell(report: int, text: str) -> None:
    with suppress(BrokenPipeError):  # nono is gone
        os.write(report, text.encode("ascii"))


if __name__ == "__main__":
    main(sys.argv[1:])
