"""Try inside a sandbox what a command might try, and print the outcomes as JSON. Run by its path.

The only argument is a JSON object: "tcp" {name: [host, port]}, "udp" [host, port],
"unix" {name: path}, where "@" stands for the NUL of an abstract address, "read" {name: path}.
Each outcome is "ok" or the name of the errno.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
from collections.abc import Callable
from typing import Any

TIMEOUT_S = 10.0
IPPROTO_MPTCP = 262  # <linux/in.h>


def main() -> None:
    asked: dict[str, Any] = json.loads(sys.argv[1])
    found = {name: outcome(connect, *address) for name, address in asked["tcp"].items()}
    found["udp"] = outcome(send_datagram, *asked["udp"])
    found["mptcp"] = outcome(make_mptcp_socket)
    found |= {name: outcome(connect_unix, path) for name, path in asked["unix"].items()}
    found |= {name: outcome(read, path) for name, path in asked["read"].items()}
    found["credential"] = credential()
    print(json.dumps(found))


def outcome(attempt: Callable[..., None], *arguments: Any) -> str:
    try:
        attempt(*arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, repr(error))
    return "ok"


def connect(host: str, port: int) -> None:
    with socket.create_connection((host, port), TIMEOUT_S) as client:
        client.recv(1)  # at its end the listener has counted us


def send_datagram(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"out", (host, port))


def make_mptcp_socket() -> None:
    socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP).close()


def connect_unix(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(TIMEOUT_S)
        client.connect(path.replace("@", "\0", 1) if path.startswith("@") else path)
        client.recv(1)


def read(path: str) -> None:
    with open(path, "rb") as file:
        file.read()


def credential() -> str:
    """Return what the service answers to its phantom; "absent" if there is no such service."""
    base_url = os.environ.get("DEMO_BASE_URL")
    if base_url is None:
        return "absent"
    authority, _, path = base_url.removeprefix("http://").partition("/")
    host, _, port = authority.rpartition(":")
    asked = (
        f"GET /{path}/models HTTP/1.1",
        f"Host: {authority}",
        f"Authorization: Bearer {os.environ.get('DEMO_KEY', 'none')}",
        "Connection: close",
        "\r\n",
    )
    try:
        # By hand, because urllib.request takes longer to import than all else takes.
        with (
            socket.create_connection((host, int(port)), TIMEOUT_S) as client,
            client.makefile("rb") as answer,
        ):
            client.sendall("\r\n".join(asked).encode())
            status = answer.read().split()[1]
            return status.decode()
    except (OSError, IndexError) as error:  # the latter: it was closed without an answer
        return repr(error)


if __name__ == "__main__":
    main()
