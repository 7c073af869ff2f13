"""Open files that are not granted with every call, spelling and flag: opens OUTSIDE KIND, in the project.

OUTSIDE contains what the test has put there. For each attempt the report says what it read, or its error.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import struct
import sys
import time
from collections.abc import Callable

from support.attack_programs.outcome import report

AT_FDCWD = -100
CALLS = {
    "x86_64": {"open": 2, "creat": 85, "openat": 257, "openat2": 437, "io_uring_setup": 425},
    "aarch64": {"openat": 56, "openat2": 437, "io_uring_setup": 425},
}[os.uname().machine]
RESOLVE_NO_XDEV, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS = 1, 2, 4
RESOLVE_BENEATH, RESOLVE_IN_ROOT = 8, 16
PAUSE_S = 0.12  # nono asks ten questions a second
CLONE_NEWUSER = 0x10000000

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_kept: list[object] = []


def call(name: str, *arguments: int | bytes) -> int:
    """Make the raw system call. Bytes are passed by address, with a NUL behind them."""
    registers = []
    for argument in arguments:
        if isinstance(argument, bytes):
            buffer = ctypes.create_string_buffer(argument)
            _kept.append(buffer)
            argument = ctypes.addressof(buffer)
        registers.append(ctypes.c_long(argument))
    result: int = _libc.syscall(CALLS[name], *registers)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def how(flags: int, resolve: int = 0, mode: int = 0, tail: bytes = b"") -> bytes:
    return struct.pack("=QQQ", flags, mode, resolve) + tail


def openat2(directory: int, path: bytes, packed: bytes, size: int | None = None) -> int:
    return call("openat2", directory, path, packed, len(packed) if size is None else size)


def content(descriptor: int) -> str:
    try:
        return os.read(descriptor, 4096).decode("utf-8", "replace")
    finally:
        os.close(descriptor)


def flags_of(descriptor: int, *names: str) -> str:
    """Return those of names that the open file or its descriptor has."""
    try:
        status = fcntl.fcntl(descriptor, fcntl.F_GETFL)
        has = [name for name in names if status & getattr(os, name)]
        if fcntl.fcntl(descriptor, fcntl.F_GETFD) & fcntl.FD_CLOEXEC:
            has.append("O_CLOEXEC")
        return " ".join(has)
    finally:
        os.close(descriptor)


def written(descriptor: int, text: bytes) -> str:
    try:
        return str(os.write(descriptor, text))
    finally:
        os.close(descriptor)


def at_page_edge(path: bytes, *, ended: bool = True) -> int:
    """Return the address of path, whose last byte is the last of a page with nothing mapped behind it."""
    path += b"\0" if ended else b""
    pages = mmap.mmap(-1, 2 * mmap.PAGESIZE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(pages))
    pages[mmap.PAGESIZE - len(path) : mmap.PAGESIZE] = path
    _kept.append(pages)
    if _libc.mprotect(ctypes.c_void_p(start + mmap.PAGESIZE), mmap.PAGESIZE, 0):
        raise OSError(ctypes.get_errno(), "mprotect")
    return start + mmap.PAGESIZE - len(path)


def across_pages(path: bytes) -> int:
    """Return the address of path, whose middle is on the boundary of two mapped pages."""
    pages = mmap.mmap(-1, 2 * mmap.PAGESIZE)
    start = mmap.PAGESIZE - len(path) // 2
    pages[start : start + len(path) + 1] = path + b"\0"
    _kept.append(pages)
    return ctypes.addressof(ctypes.c_char.from_buffer(pages)) + start


def from_child(attempt: Callable[[], str]) -> str:
    """Return the result of attempt in a child, which the attempt may change irreversibly."""
    said, say = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(say, outcome(attempt).encode())
        finally:
            os._exit(0)
    os.close(say)
    with open(said, "rb") as answer:
        result = answer.read().decode()
    os.waitpid(child, 0)
    return result


def outcome(attempt: Callable[[], str]) -> str:
    try:
        return attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, repr(error))


def chrooted(outside: str) -> str:
    """Make the directory of the file the root, where the path of the file is short."""
    if os.geteuid() and _libc.unshare(CLONE_NEWUSER):
        raise OSError(ctypes.get_errno(), "unshare")
    os.chroot(outside)
    return content(os.open("/file", os.O_RDONLY))


def as_somebody_else(path: str) -> str:
    os.setresgid(61999, 61999, 61999)
    os.setresuid(61999, 61999, 61999)
    return content(os.open(path, os.O_RDONLY))


def spellings(outside: str) -> dict[str, Callable[[], str]]:
    file = f"{outside}/file".encode()
    directory = os.open(outside, os.O_PATH | os.O_DIRECTORY)
    read = os.O_RDONLY

    def relative() -> str:
        os.chdir(outside)
        try:
            return content(call("openat", AT_FDCWD, b"file", read))
        finally:
            os.chdir(home)

    home = os.getcwd()
    return {
        "openat": lambda: content(call("openat", AT_FDCWD, file, read)),
        "low half of AT_FDCWD": lambda: content(call("openat", 0xFFFFFF9C, file, read)),
        "garbage above the int": lambda: content(call("openat", 0x1234567_FFFFFF9C, file, read | 0xF << 32)),
        "relative to the cwd": relative,
        "relative to a directory": lambda: content(call("openat", directory, b"file", read)),
        "dots": lambda: content(call("openat", directory, b".././" + file.split(b"/")[-2] + b"//file", read)),
        "through a link": lambda: content(call("openat", AT_FDCWD, f"{outside}/link".encode(), read)),
        "page edge": lambda: content(call("openat", AT_FDCWD, at_page_edge(file), read)),
        "across pages": lambda: content(call("openat", AT_FDCWD, across_pages(file), read)),
        "odd bytes": lambda: content(call("openat", directory, b"caf\xe9 \x1b", read)),
        "openat2": lambda: content(openat2(AT_FDCWD, file, how(read))),
        "openat2 beneath": lambda: content(openat2(directory, b"file", how(read, RESOLVE_BENEATH))),
        "openat2 in root": lambda: content(openat2(directory, b"/../file", how(read, RESOLVE_IN_ROOT))),
        "openat2 no symlinks": lambda: content(openat2(directory, b"file", how(read, RESOLVE_NO_SYMLINKS))),
        "openat2 longer, zero": lambda: content(openat2(directory, b"file", how(read, tail=bytes(8)))),
        **(
            {
                "open": lambda: content(call("open", file, read)),
                "creat": lambda: written(call("creat", f"{outside}/emptied".encode(), 0o600), b"new"),
            }
            if "open" in CALLS
            else {}
        ),
        "O_CREAT on what is there": lambda: content(call("openat", directory, b"file", os.O_CREAT, 0o600)),
        "directory": lambda: flags_of(os.open(outside, os.O_RDONLY), "O_DIRECTORY"),
        "append": lambda: written(os.open(f"{outside}/longer", os.O_WRONLY | os.O_APPEND), b" and more"),
        "truncate": lambda: written(os.open(f"{outside}/shorter", os.O_WRONLY | os.O_TRUNC), b"short"),
        "flags kept": lambda: flags_of(
            call("openat", directory, b"file", os.O_RDWR | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC),
            "O_RDWR", "O_APPEND", "O_NONBLOCK",
        ),
        "flags not added": lambda: flags_of(
            call("openat", directory, b"file", os.O_RDWR), "O_RDWR", "O_APPEND", "O_NONBLOCK"
        ),
        "FIFO to read": lambda: flags_of(call("openat", directory, b"fifo", read), "O_NONBLOCK"),
    }  # fmt: skip


def answered_by_the_kernel(outside: str) -> dict[str, Callable[[], str]]:
    """Return attempts that nobody is asked about, because they fail in any case."""
    directory = os.open(outside, os.O_PATH | os.O_DIRECTORY)
    read = os.O_RDONLY
    file = f"{outside}/file".encode()
    return {
        "missing": lambda: content(call("openat", directory, b"missing", read)),
        "missing, to be made": lambda: content(call("openat", directory, b"missing", os.O_CREAT | os.O_RDWR)),
        "exclusive": lambda: content(call("openat", directory, b"file", os.O_CREAT | os.O_EXCL)),
        "no directory": lambda: content(call("openat", directory, b"file", os.O_DIRECTORY)),
        "no link": lambda: content(call("openat", directory, b"link", os.O_NOFOLLOW)),
        "directory to write": lambda: content(call("openat", AT_FDCWD, outside.encode(), os.O_RDWR)),
        "temporary": lambda: content(call("openat", AT_FDCWD, outside.encode(), os.O_TMPFILE | os.O_RDWR)),
        "empty": lambda: content(call("openat", AT_FDCWD, b"", read)),
        "null": lambda: content(call("openat", AT_FDCWD, 0, read)),
        "without end": lambda: content(call("openat", AT_FDCWD, at_page_edge(file, ended=False), read)),
        "too long": lambda: content(call("openat", AT_FDCWD, b"/" + b"x" * 5000, read)),
        "bad directory": lambda: content(call("openat", 999, b"file", read)),
        "openat2 too short": lambda: content(openat2(directory, b"file", how(read), 23)),
        "openat2 of nothing": lambda: content(openat2(directory, b"file", how(read), 0)),
        "openat2 too long": lambda: content(openat2(directory, b"file", how(read, tail=bytes(5000)))),
        "openat2 of a later kernel": lambda: content(openat2(directory, b"file", how(read, tail=b"\1" * 8))),
        "openat2 without how": lambda: content(call("openat2", directory, b"file", 0, 24)),
        "openat2 unknown flag": lambda: content(openat2(directory, b"file", how(1 << 40))),
        "openat2 unknown resolve": lambda: content(openat2(directory, b"file", how(read, 1 << 20))),
        "openat2 escapes": lambda: content(openat2(directory, b"../x", how(read, RESOLVE_BENEATH))),
        "openat2 absolute beneath": lambda: content(openat2(directory, file, how(read, RESOLVE_BENEATH))),
        "openat2 link": lambda: content(openat2(directory, b"link", how(read, RESOLVE_NO_SYMLINKS))),
        "mode says no": lambda: content(call("openat", directory, b"closed", read)),
        "FIFO to write": lambda: flags_of(call("openat", directory, b"fifo", os.O_WRONLY | os.O_NONBLOCK)),
    }


def refused(outside: str) -> dict[str, Callable[[], str]]:
    """Return attempts that nobody can be persuaded to allow."""
    supervisor = os.getppid()
    file = f"{outside}/file"
    if os.path.islink("mem"):
        os.unlink("mem")
    os.symlink(f"/proc/{supervisor}/mem", "mem")

    def read(path: str) -> Callable[[], str]:
        return lambda: content(os.open(path, os.O_RDONLY))

    return {
        "environment of the supervisor": read(f"/proc/{supervisor}/environ"),
        "memory of the supervisor": read(f"/proc/{supervisor}/mem"),
        "memory of the supervisor by a link": read("mem"),
        "environment of init": read("/proc/1/environ"),
        "root of the supervisor": read(f"/proc/{supervisor}/root{file}"),
        "cwd of the supervisor": read(f"/proc/{supervisor}/cwd/../outside/file"),
        "own root": read(f"/proc/self/root{file}"),
        "ring": lambda: str(call("io_uring_setup", 4, bytes(128))),
        "another root": lambda: from_child(lambda: chrooted(outside)),
        **({"another user": lambda: from_child(lambda: as_somebody_else(file))} if os.geteuid() == 0 else {}),
    }


KINDS = {"spellings": spellings, "answered": answered_by_the_kernel, "refused": refused}


def main(outside: str, kind: str, pauses: bool) -> None:
    found: dict[str, str] = {}
    for name, attempt in KINDS[kind](outside).items():
        found[name] = outcome(attempt)
        if pauses:
            time.sleep(PAUSE_S)
    report(found)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], pauses=sys.argv[2] == "spellings")
