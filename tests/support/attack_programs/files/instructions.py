"""Open instruction files in every way, in the project: instructions PLANTED, a text that nobody approved.

The project contains CLAUDE.md, which is trusted. For each attempt the report says what it read, or its error.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
from collections.abc import Callable

from support.attack_programs.files.opens import AT_FDCWD, call, content, how, openat2
from support.attack_programs.outcome import report

SWAPS = 150
READS_S = 0.02


def main(planted: str) -> None:
    os.makedirs("sub/deep", exist_ok=True)
    for name in ("sub/CLAUDE.md", "notes"):
        _write(name, planted)
    os.symlink("../../notes", "sub/deep/CLAUDE.md")
    os.symlink("CLAUDE.md", "sub/other")
    os.mkfifo("sub/deep/fifo")
    targets = {"pipe": "../deep/fifo", "process": "/proc/self/environ", "device": "/dev/zero"}
    for name, target in targets.items():
        os.mkdir(f"sub/{name}")
        os.symlink(target, f"sub/{name}/CLAUDE.md")
    here = os.getcwd()
    directory = os.open("sub", os.O_RDONLY | os.O_DIRECTORY)
    os.chdir("sub/deep")
    relative = _tried(lambda: os.open("../CLAUDE.md", os.O_RDONLY))
    linked_here = _tried(lambda: os.open("CLAUDE.md", os.O_RDONLY))
    os.chdir(here)
    planted_path = f"{here}/sub/CLAUDE.md".encode()
    attempts: dict[str, Callable[[], int]] = {
        "absolute": lambda: os.open(planted_path, os.O_RDONLY),
        "from a directory": lambda: os.open("CLAUDE.md", os.O_RDONLY, dir_fd=directory),
        "dots": lambda: os.open("sub/deep/../CLAUDE.md", os.O_RDONLY),
        "through cwd": lambda: os.open("/proc/self/cwd/sub/CLAUDE.md", os.O_RDONLY),
        "through a process": lambda: os.open(f"/proc/{os.getpid()}/root{here}/sub/CLAUDE.md", os.O_RDONLY),
        "a link to it": lambda: os.open("sub/other", os.O_RDONLY),
        "a link of that name": lambda: os.open("sub/deep/CLAUDE.md", os.O_RDONLY),
        "to write as well": lambda: os.open("sub/CLAUDE.md", os.O_RDWR),
        "to append as well": lambda: os.open("sub/CLAUDE.md", os.O_RDWR | os.O_APPEND | os.O_CREAT),
        "not following": lambda: os.open("sub/CLAUDE.md", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK),
        "openat2": lambda: openat2(AT_FDCWD, b"sub/CLAUDE.md", how(os.O_RDONLY)),
        "openat": lambda: call("openat", AT_FDCWD, b"sub/CLAUDE.md", os.O_RDONLY, 0),
        "a pipe": lambda: os.open("sub/pipe/CLAUDE.md", os.O_RDONLY | os.O_NONBLOCK),
        "a process": lambda: os.open("sub/process/CLAUDE.md", os.O_RDONLY),
        "a device": lambda: os.open("sub/device/CLAUDE.md", os.O_RDONLY),
        "trusted": lambda: os.open("CLAUDE.md", os.O_RDONLY),
        "trusted, to write as well": lambda: os.open("CLAUDE.md", os.O_RDWR),
        "by another name": lambda: os.open("notes", os.O_RDONLY),
    }
    outcomes: dict[str, object] = {name: _tried(attempt) for name, attempt in attempts.items()}
    outcomes |= {"relative": relative, "a link of that name, from there": linked_here}
    with open("CLAUDE.md") as file:
        found, stated = os.fstat(file.fileno()), os.stat("CLAUDE.md")
        outcomes["trusted, as a file"] = str((found.st_dev, found.st_ino) == (stated.st_dev, stated.st_ino))
    outcomes["raced"] = [
        _swapped(planted, keeps_open=True),
        _swapped(planted, keeps_open=False),
        _appearing(planted),
    ]
    report(outcomes)


def _swapped(planted: str, *, keeps_open: bool) -> str:
    """Return what reads of the trusted file gave while another process wrote to it.

    keeps_open: The writer opened the file once; otherwise it opens it for each write.
    """
    with open("CLAUDE.md") as file:
        trusted = file.read()
    assert len(trusted) == len(planted)
    done = threading.Event()

    def swap() -> None:
        while not done.is_set():
            descriptor = os.open("CLAUDE.md", os.O_WRONLY)
            for _ in range(0 if done.is_set() else SWAPS if keeps_open else 1):
                os.pwrite(descriptor, planted.encode(), 0)
                os.pwrite(descriptor, trusted.encode(), 0)
            os.close(descriptor)

    swapping = threading.Thread(target=swap)
    swapping.start()
    seen = set()
    for number in range(SWAPS):
        try:
            with open("CLAUDE.md") as file:
                if number % 10 == 0:
                    time.sleep(READS_S)  # gives the writer time to write
                seen.add(file.read())
        except OSError as error:
            seen.add(errno.errorcode[error.errno or 0])
    done.set()
    swapping.join()
    return " ".join(sorted(seen))


def _appearing(planted: str) -> str:
    """Return what opens of a missing file gave while another process kept creating and removing it."""
    done = threading.Event()

    def put() -> None:
        while not done.is_set():
            os.rename("notes", "sub/deep/AGENTS.md")
            os.rename("sub/deep/AGENTS.md", "notes")

    putting = threading.Thread(target=put)
    putting.start()
    seen = {_tried(lambda: os.open("sub/deep/AGENTS.md", os.O_RDONLY)) for _ in range(SWAPS)}
    done.set()
    putting.join()
    return " ".join(sorted(seen))


def _tried(attempt: Callable[[], int]) -> str:
    try:
        return content(attempt())
    except OSError as error:
        return errno.errorcode[error.errno or 0]


def _write(name: str, text: str) -> None:
    with open(name, "w") as file:
        file.write(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
