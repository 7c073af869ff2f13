"""Runs a command where something else holds it already: AppArmor's restriction, a container, a covered /proc.

python tests/support/confined [--whole] KIND CMD...

apparmor     Ubuntu's restriction of unprivileged user namespaces: unshare(2) succeeds, without capabilities.
container    Docker's defaults: its seccomp profile, capabilities, covered files, and no_new_privs.
podman       Podman's defaults: its seccomp profile, which lets user namespaces be made.
covered      Files of /proc are covered and nothing else: no procfs can be mounted in a user namespace.
no-userns    A seccomp filter refuses user namespaces.
notify-busy  A seccomp listener is installed already, as under WSL2's init.

--whole adds what a container has beside: namespaces, an init, /dev/pts and a read-only /sys of its own.

The kernel refuses a procfs of its own accord (mount_too_revealing in fs/namespace.c); what AppArmor would
refuse is refused by a filter, to root as well: mounts, names of the machine, interfaces of a network. It runs
before the user is changed to (`stage` of a run).
"""

from __future__ import annotations

import errno
import os
import platform
import sys
from pathlib import Path
from struct import pack

# If it is isolated or run by its path, it is not found in a package.
sys.path.append(str(Path(__file__).resolve().parents[2]))

from support.confined import engine
from support.kernelsim import calls
from support.kernelsim.filter import (
    ARCHITECTURES,
    JEQ_K,
    LD_W_ABS,
    OFFSET_ARCH,
    OFFSET_ARG0,
    OFFSET_NR,
    RET_ALLOW,
    RET_ERRNO,
    RET_K,
    RET_TRACE,
    outer_filter,
)
from support.kernelsim.wsl2 import enter_private_mounts

RESTRICTION = "kernel/apparmor_restrict_unprivileged_userns"

# asm/unistd_64.h of x86-64 and asm-generic/unistd.h; those since pidfd_send_signal have one number.
MOUNT_CALLS = {
    "x86_64": (165, 166, 155),  # mount, umount2, pivot_root
    "aarch64": (40, 39, 41),
}
NAME_CALLS = {"x86_64": (170, 171), "aarch64": (161, 162)}  # sethostname, setdomainname
IOCTL = {"x86_64": 16, "aarch64": 29}
SIOCSIFFLAGS = 0x8914  # without CAP_NET_ADMIN, no interface is raised
# open_tree, move_mount, fsopen, fsconfig, fsmount, fspick, mount_setattr
NEW_MOUNT_CALLS = (428, 429, 430, 431, 432, 433, 442)


def refusing(numbers: dict[int, int], second_arguments: dict[int, int]) -> bytes:
    """Return the program that refuses calls, each with an errno, and others by an argument, with EPERM."""
    program = [
        (LD_W_ABS, 0, 0, OFFSET_ARCH),
        (JEQ_K, 1, 0, ARCHITECTURES[platform.machine()].audit_arch),
        (RET_K, 0, 0, RET_ALLOW),
        (LD_W_ABS, 0, 0, OFFSET_NR),
    ]
    for number, answer in numbers.items():
        program += [(JEQ_K, 0, 1, number), (RET_K, 0, 0, RET_ERRNO | answer)]
    for number, argument in second_arguments.items():
        program += [
            (JEQ_K, 0, 3, number),
            (LD_W_ABS, 0, 0, OFFSET_ARG0 + 8),
            (JEQ_K, 0, 1, argument),
            (RET_K, 0, 0, RET_ERRNO | errno.EPERM),
        ]
    program.append((RET_K, 0, 0, RET_ALLOW))
    return b"".join(pack("=HBBI", *instruction) for instruction in program)


def apparmor() -> None:
    _set_restriction()
    # AppArmor's own hook answers EACCES; a missing capability gives EPERM.
    machine = platform.machine()
    numbers = dict.fromkeys(MOUNT_CALLS[machine], errno.EACCES)
    numbers |= dict.fromkeys((*NEW_MOUNT_CALLS, *NAME_CALLS[machine]), errno.EPERM)
    calls.install_filter(refusing(numbers, {IOCTL[machine]: SIOCSIFFLAGS}))


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
    engine.cover()
    engine.confine("docker")
    calls.prctl(calls.PR_SET_NO_NEW_PRIVS, 1)


def podman() -> None:
    engine.cover()
    engine.confine("podman")


def covered() -> None:
    engine.cover_files()


def no_userns() -> None:
    calls.install_filter(outer_filter(calls.architecture(), (), RET_TRACE, refuse_user_namespaces=True))


def notify_busy() -> None:
    """Keep the listener open beyond execve(2): the place is free again once nobody holds it."""
    program = outer_filter(calls.architecture(), (), RET_TRACE, refuse_user_namespaces=False)
    os.set_inheritable(calls.install_listener(program), True)


KINDS = {
    "apparmor": apparmor,
    "container": container,
    "podman": podman,
    "covered": covered,
    "no-userns": no_userns,
    "notify-busy": notify_busy,
}


def main(*arguments: str) -> None:
    is_whole = arguments[0] == "--whole"
    kind, *command = arguments[is_whole:]
    if is_whole and kind in ("container", "podman"):
        engine.enter()
    elif kind not in ("no-userns", "notify-busy"):
        enter_private_mounts()
    KINDS[kind]()
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
