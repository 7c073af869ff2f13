"""Connects from SOURCE to PORT of loopback, resets that, says so, and waits for the end of input."""

from __future__ import annotations

import socket
import struct
import sys

from support.attack_programs.outcome import proxy, report


def main(port: int, source: int) -> None:
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.bind(("127.0.0.1", source))
        client.connect(("127.0.0.1", port))
    report({"proxy": proxy()})
    sys.stdin.read()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
