"""Hand a directory from one run to another over a Unix socket, and go from there to what is denied.

handing hand SOCKET WAY DIRECTORY FILE: sends DIRECTORY as an O_PATH descriptor, and FILE opened for reading.
handing take SOCKET WAY [PATH ...]: receives both, and reports what each path below it and the file give:
the text, or the errno. A path that ends in "+" is written instead.
WAY: who listens, "hand" or "take". The other one tries to connect until it may.
"""

from __future__ import annotations

import array
import os
import socket
import sys
import time
from collections.abc import Callable
from functools import partial

from support.attack_programs.outcome import outcome, report

TRY_EVERY_S, PATIENCE_S = 0.01, 60
WAITS = (FileNotFoundError, ConnectionRefusedError)


def meet(path: str, *, listens: bool) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    if listens:
        made.bind(path)
        os.chmod(path, 0o777)
        made.listen()
        return made.accept()[0]
    patience_ends = time.monotonic() + PATIENCE_S
    while True:
        try:
            made.connect(path)
        except WAITS:
            if time.monotonic() > patience_ends:
                raise
            time.sleep(TRY_EVERY_S)
        else:
            return made


def told(work: Callable[[], str]) -> str:
    """What `work` returns, or the name of its errno."""
    texts: list[str] = []
    failed = outcome(lambda: texts.append(work()))
    return texts[0] if texts else failed


def read(path: str, directory: int) -> str:
    with open(os.open(path, os.O_RDONLY, dir_fd=directory), encoding="utf-8") as file:
        return file.read()


def write(path: str, directory: int) -> str:
    flags = os.O_WRONLY | os.O_CREAT
    with open(os.open(path, flags, 0o755, dir_fd=directory), "w", encoding="utf-8") as file:
        file.write("handed")
    return "written"


def hand(connection: socket.socket, directory: str, file: str) -> dict[str, str]:
    place = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    seen = {name: told(partial(read, name, place)) for name in (".env", "mine")}
    socket.send_fds(connection, [b"!"], [place, os.open(file, os.O_RDONLY)])
    connection.recv(1)
    return seen


def take(connection: socket.socket, *paths: str) -> dict[str, str]:
    _, passed, *_ = socket.recv_fds(connection, 1, 2)
    place, file = array.array("i", passed)
    done = {}
    for path in paths:
        act = write if path.endswith("+") else read
        done[path] = told(partial(act, path.removesuffix("+"), place))
    return {**done, "file": told(lambda: os.read(file, 99).decode())}


ACTS: dict[str, Callable[..., dict[str, str]]] = {"hand": hand, "take": take}

if __name__ == "__main__":
    _, name, where, way, *others = sys.argv
    with meet(where, listens=way == name) as met:
        report(ACTS[name](met, *others))
