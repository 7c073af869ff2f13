"""Builds the frozen seccomp programs from their rules, with libseccomp; ``python -m`` this to refreeze them.

Nothing that runs a command imports this module. Freezing also writes the version of libseccomp beside the
programs: another version may order the same decisions differently.
"""

from __future__ import annotations

import ctypes
import os
import tempfile
from typing import Any

from nono.kernel.bpf import LEGACY, PROGRAMS, NotNull, Program
from nono.kernel.filters import DIRECTORY, MACHINES
from nono.kernel.uapi_seccomp import AUDIT_ARCH, SECCOMP_RET_ALLOW, SYSCALL_NUMBERS

VERSION_FILE = os.path.join(DIRECTORY, "libseccomp.version")
_BINARY_TREE = 2  # SCMP_FLTATR_CTL_OPTIMIZE: search the system calls instead of trying one after another
_API_LEVEL = 7  # what libseccomp may assume of the kernel; it would ask the one we build on


def build(program: Program, machine: str) -> bytes:
    """The BPF of a program for a machine, which need not be this one. KeyError: machine is not known here.

    ImportError, RuntimeError: pyseccomp or libseccomp is not installed. OSError: a rule was not taken.
    """
    import pyseccomp  # late: it starts processes to find its library

    pyseccomp.set_api(_API_LEVEL)
    audit_arch = AUDIT_ARCH[machine]
    syscalls = pyseccomp.SyscallFilter(SECCOMP_RET_ALLOW)
    if audit_arch != pyseccomp.system_arch():
        syscalls.remove_arch(pyseccomp.system_arch())
        syscalls.add_arch(audit_arch)
    foreign = SECCOMP_RET_ALLOW if program.passes_foreign else program.refusal
    syscalls.set_attr(pyseccomp.Attr.ACT_BADARCH, foreign)
    syscalls.set_attr(pyseccomp.Attr.CTL_OPTIMIZE, _BINARY_TREE)
    for rule in program.rules:
        if rule.syscall in LEGACY and rule.syscall not in SYSCALL_NUMBERS[machine]:
            continue
        comparisons = [_comparison(pyseccomp, comparison) for comparison in rule.comparisons]
        # "Exactly": libseccomp may otherwise weaken a rule that the machine cannot express.
        syscalls.add_rule_exactly(program.refusal, rule.syscall, *comparisons)
    with tempfile.TemporaryFile() as exported:
        syscalls.export_bpf(exported)
        exported.seek(0)
        return exported.read()


def libseccomp_version() -> str:
    """The version of the library that build uses, e.g. "2.6.0" (seccomp_version(3))."""
    import pyseccomp

    class Version(ctypes.Structure):
        _fields_ = (("major", ctypes.c_uint), ("minor", ctypes.c_uint), ("micro", ctypes.c_uint))

    function = pyseccomp._libseccomp.seccomp_version
    function.restype = ctypes.POINTER(Version)
    version = function().contents
    return f"{version.major}.{version.minor}.{version.micro}"


def freeze() -> None:
    """Writes every program for every machine where filters.load reads it."""
    for machine in MACHINES:
        os.makedirs(os.path.join(DIRECTORY, machine), exist_ok=True)
        for program in PROGRAMS:
            with open(os.path.join(DIRECTORY, machine, f"{program.name}.bpf"), "wb") as file:
                file.write(build(program, machine))
    with open(VERSION_FILE, "w", encoding="ascii") as file:
        file.write(libseccomp_version() + "\n")


def _comparison(pyseccomp: Any, comparison: Any) -> Any:
    if isinstance(comparison, NotNull):
        return pyseccomp.Arg(comparison.argument, pyseccomp.NE, 0)
    return pyseccomp.Arg(comparison.argument, pyseccomp.MASKED_EQ, comparison.mask, comparison.value)


if __name__ == "__main__":
    freeze()
