"""The maker of sockets stands beside the command, in its network, and gives it nothing."""

from __future__ import annotations

import os
import socket
from typing import Any

from nono.kernel import process
from nono.sandbox.socket_maker import REFUSED, TCP_IPV4, fork_socket_maker
from support.forked import in_child
from support.ordinary_user import UNPRIVILEGED_ID

IS_ROOT = os.geteuid() == 0


def beside_a_maker(uid: int) -> Any:
    """Return who owns its files in /proc, and what it made."""

    def work() -> list[object]:
        if uid != os.geteuid():
            os.setresuid(uid, uid, uid)
        process.set_dumpable(True)  # which it inherits
        process.become_subreaper()
        with fork_socket_maker() as channel:
            channel.send(TCP_IPV4)
            answer, made, _, _ = socket.recv_fds(channel, 1, 1)
            (pid,) = process.child_pids()
            owner = os.stat(f"/proc/{pid}/environ").st_uid
            with socket.socket(fileno=made[0]) as given:
                return [owner, answer != REFUSED, given.family, given.type]

    return in_child(work)


def test_the_maker_of_sockets_is_not_dumpable() -> None:
    """Files of a process that is not dumpable belong to root (proc(5))."""
    owner, *made = beside_a_maker(UNPRIVILEGED_ID if IS_ROOT else os.geteuid())
    assert owner == 0
    assert made == [True, socket.AF_INET, socket.SOCK_STREAM]
