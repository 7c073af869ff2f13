"""Set names of threads through /proc: thread_names LINK; LINK is to lead to /proc/self/task/SIBLING/comm.

With "race" and a number: open a path that another thread keeps changing to that of another process.
With "children" and a number: that many processes name themselves, one after the other.

Prints the outcome of every way to name a sibling thread and the name that it then has, of everything
that differs from those ways, and of a descriptor that another process was given.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from support.attack_programs.outcome import outcome, report

PR_GET_NAME = 16
OPENAT2 = 437
CLONE_NEWUSER = 0x10000000
AT_FDCWD = -100
RESOLVE_NO_MAGICLINKS = 0x02
FLOOD = 300
TRIES_A_TURN = 50

_libc = ctypes.CDLL(None, use_errno=True)


class Sibling:
    """A thread that reports its name."""

    def __init__(self) -> None:
        self._wanted, self._told = threading.Semaphore(0), threading.Semaphore(0)
        self._name = b""
        self.tid = 0
        threading.Thread(target=self._run, daemon=True).start()
        self.name()

    def name(self) -> str:
        self._wanted.release()
        self._told.acquire()
        return self._name.decode()

    def _run(self) -> None:
        self.tid = threading.get_native_id()
        buffer = ctypes.create_string_buffer(16)
        while True:
            self._wanted.acquire()
            _libc.prctl(PR_GET_NAME, buffer, 0, 0, 0)
            self._name = buffer.value
            self._told.release()


def openat2(path: str, flags: int, resolve: int = 0) -> int:
    how = struct.pack("=QQQ", flags, 0, resolve)
    descriptor = int(_libc.syscall(OPENAT2, AT_FDCWD, path.encode(), how, len(how)))
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)
    return descriptor


@contextmanager
def directory(path: str) -> Iterator[int]:
    descriptor = os.open(path, os.O_PATH)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def beside(path: str, name: str, flags: int) -> int:
    with directory(path) as descriptor:
        return os.open(name, flags, dir_fd=descriptor)


def within(path: str, name: str, flags: int) -> int:
    before = os.getcwd()
    os.chdir(path)
    try:
        return os.open(name, flags)
    finally:
        os.chdir(before)


def of_glibc(sibling: int, name: bytes) -> None:
    """Call pthread_setname_np(3) on another thread, which writes to /proc and returns its errno."""
    thread = next(each for each in threading.enumerate() if each.native_id == sibling)
    failed = _libc.pthread_setname_np(ctypes.c_ulong(thread.ident or 0), name)
    if failed:
        raise OSError(failed, os.strerror(failed))


def ways(tid: int) -> dict[str, Callable[[], int]]:
    pid = os.getpid()
    w, rw = os.O_WRONLY, os.O_RDWR
    return {
        "self": lambda: os.open(f"/proc/self/task/{tid}/comm", rw),
        "number": lambda: os.open(f"/proc/{pid}/task/{tid}/comm", w),
        "as a shell": lambda: os.open(f"/proc/self/task/{tid}/comm", w | os.O_CREAT | os.O_TRUNC, 0o666),
        "appended": lambda: os.open(f"/proc/self/task/{tid}/comm", w | os.O_APPEND | os.O_NOFOLLOW),
        "openat2": lambda: openat2(f"/proc/self/task/{tid}/comm", w),
        "from /proc/self": lambda: beside("/proc/self", f"task/{tid}/comm", w),
        "from task": lambda: beside("/proc/self/task", f"{tid}/comm", w),
        "from the thread": lambda: beside(f"/proc/{pid}/task/{tid}", "comm", w),
        "from where it is": lambda: within("/proc/self/task", f"{tid}/comm", w),
    }


def name_by(sibling: Sibling, way: Callable[[], int], name: str) -> str:
    try:
        descriptor = way()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    os.write(descriptor, name.encode())
    os.close(descriptor)
    return sibling.name()


def others(tid: int, link: str, child: int) -> dict[str, Callable[[], object]]:
    """Return attempts that differ in one respect from what may be opened."""
    pid, parent, w = os.getpid(), os.getppid(), os.O_WRONLY
    comm = f"/proc/self/task/{tid}/comm"
    openat = partial(os.open, mode=0o666)
    return {
        "of a child": lambda: os.open(f"/proc/{child}/task/{child}/comm", w),
        "of the supervisor": lambda: os.open(f"/proc/{parent}/task/{parent}/comm", w),
        "of init": lambda: os.open("/proc/1/task/1/comm", w),
        "thread of another under self": lambda: os.open(f"/proc/self/task/{parent}/comm", w),
        "own thread under another": lambda: os.open(f"/proc/{parent}/task/{tid}/comm", w),
        "process": lambda: os.open("/proc/self/comm", w),
        "process, emptied": lambda: openat("/proc/self/comm", w | os.O_TRUNC | os.O_CREAT),
        "process, by number": lambda: os.open(f"/proc/{pid}/comm", w),
        "thread as a process": lambda: os.open(f"/proc/{tid}/comm", w),
        "environment": lambda: os.open(f"/proc/self/task/{tid}/../../environ", w),
        "memory": lambda: os.open(f"/proc/self/task/{tid}/mem", os.O_RDWR),
        "score": lambda: os.open(f"/proc/self/task/{tid}/oom_score_adj", w),
        "there and back": lambda: os.open(f"/proc/self/task/{tid}/../{tid}/comm", w),
        "from beside it": lambda: beside(f"/proc/self/task/{tid}", f"../{tid}/comm", w),
        "two slashes": lambda: os.open(f"/proc/self/task//{tid}/comm", w),
        "a dot": lambda: os.open(f"/proc/./self/task/{tid}/comm", w),
        "nought in front": lambda: os.open(f"/proc/self/task/0{tid}/comm", w),
        "link": lambda: os.open(link, w),
        "root": lambda: os.open(f"/proc/self/root/proc/self/task/{tid}/comm", w),
        "slash behind": lambda: os.open(f"{comm}/", w),
        "newline behind": lambda: os.open(f"{comm}\n", w),
        "exclusive": lambda: openat(comm, w | os.O_CREAT | os.O_EXCL),
        "directory": lambda: os.open(comm, w | os.O_DIRECTORY),
        "direct": lambda: os.open(comm, w | os.O_DIRECT),
        "mode 3": lambda: os.open(comm, 3),
        "resolved with care": lambda: openat2(comm, w, RESOLVE_NO_MAGICLINKS),
        "no thread": lambda: os.open("/proc/self/task/4194304/comm", w),
        "read": lambda: os.open(comm, os.O_RDONLY),
        "seen": lambda: os.open(comm, os.O_PATH),
    }


def in_child(attempt: Callable[[], object]) -> str:
    """Return the outcome of the attempt in a child process."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writer, outcome(attempt).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    found = os.read(reader, 64).decode()
    os.close(reader)
    os.close(writer)
    return found


