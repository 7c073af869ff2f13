"""Bind, listen and connect at paths as told by a JSON list [action, path] per line; answer with outcomes."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable

from support.attack_programs.outcome import outcome, report

BOUND: dict[str, socket.socket] = {}


def bind(path: str) -> None:
    server = socket.socket(socket.AF_UNIX)
    BOUND[path] = server
    server.bind(path)


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


ACTIONS: dict[str, Callable[[str], None]] = {
    "bind": bind, "listen": listen, "serve": serve, "connect": connect, "close": close, "named": named,
}  # fmt: skip


def main() -> None:
    for line in sys.stdin:
        action, path = json.loads(line)
        report([outcome(lambda: ACTIONS[action](path)), 0])  # noqa: B023 - called at once


if __name__ == "__main__":
    main()
