"""Take all processes or epoll watches that the user may have, and give them back.

Arguments: "processes", "watches" or "nothing", and the host:port to ask the proxy for.
With a host:port, it prints what was taken, and the status of a request while it is taken and afterwards; 0
means no answer. Without one, it prints what was taken and holds that until its stdin ends.
"paused" takes all watches while the proxy waits with the rest of an answer, and then reads that.
"""

from __future__ import annotations

import base64
import fcntl
import os
import resource
import select
import signal
import socket
import sys
import termios
import time
import urllib.parse
from collections.abc import Callable
from contextlib import suppress

PATIENCE_S = 30
EPOLLS = 1000


def take_processes() -> Callable[[], None]:
    children: list[int] = []
    with suppress(BlockingIOError):
        while True:
            pid = os.fork()
            if pid == 0:
                signal.alarm(PATIENCE_S)
                signal.pause()
                os._exit(0)
            children.append(pid)

    def give_back() -> None:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    return give_back


def take_watches() -> Callable[[], None]:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    watched = [os.eventfd(0) for _ in range(EPOLLS)]
    epolls: list[select.epoll] = []
    with suppress(OSError):  # ENOSPC
        while True:
            epolls.append(select.epoll())
            for descriptor in watched:
                epolls[-1].register(descriptor, 0)

    def give_back() -> None:
        for each in epolls:
            each.close()

    return give_back


def take_nothing() -> Callable[[], None]:
    return lambda: None


def status(target: str) -> int:
    """Return the status of a request through the proxy on a connection of its own."""
    try:
        with asked(target) as connection:
            answer = connection.recv(64).split()
            return int(answer[1]) if answer else 0
    except OSError as error:
        print(error, file=sys.stderr)
        return 0


def asked(target: str) -> socket.socket:
    """Return a connection to the proxy on which a request has been sent."""
    proxy = urllib.parse.urlsplit(os.environ["HTTP_PROXY"])
    user = f"{proxy.username}:{urllib.parse.unquote(proxy.password or '')}"
    head = (
        f"GET http://{target}/ HTTP/1.1\r\nHost: {target}\r\nConnection: close\r\n"
        f"Proxy-Authorization: Basic {base64.b64encode(user.encode()).decode()}\r\n\r\n"
    )
    connection = socket.create_connection((proxy.hostname or "", proxy.port or 0), PATIENCE_S / 2)
    connection.sendall(head.encode())
    return connection


def read_paused(target: str) -> None:
    """Let the answer fill every buffer, take all watches, then read the answer."""
    with asked(target) as connection:
        waiting, before = buffered(connection), -1
        while waiting != before or not waiting:
            time.sleep(0.3)
            waiting, before = buffered(connection), waiting
        give_back = take_watches()
        while connection.recv(1 << 20):
            pass
        give_back()


def buffered(connection: socket.socket) -> int:
    count = bytearray(4)
    fcntl.ioctl(connection, termios.FIONREAD, count)
    return int.from_bytes(count, sys.byteorder)


def main() -> None:
    what, *targets = sys.argv[1:]
    if what == "paused":
        read_paused(targets[0])
        return
    if targets and what == "watches":
        status(targets[0])  # by then it is served; taking all earlier ends one's own run
    takers = {"processes": take_processes, "watches": take_watches, "nothing": take_nothing}
    give_back = takers[what]()
    if not targets:
        print(what, flush=True)
        sys.stdin.read()
        return
    meanwhile = status(targets[0])
    give_back()
    print(what, meanwhile, status(targets[0]), flush=True)


if __name__ == "__main__":
    main()
