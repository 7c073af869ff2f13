"""Hand a directory from one run to another over a Unix socket, and go from there to what is denied.

handing hand SOCKET WAY DIRECTORY FILE: sends DIRECTORY and its .env as O_PATH descriptors, and FILE opened
for reading.
handing take SOCKET WAY [ACT ...]: receives them, and reports what each act gives: text or errno. An act
is the name of one below with a path from the directory, such as read:.env; "passed" reads FILE.
WAY: who listens, "hand" or "take". The other one tries to connect until it may.
"""

from __future__ import annotations

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
    """Return what `work` returns, or the name of its errno."""
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


def read_from_within(path: str, directory: int) -> str:
    os.fchdir(directory)
    with open(path, encoding="utf-8") as file:
        return file.read()


def remove(path: str, directory: int) -> str:
    os.unlink(path, dir_fd=directory)
    return "removed"


def make_directory(path: str, directory: int) -> str:
    os.mkdir(path, dir_fd=directory)
    return "made"


def link(path: str, directory: int) -> str:
    os.link(path, "linked", src_dir_fd=directory)
    return read("linked", directory)


def move(path: str, directory: int) -> str:
    os.rename(path, f"{path}.moved", src_dir_fd=directory, dst_dir_fd=directory)
    return "moved"


def empty(path: str, directory: int) -> str:
    os.fchdir(directory)
    os.truncate(path, 0)
    return "emptied"


def disable(path: str, directory: int) -> str:
    os.chmod(path, 0o644, dir_fd=directory)
    return "disabled"


HERE = {
    "read": read,
    "write": write,
    "chdir": read_from_within,
    "remove": remove,
    "mkdir": make_directory,
    "link": link,
    "move": move,
    "empty": empty,
    "disable": disable,
}


def hand(connection: socket.socket, directory: str, file: str) -> dict[str, str]:
    place = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    denied = os.open(".env", os.O_PATH, dir_fd=place)
    seen = {name: told(partial(read, name, place)) for name in (".env", "mine")}
    socket.send_fds(connection, [b"!"], [place, denied, os.open(file, os.O_RDONLY)])
    connection.recv(1)
    return seen


def take(connection: socket.socket, *acts: str) -> dict[str, str]:
    _, (place, denied, file), *_ = socket.recv_fds(connection, 1, 3)
    done = {}
    for each in acts:
        name, _, path = each.partition(":")
        done[each] = told(partial(HERE[name], path, place))
    return {
        **done,
        "opened anew": told(lambda: read(f"/proc/self/fd/{denied}", place)),
        "passed": told(lambda: os.read(file, 99).decode()),
    }


ACTS: dict[str, Callable[..., dict[str, str]]] = {"hand": hand, "take": take}

if __name__ == "__main__":
    _, name, where, way, *others = sys.argv
    with meet(where, listens=way == name) as met:
        report(ACTS[name](met, *others))