def own_name() -> None:
    os.close(os.open(f"/proc/self/task/{os.getpid()}/comm", os.O_WRONLY))


def own_name_elsewhere() -> None:
    if _libc.unshare(CLONE_NEWUSER) == 0:
        own_name()
    else:
        raise OSError(errno.EACCES, "no namespaces here")


def race(tries: int) -> None:
    """Count how often the sibling's name was opened, how often something else, and how often nothing."""
    sibling = Sibling()
    child = os.fork()
    if child == 0:
        threading.Event().wait(60)
        os._exit(0)
    own = f"/proc/self/task/{sibling.tid}/comm".encode() + b"\0"
    foreign = f"/proc/{child}/task/{child}/comm".encode() + b"\0"
    buffer = ctypes.create_string_buffer(own, 256)
    done, turned = threading.Event(), threading.Event()

    def flip() -> None:
        while not done.is_set():
            for path in (foreign, own):
                ctypes.memmove(buffer, path, len(path))
                turned.set()

    threading.Thread(target=flip, daemon=True).start()
    os.write(os.open(own[:-1], os.O_WRONLY), b"mine")
    counts = {"mine": 0, "other": 0, "refused": 0}
    for number in range(tries):
        if number % TRIES_A_TURN == 0:  # on a busy machine the other thread may have no turn in all of them
            turned.clear()
            turned.wait()
        descriptor = _libc.openat(AT_FDCWD, buffer, os.O_RDWR)
        if descriptor < 0:
            counts["refused"] += 1
            continue
        counts["mine" if os.read(descriptor, 64) == b"mine\n" else "other"] += 1
        os.close(descriptor)
    done.set()
    os.kill(child, 9)
    os.waitpid(child, 0)
    report(counts)


def main(link: str) -> None:
    sibling = Sibling()
    os.symlink(f"/proc/self/task/{sibling.tid}/comm", link)
    named = {}
    for number, (way, opened) in enumerate(ways(sibling.tid).items()):
        named[way] = (f"gpu-{number}", name_by(sibling, opened, f"gpu-{number}"))
    found = outcome(partial(of_glibc, sibling.tid, b"glibc"))
    named["glibc"] = ("glibc", sibling.name() if found == "ok" else found)
    thread_self = outcome(lambda: os.open("/proc/thread-self/comm", os.O_WRONLY))
    child = os.fork()
    if child == 0:
        threading.Event().wait(60)
        os._exit(0)
    beside_them = {name: outcome(attempt) for name, attempt in others(sibling.tid, link, child).items()}
    os.kill(child, 9)
    os.waitpid(child, 0)
    passed_on = "not opened"
    before = sibling.name()
    try:
        descriptor = os.open(f"/proc/self/task/{sibling.tid}/comm", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        pass
    else:
        passed_on = in_child(lambda: os.write(descriptor, b"stolen"))
        assert not os.get_inheritable(descriptor)
    for _ in range(FLOOD):
        outcome(lambda: os.close(os.open(f"/proc/self/task/{sibling.tid}/comm", os.O_WRONLY)))
    report(
        {
            "pid": os.getpid(),
            "tid": sibling.tid,
            "named": named,
            "thread-self": thread_self,
            "of a child": in_child(own_name),
            "of another namespace": in_child(own_name_elsewhere),
            "others": beside_them,
            "passed on": passed_on,
            "unchanged": sibling.name() == before,
        }
    )


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["race", tries]:
            race(int(tries))
        case ["children", count]:
            report([in_child(own_name) for _ in range(int(count))])
        case [link]:
            main(link)
