"""Hand a TCP socket that was never connected from one run to another, over a Unix socket.

handed hand SOCKET PORT: waits there for the other one, and sends it such a socket.
handed take SOCKET PORT: receives it.
Both report what a connect to that port of loopback gives: "own", by a socket of their own, and "handed", by
the one received.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable

from support.attack_programs.files.handing import meet
from support.attack_programs.outcome import outcome, report


def reached(connected: socket.socket, port: int) -> str:
    return outcome(lambda: connected.connect(("127.0.0.1", port)))


def own(port: int) -> str:
    """Return what a socket of one's own gives; where none can be made, why."""
    return outcome(lambda: socket.create_connection(("127.0.0.1", port)).close())


def hand(connection: socket.socket, port: int) -> dict[str, str]:
    with socket.socket() as handed:
        socket.send_fds(connection, [b"!"], [handed.fileno()])
        connection.recv(1)
    return {"own": own(port)}


def take(connection: socket.socket, port: int) -> dict[str, str]:
    _, (handed,), *_ = socket.recv_fds(connection, 1, 1)
    return {"own": own(port), "handed": reached(socket.socket(fileno=handed), port)}


ACTS: dict[str, Callable[[socket.socket, int], dict[str, str]]] = {"hand": hand, "take": take}

if __name__ == "__main__":
    _, name, where, port = sys.argv
    with meet(where, listens=name == "hand") as met:
        report(ACTS[name](met, int(port)))
