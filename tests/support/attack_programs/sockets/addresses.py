"""Connect to each address of a JSON list of [family, host, port or path]; an abstract name begins with @."""

from __future__ import annotations

import json
import socket
import sys

from support.attack_programs.outcome import Attempt, report_all


def connect(family: str, host: str, port: int) -> Attempt:
    def attempt() -> None:
        kinds = {
            "tcp": (socket.AF_INET, socket.SOCK_STREAM),
            "tcp6": (socket.AF_INET6, socket.SOCK_STREAM),
            "stream": (socket.AF_UNIX, socket.SOCK_STREAM),
            "seqpacket": (socket.AF_UNIX, socket.SOCK_SEQPACKET),
            "datagram": (socket.AF_UNIX, socket.SOCK_DGRAM),
        }
        with socket.socket(*kinds[family]) as client:
            if client.family == socket.AF_UNIX:
                client.connect("\0" + host[1:] if host.startswith("@") else host)
                client.send(b"leak")
            else:
                client.connect((host, port))

    return attempt


def main(asked: list[list[str | int]]) -> None:
    report_all(
        {f"{family} {host}": connect(str(family), str(host), int(port)) for family, host, port in asked}
    )


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
