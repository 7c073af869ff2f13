"""Bind a port of 127.0.0.1 and listen on it."""

from __future__ import annotations

import socket
import sys

from support.attack_programs.outcome import report_all


def listen() -> None:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", int(sys.argv[1])))
        server.listen()


if __name__ == "__main__":
    report_all({"listen": listen})
