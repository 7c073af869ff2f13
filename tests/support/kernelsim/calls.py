"""Offer the system calls that the simulator needs and Python lacks, as functions that raise OSError."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import signal
from collections.abc import Iterable
from struct import unpack_from

from support.kernelsim.filter import ARCHITECTURES, Architecture

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38

SECCOMP_SET_MODE_FILTER = 1
FILTER_FLAG_NEW_LISTENER = 1 << 3
FILTER_FLAG_WAIT_KILLABLE_RECV = 1 << 5  # Linux 5.19

MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 1 << 18
MNT_DETACH = 2

SIGINFO_BYTES = 128  # struct signalfd_siginfo
SFD_CLOEXEC = 0o2000000

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.ptrace.restype = ctypes.c_long
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.process_vm_readv.restype = ctypes.c_ssize_t
_libc.process_vm_writev.restype = ctypes.c_ssize_t


class Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("len", ctypes.c_size_t))


class SockFprog(ctypes.Structure):
    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def _error(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")


def architecture() -> Architecture:
    """Return this machine's architecture. OSError ENOTSUP if the simulator does not know its call numbers."""
    machine = platform.machine()
    if machine not in ARCHITECTURES:
        raise OSError(errno.ENOTSUP, f"no system call numbers for {machine}")
    return ARCHITECTURES[machine]


def prctl(option: int, value: int) -> None:
    if _libc.prctl(ctypes.c_int(option), *map(ctypes.c_ulong, (value, 0, 0, 0))) < 0:
        raise _error(f"prctl({option})")


def landlock_abi() -> int:
    """Return the host's Landlock ABI, 0 for none (landlock_create_ruleset(2))."""
    number = architecture().numbers["landlock_create_ruleset"]
    return max(0, int(_libc.syscall(ctypes.c_long(number), None, ctypes.c_size_t(0), ctypes.c_uint(1))))


def _seccomp(program: bytes, flags: int) -> int:
    code = ctypes.create_string_buffer(program, len(program))
    fprog = SockFprog(len(program) // 8, ctypes.addressof(code))
    number = architecture().numbers["seccomp"]
    descriptor: int = _libc.syscall(
        ctypes.c_long(number),
        ctypes.c_uint(SECCOMP_SET_MODE_FILTER),
        ctypes.c_uint(flags),
        ctypes.byref(fprog),
    )
    if descriptor < 0:
        raise _error("seccomp")
    return descriptor


def install_filter(program: bytes, flags: int = 0) -> int:
    """Install a filter, for ever, on this process and all it starts. Returns the listener, if requested.

    The caller closes the listener. no_new_privs is set only where the kernel insists on it, so that root's
    setuid programs keep working.
    """
    try:
        return _seccomp(program, flags)
    except PermissionError:
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        return _seccomp(program, flags)


def install_listener(program: bytes) -> int:
    """Install a filter with a listener. Once a call is received, only death interrupts it (Linux 5.19)."""
    try:
        return install_filter(program, FILTER_FLAG_NEW_LISTENER | FILTER_FLAG_WAIT_KILLABLE_RECV)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return install_filter(program, FILTER_FLAG_NEW_LISTENER)


def read_memory(tid: int, address: int, size: int) -> bytes:
    """Call process_vm_readv(2) for all bytes. OSError EFAULT, EPERM (not dumpable) or ESRCH otherwise."""
    buffer = ctypes.create_string_buffer(size)
    _transfer("process_vm_readv", tid, buffer, address, size)
    return buffer.raw


def write_memory(tid: int, address: int, content: bytes) -> None:
    """Call process_vm_writev(2) for all bytes. Raises OSError as read_memory does."""
    buffer = ctypes.create_string_buffer(content, len(content))
    _transfer("process_vm_writev", tid, buffer, address, len(content))


def _transfer(name: str, tid: int, buffer: ctypes.Array[ctypes.c_char], address: int, size: int) -> None:
    local = Iovec(ctypes.addressof(buffer), size)
    remote = Iovec(address, size)
    one, none = ctypes.c_ulong(1), ctypes.c_ulong(0)
    moved = getattr(_libc, name)(ctypes.c_int(tid), ctypes.byref(local), one, ctypes.byref(remote), one, none)
    if moved < 0:
        raise _error(f"{name}({tid})")
    if moved != size:  # the rest is in a page that does not exist
        raise OSError(errno.EFAULT, f"{name}({tid}): {os.strerror(errno.EFAULT)}")


def ptrace(request: int, tid: int, argument: int = 0) -> None:
    """Call ptrace(2) with `argument` as its data. OSError ESRCH: not ours, not stopped, or dead."""
    if _libc.ptrace(request, tid, None, argument) < 0:
        raise _error(f"ptrace({request:#x}, {tid})")


def mount(source: str, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    result = _libc.mount(
        os.fsencode(source),
        os.fsencode(target),
        os.fsencode(kind) if kind else None,
        ctypes.c_ulong(flags),
        os.fsencode(options) if options else None,
    )
    if result < 0:
        raise _error(f"mount({source} on {target})")


def unmount(target: str) -> None:
    """Remove `target` from the tree now. What was bound from it stays (MNT_DETACH, umount2(2))."""
    if _libc.umount2(os.fsencode(target), ctypes.c_int(MNT_DETACH)) < 0:
        raise _error(f"umount2({target})")


def signalfd(signals: Iterable[int]) -> int:
    """Return a descriptor that reads these signals, which the caller has blocked; the caller closes it."""
    mask = 0
    for number in signals:
        mask |= 1 << (number - 1)
    sigset = ctypes.create_string_buffer(mask.to_bytes(128, "little"), 128)
    descriptor: int = _libc.signalfd(ctypes.c_int(-1), sigset, ctypes.c_int(SFD_CLOEXEC))
    if descriptor < 0:
        raise _error("signalfd")
    return descriptor


def read_siginfo(descriptor: int) -> list[tuple[int, int]]:
    """Return (signal, si_code) of what is pending, at least one. si_code <= 0: sent by a process."""
    records = os.read(descriptor, SIGINFO_BYTES * signal.NSIG)
    return [unpack_from("=I4xi", records, start) for start in range(0, len(records), SIGINFO_BYTES)]
