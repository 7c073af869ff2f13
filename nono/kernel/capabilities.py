"""Drop capabilities of the command: those that defeat a sandbox, or all of them (capabilities(7))."""

from __future__ import annotations

import ctypes
import errno
import struct
from collections.abc import Iterable

from nono.kernel.libc import prctl, syscall, syscall_number

PR_CAPBSET_DROP = 24  # <linux/prctl.h>
_LINUX_CAPABILITY_VERSION_3 = 0x20080522
_CAPABILITY_SETS = struct.Struct("=6I")  # effective, permitted, inheritable: low halves, then high halves
_CAPABILITIES_MAX = 64  # bits in a set

# <linux/capability.h>. Root's package managers and compilers keep the rest, which they use on their own
# files and processes: CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, NET_BIND_SERVICE ...
DANGEROUS = {
    2: "CAP_DAC_READ_SEARCH",  # open_by_handle_at(2) opens inodes that no path rule covers
    9: "CAP_LINUX_IMMUTABLE",  # file_setattr(2) takes a path, and Landlock does not check it
    12: "CAP_NET_ADMIN",  # addresses, routes and firewalls of the host
    13: "CAP_NET_RAW",
    16: "CAP_SYS_MODULE",
    17: "CAP_SYS_RAWIO",
    19: "CAP_SYS_PTRACE",  # memory and descriptors of the supervisor
    20: "CAP_SYS_PACCT",
    21: "CAP_SYS_ADMIN",  # mounts, namespaces, bpf(2) on kernels before 5.8
    22: "CAP_SYS_BOOT",
    25: "CAP_SYS_TIME",  # the clock of the machine: the times of the audit log, who is trusted over TLS
    26: "CAP_SYS_TTY_CONFIG",  # the keys of every console
    27: "CAP_MKNOD",  # a device node below a granted directory is the device
    30: "CAP_AUDIT_CONTROL",  # the rules of the kernel's audit
    32: "CAP_MAC_OVERRIDE",
    33: "CAP_MAC_ADMIN",
    34: "CAP_SYSLOG",
    35: "CAP_WAKE_ALARM",
    36: "CAP_BLOCK_SUSPEND",
    37: "CAP_AUDIT_READ",  # what other programs did
    38: "CAP_PERFMON",  # /proc/PID/maps and environ of others, whatever Landlock says about ptrace
    39: "CAP_BPF",
    40: "CAP_CHECKPOINT_RESTORE",
}


def drop_dangerous() -> None:
    """Remove DANGEROUS from every capability set of this process, so that the command lacks them.

    The bounding set matters for a command run by root. The other sets matter because execve adds the
    inheritable capabilities that the bounding set allows, and the ambient ones (capabilities(7)). Container
    engines before CVE-2022-24769 leave the inheritable set full; a unit's AmbientCapabilities= gives an
    ordinary user ambient ones.
    """
    try:  # noqa: SIM105 - a wrap imports no contextlib
        _drop_from_bounding_set(DANGEROUS)
    except PermissionError:
        pass  # without CAP_SETPCAP; execve then gives nothing from the bounding set
    _keep(~sum(1 << number for number in DANGEROUS))


def drop_all(*, but: Iterable[int] = ()) -> None:
    """Remove every capability from every set, so that execve grants none even to uid 0.

    Call this in a process that got them from its own user namespace: they hold over everything that namespace
    owns, its network included, and the command must have none of them.

    but: Kept, except in the bounding set.
    """
    _drop_from_bounding_set(range(_CAPABILITIES_MAX))
    _keep(sum(1 << number for number in but))


def drop_all_but(numbers: Iterable[int]) -> None:
    """Keep only these capabilities in the effective, permitted and inheritable sets.

    The bounding set is left alone, so call this only in a process that never calls execve.
    """
    _keep(sum(1 << number for number in numbers))


def _keep(kept_bits: int) -> None:
    """Clear all other bits in the effective, permitted and inheritable sets of this thread."""
    header = struct.pack("=Ii", _LINUX_CAPABILITY_VERSION_3, 0)  # pid 0: this thread
    data = ctypes.create_string_buffer(_CAPABILITY_SETS.size)
    buffer = ctypes.create_string_buffer(header, len(header))
    addresses = ctypes.addressof(buffer), ctypes.addressof(data)
    syscall(syscall_number("capget"), *addresses, tried="capget")
    keep = [kept_bits >> shift & 0xFFFFFFFF for shift in (0, 0, 0, 32, 32, 32)]
    held = _CAPABILITY_SETS.unpack(data.raw)
    kept = tuple(word & mask for word, mask in zip(held, keep, strict=True))
    if kept != held:
        # The kernel lowers the ambient set to what stays both permitted and inheritable.
        ctypes.memmove(data, _CAPABILITY_SETS.pack(*kept), _CAPABILITY_SETS.size)
        syscall(syscall_number("capset"), *addresses, tried="capset")


def _drop_from_bounding_set(numbers: Iterable[int]) -> None:
    for number in numbers:
        try:
            prctl(PR_CAPBSET_DROP, number, tried=f"prctl(PR_CAPBSET_DROP, {DANGEROUS.get(number, number)})")
        except OSError as error:
            if error.errno != errno.EINVAL:  # EINVAL: this kernel does not know the capability yet
                raise
