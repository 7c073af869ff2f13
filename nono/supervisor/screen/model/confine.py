"""Confine this process to one descriptor and a bounded amount of memory."""

from __future__ import annotations

import os
import resource
import signal

from nono.kernel import filters, landlock, landlock_rights, process, seccomp

MEMORY_BYTES_MAX = 1 << 28  # of address space, including Python and its libraries
NICER_BY = 10  # following the screen must not slow the supervisor; less than for the command
FILTER = "compute"


def confine(connection: int) -> None:
    """Keep only the connection and memory. Raises OSError or SandboxError if the kernel cannot enforce that.

    Everything must be imported and loaded before.
    """
    os.nice(NICER_BY)
    process.set_parent_death_signal(signal.SIGKILL)
    process.set_dumpable(False)
    process.close_range_from(0, keep={connection})
    process.forbid_core_dumps()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    program = filters.load(FILTER)
    _deny_files()
    seccomp.install_filter(program)


def _deny_files() -> None:
    """Grant no file access with Landlock, if available; the seccomp filter refuses it as well."""
    abi = landlock.abi_version()
    if not abi:
        return
    handled = (landlock_rights.HANDLED_FS, landlock_rights.HANDLED_NET, landlock_rights.SCOPES)
    ruleset = landlock.create_ruleset(*(masks[abi] for masks in handled))
    landlock.restrict_self(ruleset, landlock_rights.RESTRICT_FLAGS[abi])
    os.close(ruleset)
