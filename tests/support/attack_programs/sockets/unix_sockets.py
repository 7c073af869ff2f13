"""Connect to Unix sockets and bind them as a JSON list of [what, path] says; what is a method of Attempts.

A path is text with surrogates for bytes that are not UTF-8. What is of no interest goes to the working
directory.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import stat
import sys
import threading
from collections.abc import Callable

from support.attack_programs.outcome import outcome, report, syscall

OPEN_TREE_CLONE, AT_RECURSIVE = 1, 0x8000  # open_tree(2)


def connect(path: str, kind: int = socket.SOCK_STREAM) -> None:
    with socket.socket(socket.AF_UNIX, kind) as client:
        client.connect(path)


def connect_in_full(path: str) -> None:
    """Connect with a sun_path of 108 bytes and no NUL behind it, which the socket module does not build."""
    raw = socket.AF_UNIX.to_bytes(2, sys.byteorder) + os.fsencode(path)
    assert len(raw) == 110
    with socket.socket(socket.AF_UNIX) as client:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.connect(client.fileno(), raw, len(raw)) < 0:
            raise OSError(ctypes.get_errno(), "connect")


def bind(path: str, kind: int = socket.SOCK_STREAM) -> str:
    """Bind, listen and accept a connection; return the mode of the file and its owner."""
    with socket.socket(socket.AF_UNIX, kind) as server:
        server.bind(path)
        found = os.stat(path)
        try:
            server.listen()
            connect(path, kind)
        finally:
            os.unlink(path)
    return f"ok {stat.S_IMODE(found.st_mode):o} {found.st_uid == os.geteuid()}"


def bind_only(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)


def bind_private(path: str) -> str:
    os.umask(0o077)
    try:
        return bind(path)
    finally:
        os.umask(0o022)


def in_thread(attempt: Callable[[], object]) -> object:
    """Run the attempt in a thread whose working directory is that of the path."""
    said: list[object] = []

    def run() -> None:
        os.unshare(os.CLONE_FS)
        said.append(named(attempt))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return said[0]


def in_directory(path: str) -> object:
    def attempt() -> None:
        os.chdir(os.path.dirname(path))
        connect(os.path.basename(path))

    return in_thread(attempt)


def in_child(prepare: Callable[[], object], path: str) -> object:
    """Run in a child that first moves to another view of the file system; report what failed there."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            prepared = named(prepare)
            told = named(lambda: connect(path)) if prepared == "ok" else f"not prepared: {prepared}"
            os.write(writing, str(told).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as said:
        told = said.read()
    os.waitpid(child, 0)
    return told


def new_mounts() -> None:
    os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNS)


def new_root(path: str) -> Callable[[], None]:
    def prepare() -> None:
        os.unshare(os.CLONE_NEWUSER)
        os.chroot(os.path.dirname(path))

    return prepare


def own_copy(path: str, flags: int) -> Callable[[], None]:
    """Copy the mount that the socket lies in, and go to the directory of the socket there."""

    def prepare() -> None:
        new_mounts()
        directory = ctypes.create_string_buffer(os.fsencode(os.path.dirname(path)))
        os.fchdir(syscall("open_tree", -100, ctypes.addressof(directory), OPEN_TREE_CLONE | flags))

    return prepare


def unmounted(path: str) -> Callable[[], None]:
    def prepare() -> None:
        new_mounts()
        covered = ctypes.create_string_buffer(os.fsencode(path))
        syscall("umount2", ctypes.addressof(covered), 0)

    return prepare


def named(attempt: Callable[[], object]) -> object:
    """Return what the attempt returned, "ok", or the name of its error."""
    result: list[object] = []
    said = outcome(lambda: result.append(attempt()))
    return said if said != "ok" or result[0] is None else result[0]


ATTEMPTS: dict[str, Callable[[str], object]] = {
    "connect": connect,
    "in full": connect_in_full,
    "seqpacket": lambda path: connect(path, socket.SOCK_SEQPACKET),
    "datagram": lambda path: connect(path, socket.SOCK_DGRAM),
    "bind": bind,
    "bind only": bind_only,
    "bind seqpacket": lambda path: bind(path, socket.SOCK_SEQPACKET),
    "bind privately": bind_private,
    "in directory": in_directory,
    "new mounts": lambda path: in_child(new_mounts, path),
    "own copy": lambda path: in_child(own_copy(path, 0), os.path.basename(path)),
    "own copy of all": lambda path: in_child(own_copy(path, AT_RECURSIVE), os.path.basename(path)),
    "unmounted": lambda path: in_child(unmounted(path), path),
    "new user namespace": lambda path: in_child(lambda: os.unshare(os.CLONE_NEWUSER), path),
    "new root": lambda path: in_child(new_root(path), "/" + os.path.basename(path)),
}


def attempted(what: str, path: str) -> object:
    return named(lambda: ATTEMPTS[what](path))


if __name__ == "__main__":
    os.umask(0o022)
    report({f"{what} {path}": attempted(what, path) for what, path in json.loads(sys.argv[1])})
