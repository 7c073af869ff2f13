"""For each line of input, connect from SOURCE to PORT of loopback, reset the connection, and report it."""

from __future__ import annotations

import socket
import struct
import sys

from support.attack_programs.outcome import proxy, report


def main(port: int, source: int) -> None:
    for _ in sys.stdin:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.bind(("127.0.0.1", source))
            client.connect(("127.0.0.1", port))
        report({"proxy": proxy()})


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
