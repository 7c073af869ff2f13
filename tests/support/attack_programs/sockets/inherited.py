"""Connect the TCP socket given as standard input: first to a stranger's port, then to the proxy."""

from __future__ import annotations

import socket
import sys

from support.attack_programs.outcome import proxy, report_all

if __name__ == "__main__":
    given = socket.socket(fileno=0)
    stranger = ("127.0.0.1", int(sys.argv[1]))
    report_all({"stranger": lambda: given.connect(stranger), "proxy": lambda: given.connect(proxy())})
