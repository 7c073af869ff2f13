"""Serve consulted calls as a ptrace(2) tracer, which leaves the listener's place free. x86-64 only.

The tree runs at full speed except for seccomp stops (SECCOMP_RET_TRACE). PTRACE_SEIZE is used instead of
TRACEME, so that group stops can be told from signals and job control keeps working.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import signal
from contextlib import suppress

from support.kernelsim.calls import ptrace
from support.kernelsim.standin import StandIn

PTRACE_CONT = 7
PTRACE_GETREGS = 12
PTRACE_SETREGS = 13
PTRACE_SEIZE = 0x4206
PTRACE_LISTEN = 0x4208

PTRACE_EVENT_SECCOMP = 7
PTRACE_EVENT_STOP = 128

# FORK, VFORK and CLONE: new tasks are traced as well. EXEC: no SIGTRAP in its place. EXITKILL: a tree whose
# answers would never come ends with the simulator.
OPTION_TRACEFORK, OPTION_TRACEVFORK, OPTION_TRACECLONE, OPTION_TRACEEXEC = 0x02, 0x04, 0x08, 0x10
OPTION_TRACESECCOMP = 0x80
OPTION_EXITKILL = 0x100000
OPTIONS = (
    OPTION_TRACEFORK
    | OPTION_TRACEVFORK
    | OPTION_TRACECLONE
    | OPTION_TRACEEXEC
    | OPTION_TRACESECCOMP
    | OPTION_EXITKILL
)

STOP_SIGNALS = frozenset({signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU})
NO_CALL = (1 << 64) - 1  # the number that makes the kernel skip the call


class Registers(ctypes.Structure):
    """struct user_regs_struct, asm/user_64.h."""

    _fields_ = tuple(
        (name, ctypes.c_ulonglong)
        for name in (
            *("r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8"),
            *("rax", "rcx", "rdx", "rsi", "rdi", "orig_rax", "rip", "cs", "eflags", "rsp", "ss"),
            *("fs_base", "gs_base", "ds", "es", "fs", "gs"),
        )
    )


class Tracer:
    """Trace a tree starting with its first process. Created and used by the thread that waits for it."""

    def __init__(self, root: int, standin: StandIn) -> None:
        """Seize `root`, a child that has not started anything yet. OSError EPERM: it already has a tracer."""
        if platform.machine() != "x86_64":
            raise OSError(errno.ENOTSUP, "the ptrace backend knows x86_64 only; add --notify-busy")
        ptrace(PTRACE_SEIZE, root, OPTIONS)
        self._standin = standin

    def resume(self, tid: int, status: int) -> None:
        """Let a stopped task continue from the stop that wait(2) reported as `status`."""
        with suppress(ProcessLookupError):  # killed in between: the next wait(2) tells
            self._resume(tid, os.WSTOPSIG(status), status >> 16)

    def _resume(self, tid: int, signo: int, event: int) -> None:
        if event == PTRACE_EVENT_STOP and signo in STOP_SIGNALS:
            ptrace(PTRACE_LISTEN, tid)  # stays stopped until SIGCONT
            return
        if event == PTRACE_EVENT_SECCOMP:
            self._consult(tid)
        ptrace(PTRACE_CONT, tid, 0 if event else signo)

    def _consult(self, tid: int) -> None:
        registers = Registers()
        ptrace(PTRACE_GETREGS, tid, ctypes.addressof(registers))
        args = tuple(getattr(registers, name) for name in ("rdi", "rsi", "rdx", "r10", "r8", "r9"))
        value = self._standin.answer(tid, registers.orig_rax & 0xFFFFFFFF, args)
        if value is not None:
            registers.orig_rax = NO_CALL
            registers.rax = value & NO_CALL
            ptrace(PTRACE_SETREGS, tid, ctypes.addressof(registers))


def is_group_stop(status: int) -> bool:
    """Return True if this stop of a traced task comes from job control rather than from ptrace."""
    return status >> 16 == PTRACE_EVENT_STOP and os.WSTOPSIG(status) in STOP_SIGNALS
