"""Runs a command where something else holds it already: AppArmor's restriction, a container, a covered /proc.

python tests/support/confined KIND CMD...

apparmor    Ubuntu's restriction of unprivileged user namespaces: unshare(2) succeeds, without capabilities.
container   Docker's and Podman's defaults: their seccomp profile, capabilities and covered files.
covered     Files of /proc are covered and nothing else: no procfs can be mounted in a user namespace.

The kernel refuses a procfs of its own accord (mount_too_revealing in fs/namespace.c); what AppArmor would
refuse is refused by a filter, to root as well. It runs before the user is changed to (`stage` of a run).
"""

from __future__ import annotations

import errno
import os
import platform
import sys
from contextlib import suppress
from pathlib import Path
from struct import pack

# If it is isolated or run by its path, it is not found in a package.
sys.path.append(str(Path(__file__).resolve().parents[2]))

from support.kernelsim import calls
from support.kernelsim.filter import (
    ARCHITECTURES,
    JEQ_K,
    JSET_K,
    LD_W_ABS,
    OFFSET_ARCH,
    OFFSET_ARG0,
    OFFSET_NR,
    RET_ALLOW,
    RET_ERRNO,
    RET_K,
)
from support.kernelsim.wsl2 import enter_private_mounts

RESTRICTION = "kernel/apparmor_restrict_unprivileged_userns"
PR_CAPBSET_DROP = 24
CAPABILITY_MAX = 63
# CHOWN to SETPCAP, NET_BIND_SERVICE, NET_RAW, SYS_CHROOT, MKNOD, AUDIT_WRITE, SETFCAP (linux/capability.h)
CAPABILITIES_OF_CONTAINERS = frozenset({0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31})
CLONE_NEW_ANY = 0x7E020000
COVERED = ("kcore", "keys", "timer_list", "sched_debug", "sysrq-trigger")

# asm/unistd_64.h of x86-64 and asm-generic/unistd.h; those since pidfd_send_signal have one number.
MOUNT_CALLS = {
    "x86_64": (165, 166, 155),  # mount, umount2, pivot_root
    "aarch64": (40, 39, 41),
}
# open_tree, move_mount, fsopen, fsconfig, fsmount, fspick, mount_setattr
NEW_MOUNT_CALLS = (428, 429, 430, 431, 432, 433, 442)
# Refused by moby's default.json without further capabilities.
CONTAINER_CALLS = {
    # setns, add_key, request_key, keyctl, bpf, perf_event_open, userfaultfd, kcmp, open_by_handle_at,
    # kexec_load, init_module, finit_module, delete_module, reboot, swapon, acct, quotactl, settimeofday
    "x86_64": (308, 248, 249, 250, 321, 298, 323, 312, 304, 246, 175, 313, 176, 169, 167, 163, 179, 164),
    "aarch64": (268, 217, 218, 219, 280, 241, 282, 272, 265, 104, 105, 273, 106, 142, 224, 89, 60, 170),
}
# io_uring_setup, io_uring_enter, io_uring_register, pidfd_getfd, process_madvise
NEW_CONTAINER_CALLS = (425, 426, 427, 438, 440)


def refusing(numbers: dict[int, int], *, namespaces: bool = False) -> bytes:
    """Return the program that refuses calls, each with an errno; with `namespaces`, every CLONE_NEW* too."""
    machine = platform.machine()
    known = ARCHITECTURES[machine]
    program = [
        (LD_W_ABS, 0, 0, OFFSET_ARCH),
        (JEQ_K, 1, 0, known.audit_arch),
        (RET_K, 0, 0, RET_ALLOW),
        (LD_W_ABS, 0, 0, OFFSET_NR),
    ]
    if namespaces:
        numbers = {**numbers, known.numbers["clone3"]: errno.ENOSYS}
    for number, answer in numbers.items():
        program += [(JEQ_K, 0, 1, number), (RET_K, 0, 0, RET_ERRNO | answer)]
    for name in ("unshare", "clone") if namespaces else ():
        program += [
            (JEQ_K, 0, 4, known.numbers[name]),
            (LD_W_ABS, 0, 0, OFFSET_ARG0),
            (JSET_K, 0, 1, CLONE_NEW_ANY),
            (RET_K, 0, 0, RET_ERRNO | errno.EPERM),
            (RET_K, 0, 0, RET_ALLOW),
        ]
    program.append((RET_K, 0, 0, RET_ALLOW))
    return b"".join(pack("=HBBI", *instruction) for instruction in program)


def apparmor() -> None:
    _set_restriction()
    # AppArmor's own hook answers EACCES; a missing capability gives EPERM.
    old = dict.fromkeys(MOUNT_CALLS[platform.machine()], errno.EACCES)
    calls.install_filter(refusing(old | dict.fromkeys(NEW_MOUNT_CALLS, errno.EPERM)))


def _set_restriction() -> None:
    """Replace /proc/sys/kernel with a directory that has the same entries, and the setting."""
    directory, stage = Path("/proc/sys/kernel"), Path("/tmp")
    calls.mount("confined", str(stage), "tmpfs", 0, "mode=755")
    rebuilt = stage / "kernel"
    rebuilt.mkdir()
    for entry in directory.iterdir():
        if entry.name == Path(RESTRICTION).name:
            continue
        copy = rebuilt / entry.name
        copy.mkdir() if entry.is_dir() else copy.touch()
        calls.mount(str(entry), str(copy), None, calls.MS_BIND | calls.MS_REC)
    (rebuilt / Path(RESTRICTION).name).write_text("1\n")
    calls.mount(str(rebuilt), str(directory), None, calls.MS_BIND | calls.MS_REC)
    calls.unmount(str(stage))


def container() -> None:
    calls.mount("confined", "/run", "tmpfs", 0, "mode=755")
    Path("/run/.containerenv").touch()
    covered()
    machine = platform.machine()
    numbers = (*MOUNT_CALLS[machine], *NEW_MOUNT_CALLS, *CONTAINER_CALLS[machine], *NEW_CONTAINER_CALLS)
    calls.install_filter(refusing(dict.fromkeys(numbers, errno.EPERM), namespaces=True))
    for capability in range(CAPABILITY_MAX + 1):
        if capability not in CAPABILITIES_OF_CONTAINERS:
            with suppress(OSError):  # a number that the kernel does not know, or a user without capabilities
                calls.prctl(PR_CAPBSET_DROP, capability)


def covered() -> None:
    for name in COVERED:
        if os.path.exists(path := f"/proc/{name}"):
            calls.mount(os.devnull, path, None, calls.MS_BIND)


if __name__ == "__main__":
    enter_private_mounts()
    {"apparmor": apparmor, "container": container, "covered": covered}[sys.argv[1]]()
    os.execvp(sys.argv[2], sys.argv[2:])
