"""Build seccomp programs from their rules with libseccomp.

A run imports this only if no frozen program ships for its machine (nono.kernel.filters).
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
from typing import Any

from nono.kernel.filters.bpf import LEGACY
from nono.kernel.filters.rules import NotNull, Program
from nono.kernel.uapi.seccomp import AUDIT_ARCH, SECCOMP_RET_ALLOW, SYSCALL_NUMBERS

LIBRARY = "libseccomp.so.2"
NOT_INSTALLED = "libseccomp is not installed (Debian, Ubuntu: apt install libseccomp2)"
_BINARY_TREE = 2  # SCMP_FLTATR_CTL_OPTIMIZE: find system calls by a binary search, not one by one
_API_LEVEL = 7  # the kernel features libseccomp may assume; otherwise it asks the kernel we build on


def build(program: Program, machine: str) -> bytes:
    """Return the BPF of a program for a machine, which need not be this one.

    Raises KeyError if nono does not know the machine, ImportError if pyseccomp or libseccomp is not
    installed, OSError if libseccomp rejected a rule.
    """
    audit_arch = AUDIT_ARCH[machine]
    pyseccomp = _pyseccomp()
    pyseccomp.set_api(_API_LEVEL)
    default, matched = SECCOMP_RET_ALLOW, program.refusal
    if program.allows:
        default, matched = matched, default
    syscalls = pyseccomp.SyscallFilter(default)
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
        syscalls.add_rule_exactly(matched, rule.syscall, *comparisons)
    # In memory: a file in TMPDIR would lie where the command of another run may write.
    with open(os.memfd_create("seccomp program"), "w+b") as exported:
        syscalls.export_bpf(exported)
        exported.seek(0)
        return exported.read()


def libseccomp_version() -> str:
    """Return the version of the library that build uses, e.g. "2.6.0" (seccomp_version(3)).

    Raises ImportError if it is not installed.
    """

    class Version(ctypes.Structure):
        _fields_ = (("major", ctypes.c_uint), ("minor", ctypes.c_uint), ("micro", ctypes.c_uint))

    function = _pyseccomp()._libseccomp.seccomp_version
    function.restype = ctypes.POINTER(Version)
    version = function().contents
    return f"{version.major}.{version.minor}.{version.micro}"


def _pyseccomp() -> Any:
    """Import pyseccomp. Raises ImportError if it or libseccomp is not installed.

    It finds its library through ctypes.util.find_library, which starts ldconfig and then the first compiler
    on PATH, where a command may have planted one. The dynamic linker finds the library by its name instead.
    """
    find_library = ctypes.util.find_library
    ctypes.util.find_library = lambda name: LIBRARY if name == "seccomp" else None
    try:
        import pyseccomp
    except OSError as error:
        raise ImportError(NOT_INSTALLED) from error
    finally:
        ctypes.util.find_library = find_library
    return pyseccomp


def _comparison(pyseccomp: Any, comparison: Any) -> Any:
    if isinstance(comparison, NotNull):
        return pyseccomp.Arg(comparison.argument, pyseccomp.NE, 0)
    return pyseccomp.Arg(comparison.argument, pyseccomp.MASKED_EQ, comparison.mask, comparison.value)
