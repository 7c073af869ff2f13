"""Hand descriptors from a program outside to a run over a Unix socket, which asks for more by them.

opened_anew hand SOCKET FILE: waits there for the other one, and sends it FILE, a file in memory and a pipe,
all opened for reading, and a user namespace.
opened_anew take SOCKET: receives them, and reports what opening each for writing gives, and entering it.
"""

from __future__ import annotations

import os
import socket
import sys
from functools import partial

from support.attack_programs.files.handing import meet
from support.attack_programs.outcome import outcome, report

NAMES = ("file", "memory", "pipe")


def hand(connection: socket.socket, file: str) -> None:
    memory = os.memfd_create("handed")
    for_reading = os.open(f"/proc/self/fd/{memory}", os.O_RDONLY)
    reads, _ = os.pipe()
    made, says = os.pipe()
    child = os.fork()
    if child == 0:
        os.unshare(os.CLONE_NEWUSER)
        os.write(says, b"!")
        connection.recv(1, socket.MSG_PEEK)
        os._exit(0)
    os.read(made, 1)
    namespace = os.open(f"/proc/{child}/ns/user", os.O_RDONLY)
    socket.send_fds(connection, [b"!"], [os.open(file, os.O_RDONLY), for_reading, reads, namespace])
    os.waitpid(child, 0)


def take(connection: socket.socket) -> None:
    _, (*handed, namespace), *_ = socket.recv_fds(connection, 1, 4)
    anew = {
        name: outcome(partial(os.open, f"/proc/self/fd/{one}", os.O_WRONLY))
        for name, one in zip(NAMES, handed, strict=True)
    }
    report({**anew, "namespace": outcome(lambda: os.setns(namespace, os.CLONE_NEWUSER))})


if __name__ == "__main__":
    _, name, where, *others = sys.argv
    with meet(where, listens=name == "hand") as met:
        (hand if name == "hand" else take)(met, *others)
