"""Fork a process that is a sibling of this one (clone(2) with CLONE_PARENT)."""

from __future__ import annotations

import ctypes

from nono.kernel.libc import os_error, syscall_number
from nono.kernel.uapi import process as uapi


def fork_sibling() -> int:
    """Fork like os.fork(), but make the new process a child of this process's parent, which reaps it.

    Returns 0 in the new process and its pid in this one. The new process has the exit signal of this one.
    Call this in a single-threaded process. OSError EINVAL: this process is the init of a PID namespace.
    """
    # PyDLL keeps the interpreter lock: the new process must come back holding it.
    python = ctypes.PyDLL(None, use_errno=True)
    call = python.syscall
    call.restype = ctypes.c_long
    number = ctypes.c_long(syscall_number("clone"))
    flags, zero = ctypes.c_long(uapi.CLONE_PARENT), ctypes.c_long(0)
    ctypes.pythonapi.PyOS_BeforeFork()
    pid = int(call(number, flags, zero, zero, zero, zero))
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
        return 0
    failure = ctypes.get_errno()
    ctypes.pythonapi.PyOS_AfterFork_Parent()
    if pid < 0:
        raise os_error(failure, "clone(CLONE_PARENT)")
    return pid
