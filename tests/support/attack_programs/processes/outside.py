"""Try to reach a process and an abstract socket of this user outside, and a child of its own.

outside PID ADDRESS: ADDRESS is abstract, without its leading NUL.
"""

from __future__ import annotations

import os
import signal
import socket
import sys

from support.attack_programs.outcome import report_all


def by_pidfd(pid: int) -> None:
    pidfd = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGCONT)
    finally:
        os.close(pidfd)


def connect(address: str) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"\0{address}")


def kill_child() -> None:
    child = os.fork()
    if child == 0:
        signal.pause()
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL


def main(pid: int, address: str) -> None:
    report_all(
        {
            "kill 0": lambda: os.kill(pid, 0),
            "kill": lambda: os.kill(pid, signal.SIGCONT),
            "pidfd": lambda: by_pidfd(pid),
            "abstract": lambda: connect(address),
            "own child": kill_child,
        }
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
