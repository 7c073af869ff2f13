"""Bind and listen on each address of a JSON list of [host, port]; report the outcome of each."""

from __future__ import annotations

import json
import socket
import sys

from support.attack_programs.outcome import Attempt, report_all


def serve(host: str, port: int) -> Attempt:
    def attempt() -> None:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind((host, port))
            server.listen()

    return attempt


if __name__ == "__main__":
    report_all({f"{host} {port}": serve(host, port) for host, port in json.loads(sys.argv[1])})
