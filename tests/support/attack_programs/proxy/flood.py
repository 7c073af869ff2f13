"""Flood the record.

flood refused FORBIDDEN_PORT COUNT | flood scan COUNT | flood hosts PORT COUNT | flood proxy COUNT

The scan addresses a host that does not exist (RFC 5737). `hosts` asks PORT of so many addresses of loopback,
and then of 127.0.0.2.
"""

from __future__ import annotations

import errno
import socket
import sys
from collections import Counter

from support.attack_programs.outcome import outcome, proxy, report


def connect(port: int, host: str = "127.0.0.1") -> str:
    return outcome(lambda: socket.create_connection((host, port), timeout=5).close())


def ask(count: int) -> str:
    """Open that many connections to the proxy, and keep each until all are open."""
    kept: list[socket.socket] = []
    try:
        for _ in range(count):
            kept.append(socket.create_connection(proxy()))
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    finally:
        for client in kept:
            client.close()
    return "ok"


def main(kind: str, *numbers: int) -> None:
    if kind == "refused":
        port, count = numbers
        report(Counter(connect(port) for _ in range(count)))
    elif kind == "scan":
        report(Counter(connect(port, "192.0.2.1") for port in range(1, numbers[0] + 1)))
    elif kind == "hosts":
        port, count = numbers
        scanned = Counter(connect(port, f"127.1.{number >> 8}.{number & 255}") for number in range(count))
        report({"scanned": scanned, "then": connect(port, "127.0.0.2")})
    else:
        report({"proxy": ask(numbers[0])})


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
