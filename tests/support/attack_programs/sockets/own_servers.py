"""Serve and connect as told by a JSON list [action, name, arguments...] per line; answer with outcomes.

A server takes a name and keeps it until it is closed.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import threading
from collections.abc import Callable

from support.attack_programs.outcome import outcome, report

SERVERS: dict[str, socket.socket] = {}
CLIENTS: list[socket.socket] = []


def serve(name: str, host: str, port: int, backlog: int = 8, *, shares: bool = False) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    server = socket.socket(family, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, shares)
    server.bind((host, port))
    server.listen(backlog)
    SERVERS[name] = server


def connect(_: str, host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as client:
        client.settimeout(5)
        client.connect((host, port))
        client.send(b"reached")


def once(_: str, times: int) -> None:
    """Connect so often, each time to a server that accepts one connection and closes its socket at once."""

    def serve_one(server: socket.socket) -> None:
        server.accept()
        server.close()

    for _attempt in range(times):
        server = socket.create_server(("127.0.0.1", 0))
        address = server.getsockname()
        serving = threading.Thread(target=serve_one, args=[server], daemon=True)
        serving.start()
        with socket.create_connection(address, timeout=5):
            serving.join()


def begin(_: str, host: str, port: int) -> None:
    """Connect without blocking, and keep the socket: the kernel would go on trying."""
    client = socket.socket()
    client.setblocking(False)
    CLIENTS.append(client)
    client.connect((host, port))


def close(name: str) -> None:
    SERVERS.pop(name).close()


def stop(name: str) -> None:
    """Stop listening, but keep the socket."""
    SERVERS[name].shutdown(socket.SHUT_RDWR)


def reset(_: str) -> None:
    while CLIENTS:
        client = CLIENTS.pop()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()


def port_of(name: str) -> int:
    return int(SERVERS[name].getsockname()[1]) if name in SERVERS else 0


ACTIONS: dict[str, Callable[..., None]] = {
    "serve": serve,
    "connect": connect,
    "once": once,
    "begin": begin,
    "close": close,
    "stop": stop,
    "reset": reset,
}


def main() -> None:
    for line in sys.stdin:
        action, name, *arguments = json.loads(line)
        options = arguments.pop() if arguments and isinstance(arguments[-1], dict) else {}
        result = outcome(lambda: ACTIONS[action](name, *arguments, **options))  # noqa: B023 - called at once
        report([result, port_of(name)])


if __name__ == "__main__":
    main()
