"""Use up memory, start processes and threads, or try to escape the limits.

limits memory MIB: fill that much memory, then print it.
limits processes N | threads N: start N that wait, print how many there were, and fail unless all were.
limits bomb: fork for ever, and so does every child, in sessions of their own.
limits daemon: leave a process that waits for the FIFO `go`; print its pid and wait to be killed.
limits escape PARENT OWN: try to leave the cgroup OWN for another one below PARENT, or to lift its limits.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from contextlib import suppress

from support.attack_programs.outcome import Attempt, report, report_all, syscall

CLONE_INTO_CGROUP = 0x200000000
CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUSER = 0x20000, 0x2000000, 0x10000000
LIMIT_S = 120


def memory(mib: int) -> None:
    filled = bytearray(mib << 20)
    for page in range(0, len(filled), 4096):
        filled[page] = 1
    report(mib)


def processes(count: int) -> None:
    wait, release = os.pipe()
    children = []
    try:
        for _ in range(count):
            child = os.fork()
            if child == 0:
                os.close(release)
                os.read(wait, 1)
                os._exit(0)
            children.append(child)
    except BlockingIOError:
        pass
    os.close(release)
    for child in children:
        os.waitpid(child, 0)
    report(len(children))
    sys.exit(0 if len(children) == count else 3)


def threads(count: int) -> None:
    done = threading.Event()
    started = []
    try:
        for _ in range(count):
            thread = threading.Thread(target=done.wait)
            thread.start()
            started.append(thread)
    except RuntimeError:
        pass
    done.set()
    for thread in started:
        thread.join()
    report(len(started))
    sys.exit(0 if len(started) == count else 3)


def bomb() -> None:
    print("lit", flush=True)
    signal.alarm(LIMIT_S)
    while True:
        with suppress(OSError):
            if os.fork() == 0:
                signal.alarm(LIMIT_S)
                with suppress(OSError):
                    os.setsid()


def daemon() -> None:
    if os.fork() == 0:
        signal.alarm(LIMIT_S)
        os.setsid()
        for descriptor in (0, 1, 2):  # whoever reads these must learn when the command has ended
            os.close(descriptor)
        with open("go", encoding="ascii") as go:
            go.read()
        os._exit(0)
    print(os.getpid(), flush=True)
    signal.pause()


def _write(path: str, text: str) -> Attempt:
    def attempt() -> None:
        descriptor = os.open(path, os.O_WRONLY)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)

    return attempt


def _born_in(directory: str) -> None:
    """Start a child in another cgroup. O_PATH opens what may not be read."""
    descriptor = os.open(directory, os.O_PATH)
    arguments = (ctypes.c_uint64 * 11)(CLONE_INTO_CGROUP)
    arguments[4], arguments[10] = signal.SIGCHLD, descriptor
    child = syscall("clone3", ctypes.addressof(arguments), ctypes.sizeof(arguments))
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def _mount() -> None:
    """Mount cgroups where nothing prevents writing, in a child, which this changes irreversibly."""
    child = os.fork()
    if child == 0:
        try:
            os.unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWCGROUP)
            names = [ctypes.create_string_buffer(name) for name in (b"cgroup2", b"/tmp")]
            source, target = map(ctypes.addressof, names)
            syscall("mount", source, target, source, 0, 0)
        except OSError as error:
            os._exit(error.errno or 255)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status:
        raise OSError(status, os.strerror(status))


def escape(parent: str, own: str) -> None:
    other = f"{parent}/elsewhere"
    report_all(
        {
            "born elsewhere": lambda: _born_in(other),
            "raise memory": _write(f"{own}/memory.max", "max"),
            "raise processes": _write(f"{own}/pids.max", "max"),
            "make a cgroup": lambda: os.mkdir(f"{own}/below"),
            "remove one": lambda: os.rmdir(f"{parent}/empty"),
            "mount cgroups": _mount,
            "move": _write(f"{other}/cgroup.procs", "0"),
        }
    )


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["memory", mib]:
            memory(int(mib))
        case ["processes", count]:
            processes(int(count))
        case ["threads", count]:
            threads(int(count))
        case ["bomb"]:
            bomb()
        case ["daemon"]:
            daemon()
        case ["escape", parent, own]:
            escape(parent, own)
        case other:
            raise SystemExit(f"unknown: {other}")
