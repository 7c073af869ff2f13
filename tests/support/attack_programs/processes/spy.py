"""Examine the parent and process 1: their files in /proc, memory, descriptors, limits and signals.

spy [sibling | descriptors]: with "sibling", a child examines the process that runs this program; with
"descriptors", the program lists its own descriptors.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import struct
import sys

from support.attack_programs.outcome import Attempt, report, report_all, syscall

PTRACE_SEIZE, PTRACE_ATTACH = 0x4206, 16


_kept: list[object] = []  # keeps alive what a raw address points to


def read_file(path: str) -> Attempt:
    def attempt() -> None:
        with open(path, "rb", buffering=0) as file:
            file.read(64)

    return attempt


def open_memory(pid: int) -> Attempt:
    return lambda: os.close(os.open(f"/proc/{pid}/mem", os.O_RDWR))


def vector(address: int, length: int) -> int:
    memory = ctypes.create_string_buffer(struct.pack("@PN", address, length))
    _kept.append(memory)
    return ctypes.addressof(memory)


def transfer(name: str, pid: int) -> Attempt:
    """Call process_vm_readv or process_vm_writev at an address of ours: EFAULT means that it was allowed."""
    local = ctypes.create_string_buffer(8)
    _kept.append(local)
    here, there = vector(ctypes.addressof(local), 8), vector(ctypes.addressof(local), 8)
    return lambda: syscall(name, pid, here, 1, there, 1, 0)


def get_descriptor(pid: int) -> Attempt:
    def attempt() -> None:
        pidfd = os.pidfd_open(pid)
        try:
            os.close(syscall("pidfd_getfd", pidfd, 0, 0))
        finally:
            os.close(pidfd)

    return attempt


def trace(pid: int, request: int) -> Attempt:
    """Trace from a child, whose end releases the traced process."""

    def attempt() -> None:
        child = os.fork()
        if child == 0:
            try:
                syscall("ptrace", request, pid, 0, 0)
            except OSError as error:
                os._exit(error.errno or 255)
            os._exit(0)
        number = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if number:
            raise OSError(number, "in the tracer")

    return attempt


def send_by_pidfd(pid: int) -> Attempt:
    def attempt() -> None:
        pidfd = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(pidfd, signal.SIGCONT)
        finally:
            os.close(pidfd)

    return attempt


def set_limit(pid: int) -> Attempt:
    """Set the present limit again, so that nothing is lowered."""

    def attempt() -> None:
        kind = resource.RLIMIT_FSIZE
        resource.prlimit(pid, kind, resource.getrlimit(kind))

    return attempt


def looks_at(pid: int) -> dict[str, Attempt]:
    names = ("environ", "maps", "cmdline", "auxv", "cgroup")
    looks: dict[str, Attempt] = {name: read_file(f"/proc/{pid}/{name}") for name in names}
    return looks | {
        "fd": lambda: os.listdir(f"/proc/{pid}/fd"),
        "fd/0": lambda: os.close(os.open(f"/proc/{pid}/fd/0", os.O_RDONLY | os.O_NONBLOCK)),
        "mem": open_memory(pid),
        "process_vm_readv": transfer("process_vm_readv", pid),
        "process_vm_writev": transfer("process_vm_writev", pid),
        "pidfd_getfd": get_descriptor(pid),
        "PTRACE_SEIZE": trace(pid, PTRACE_SEIZE),
        "PTRACE_ATTACH": trace(pid, PTRACE_ATTACH),
        "kill 0": lambda: os.kill(pid, 0),
        "kill SIGCONT": lambda: os.kill(pid, signal.SIGCONT),
        "tgkill": lambda: syscall("tgkill", pid, pid, signal.SIGCONT),
        "pidfd_send_signal": send_by_pidfd(pid),
        "prlimit": set_limit(pid),
    }


def main() -> None:
    if len(sys.argv) == 1:
        first = {"1 environ": read_file("/proc/1/environ"), "1 cmdline": read_file("/proc/1/cmdline")}
        own = {"own environ": read_file("/proc/self/environ")}
        report_all(looks_at(os.getppid()) | first | own)
    elif sys.argv[1] == "descriptors":
        listed = sorted(int(name) for name in os.listdir("/proc/self/fd"))
        report(
            {
                str(fd): os.readlink(f"/proc/self/fd/{fd}")
                for fd in listed
                if os.path.lexists(f"/proc/self/fd/{fd}")
            }
        )
    else:
        # The parent of this process is in the same sandbox, so it may be examined.
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            report_all(looks_at(parent))
            os._exit(0)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
