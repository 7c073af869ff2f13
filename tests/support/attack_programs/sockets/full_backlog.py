"""Connect to a listener whose backlog is full, while doing something else; print one line of JSON each.

 full_backlog FAMILY FULL OTHER

FAMILY is unix or tcp; FULL and OTHER are paths or ports. Before the end, it reads a line from standard input;
by then FULL must have been emptied from outside.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import socket
import struct
import sys
import threading
import time

from support.attack_programs.outcome import outcome, report

FAMILIES = {"unix": socket.AF_UNIX, "tcp": socket.AF_INET}
FILL_MAX = 64


def address(family: str, text: str) -> str | tuple[str, int]:
    return text if family == "unix" else ("127.0.0.1", int(text))


def fill(family: str, full: str | tuple[str, int]) -> list[socket.socket]:
    """Open connections until one would have to wait."""
    made = []
    for _ in range(FILL_MAX):
        client = socket.socket(FAMILIES[family])
        client.settimeout(2 if family == "tcp" else 0)
        made.append(client)
        if client.connect_ex(full) in (errno.EAGAIN, errno.EINPROGRESS):
            break
    return made


def timed(family: str, full: str | tuple[str, int]) -> bool:
    """Return True if SO_SNDTIMEO ends a connect that waits."""
    with socket.socket(FAMILIES[family]) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", 0, 200_000))
        began = time.monotonic()
        failed = client.connect_ex(full) in (errno.EAGAIN, errno.EINPROGRESS)
        return failed and 0.15 < time.monotonic() - began < 5


def killed(family: str, full: str | tuple[str, int]) -> None:
    """Kill a child that waits for the connection."""
    child = os.fork()
    if child == 0:
        socket.socket(FAMILIES[family]).connect(full)
        os._exit(0)
    time.sleep(0.05)  # lets it get that far; if it has not, nothing is tested and nothing fails
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def main(family: str, full_text: str, other_text: str) -> None:
    full, other = address(family, full_text), address(family, other_text)
    fill_ends = fill(family, full)
    report({"filled": len(fill_ends)})
    report({"timed": timed(family, full)})
    if family == "unix":
        killed(family, full)
    said: list[str] = []
    client = socket.socket(FAMILIES[family])
    waiting = threading.Thread(target=lambda: said.append(outcome(lambda: client.connect(full))))
    waiting.start()
    stop = threading.Event()

    def unset() -> None:
        """Remove O_NONBLOCK whenever the supervisor has set it."""
        while not stop.is_set():
            fcntl.fcntl(client.fileno(), fcntl.F_SETFL, os.O_RDWR)

    unsetting = threading.Thread(target=unset)
    unsetting.start()
    for _ in range(50):
        with socket.socket(FAMILIES[family]) as another:
            another.connect(other)
        time.sleep(0.002)
    report({"other": "ok"})
    sys.stdin.readline()
    waiting.join()
    stop.set()
    unsetting.join()
    report({"waited": said[0]})


if __name__ == "__main__":
    main(*sys.argv[1:])
