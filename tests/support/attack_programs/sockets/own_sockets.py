"""Bind, listen and connect at paths as told by a JSON list [action, path] per line; answer with outcomes."""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
from collections.abc import Callable

from support.attack_programs.outcome import outcome, report

TRIES = 100_000
BOUND: dict[str, socket.socket] = {}


def bind(path: str) -> None:
    server = socket.socket(socket.AF_UNIX)
    BOUND[path] = server
    server.bind(path)


def bind_at(number: str, path: str) -> None:
    """Bind a socket whose file has the inode number `number`. EDOM where numbers do not count up to it."""
    wanted, probe = int(number), f"{path}.probe"
    for _ in range(TRIES):
        with open(probe, "wb") as file:
            found = os.fstat(file.fileno()).st_ino
        os.unlink(probe)
        if found >= wanted - 1:
            break
    bind(path)
    if os.stat(path).st_ino != wanted:
        raise OSError(errno.EDOM, "another number")


def swap(foreign: str, path: str) -> None:
    """Put a link to another socket where the file of the own one was."""
    os.rename(path, f"{path}.away")
    os.symlink(foreign, path)


def listen(path: str) -> None:
    BOUND[path].listen()


def serve(path: str) -> None:
    bind(path)
    listen(path)


def connect(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)


def close(path: str) -> None:
    BOUND.pop(path).close()


def named(path: str) -> None:
    """Check the name. ENOENT unless the kernel has it exactly as it was spelled."""
    if BOUND[path].getsockname() != path:
        raise FileNotFoundError(2, "another name")


ACTIONS: dict[str, Callable[..., None]] = {
    "bind": bind, "bind_at": bind_at, "swap": swap, "listen": listen, "serve": serve, "connect": connect,
    "close": close, "named": named,
}  # fmt: skip


def main() -> None:
    for line in sys.stdin:
        action, *arguments = json.loads(line)
        report([outcome(lambda: ACTIONS[action](*arguments)), 0])  # noqa: B023 - called at once


if __name__ == "__main__":
    main()
