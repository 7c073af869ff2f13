"""Do what engines of containers do to a command: namespaces, covered files, capabilities, a seccomp program.

Sources: moby's oci/defaults.go and caps/defaults.go. support.confined.freeze makes the programs.
"""

from __future__ import annotations

import fcntl
import os
import platform
import signal
import socket
import struct
from contextlib import suppress
from pathlib import Path

from support.kernelsim import calls

PR_CAPBSET_DROP = 24
CAPABILITY_MAX = 63
# CHOWN to SETPCAP, NET_BIND_SERVICE, NET_RAW, SYS_CHROOT, MKNOD, AUDIT_WRITE, SETFCAP (linux/capability.h)
CAPABILITIES = frozenset({0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31})
COVERED = (
    *("/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats"),
    *("/proc/sched_debug", "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/scsi"),
    *("/sys/firmware", "/sys/devices/virtual/powercap"),
)
READ_ONLY = tuple(f"/proc/{name}" for name in ("bus", "fs", "irq", "sys", "sysrq-trigger"))
PROCESSES = os.CLONE_NEWNS | os.CLONE_NEWPID | os.CLONE_NEWIPC | os.CLONE_NEWCGROUP
NAMESPACES = PROCESSES | os.CLONE_NEWUTS | os.CLONE_NEWNET
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
SIOCSIFFLAGS, IFF_UP = 0x8914, 1


def enter() -> None:
    """Go on as the child of process 1 of new namespaces; who called ends as the child does.

    OSError EPERM: neither root nor user namespaces. An ordinary user keeps its id in a user namespace.
    """
    uid, gid = os.geteuid(), os.getegid()
    if uid:
        os.unshare(os.CLONE_NEWUSER)
        maps = (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1"))
        for name, text in maps:
            Path("/proc/self", name).write_text(text, encoding="ascii")
    os.unshare(NAMESPACES)
    _become_first()
    calls.mount("none", "/", None, calls.MS_REC | calls.MS_PRIVATE)
    calls.mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    calls.mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620")
    calls.mount("/dev/pts/ptmx", "/dev/ptmx", None, calls.MS_BIND)
    calls.mount("shm", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=1777")
    calls.mount("sysfs", "/sys", "sysfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)
    with suppress(OSError):  # a kernel without it
        calls.mount("cgroup", "/sys/fs/cgroup", "cgroup2", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
    _follow(os.fork())


def _become_first() -> None:
    """Fork process 1, which ends with this one; this one ends as it does."""
    first = os.fork()
    if first == 0:
        calls.prctl(calls.PR_SET_PDEATHSIG, signal.SIGKILL)
        return
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)  # the terminal's, which the child has too
    _, status = os.waitpid(first, 0)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def _follow(child: int) -> None:
    """Be the init of `child`, as with `docker run --init`: reap everyone, and end when it does."""
    if child == 0:
        return
    while True:
        pid, status = os.wait()
        if pid == child:
            os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def cover() -> None:
    """Cover and protect what engines do, and leave the file by which Podman's containers are known."""
    calls.mount("confined", "/run", "tmpfs", 0, "mode=755")
    Path("/run/.containerenv").touch()
    cover_files()
    for path in filter(os.path.exists, READ_ONLY):
        calls.mount(path, path, None, calls.MS_BIND | calls.MS_REC)
        flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY
        calls.mount("none", path, None, calls.MS_BIND | MS_REMOUNT | flags)


def cover_files() -> None:
    for path in filter(os.path.exists, COVERED):
        if os.path.isdir(path):
            calls.mount("confined", path, "tmpfs", MS_RDONLY)
        else:
            calls.mount(os.devnull, path, None, calls.MS_BIND)


def confine(engine: str) -> None:
    """Install the engine's seccomp program, and drop the capabilities that a container does not have."""
    program = Path(__file__).parent / "programs" / f"{engine}.{platform.machine()}.bpf"
    calls.install_filter(program.read_bytes())
    for capability in range(CAPABILITY_MAX + 1):
        if capability not in CAPABILITIES:
            with suppress(OSError):  # a number that the kernel does not know, or a user without capabilities
                calls.prctl(PR_CAPBSET_DROP, capability)
