"""Ask the proxy while many processes keep it busy: crowd calls|bomb FORBIDDEN_PORT PROCESSES REQUESTS.

Prints how often each status was received, and how many rounds each process of the crowd has made.
"""

from __future__ import annotations

import base64
import mmap
import os
import socket
import struct
import sys
from collections import Counter
from collections.abc import Callable
from urllib.parse import urlsplit

from support.attack_programs.outcome import proxy, report

_STOP, _ROUNDS = struct.Struct("=q"), struct.Struct("=q")  # one word, then one for each process
SECRET = "/etc/gshadow"
SYSTEM_PORT = 987  # the command may serve any port from 1024 on


def call(port: int) -> None:
    """Connect to where nobody may: each attempt is refused, and any other exception is an error."""
    client = socket.socket()
    for attempt, to_port in ((client.connect, port), (client.bind, SYSTEM_PORT)):
        try:
            attempt(("127.0.0.2", to_port))
        except PermissionError:
            continue
        raise RuntimeError("what should be refused is not")
    client.close()
    try:
        os.close(os.open(SECRET, os.O_RDONLY))
    except PermissionError:
        return
    raise RuntimeError("what nobody may read was opened")


def fork(_port: int) -> None:
    """Fork a child whose own child is an orphan by the time it ends."""
    child = os.fork()
    if child == 0:
        os.fork()
        os._exit(0)
    os.waitpid(child, 0)


def work(kind: Callable[[int], None], port: int, shared: mmap.mmap, number: int) -> None:
    rounds = 0
    while not rounds or not _STOP.unpack_from(shared, 0)[0]:
        kind(port)
        rounds += 1
        _ROUNDS.pack_into(shared, 8 * number, rounds)


def ask() -> str:
    """Return the status of the proxy's own answer to a request for a host that is not granted."""
    parts = urlsplit(os.environ["HTTP_PROXY"])
    token = base64.b64encode(f"{parts.username}:{parts.password}".encode()).decode()
    head = "GET http://nobody.invalid/ HTTP/1.1\r\nHost: nobody.invalid\r\nProxy-Authorization: Basic "
    with socket.create_connection(proxy(), timeout=60) as client:
        client.sendall(f"{head}{token}\r\n\r\n".encode())
        return client.recv(65536).split(b" ")[1].decode()


def main(kind: str, port: int, processes: int, requests: int) -> None:
    shared = mmap.mmap(-1, 8 * (processes + 1))
    ready, begun = os.pipe()
    crowd = []
    for number in range(1, processes + 1):
        pid = os.fork()
        if pid == 0:
            what = {"calls": call, "bomb": fork}[kind]
            what(port)
            os.write(begun, b"!")
            work(what, port, shared, number)
            os._exit(0)
        crowd.append(pid)
    os.close(begun)
    waiting = processes
    while waiting and (told := os.read(ready, waiting)):
        waiting -= len(told)
    statuses = Counter(ask() for _ in range(requests))
    _STOP.pack_into(shared, 0, 1)
    failed = sum(os.waitpid(pid, 0)[1] != 0 for pid in crowd)
    rounds = [_ROUNDS.unpack_from(shared, 8 * number)[0] for number in range(1, processes + 1)]
    report({"answers": statuses, "unready": waiting, "failed": failed, "rounds": rounds})


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
