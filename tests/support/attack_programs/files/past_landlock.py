"""Make the calls that Landlock does not check and that reach more than the files of this process.

Each ioctl(2) has a null pointer for its argument, so the kernel looks at the request and changes nothing.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
from contextlib import suppress

from support.attack_programs.outcome import Attempt, report_all, syscall

REQUESTS = {
    "BTRFS_IOC_SNAP_CREATE": 0x50009401,
    "BTRFS_IOC_SUBVOL_CREATE": 0x5000940E,
    "BTRFS_IOC_SNAP_DESTROY": 0x5000940F,
    "BTRFS_IOC_SNAP_CREATE_V2": 0x50009417,
    "BTRFS_IOC_SUBVOL_CREATE_V2": 0x50009418,
    "BTRFS_IOC_SUBVOL_SETFLAGS": 0x4008941A,
    "BTRFS_IOC_SNAP_DESTROY_V2": 0x5000943F,
    "BCH_IOCTL_SUBVOLUME_CREATE": 0x4020BC10,
    "BCH_IOCTL_SUBVOLUME_DESTROY": 0x4020BC11,
    "OCFS2_IOC_REFLINK": 0x40186F04,
    "FS_IOC_ENABLE_VERITY": 0x40806685,
    "FS_IOC_SET_ENCRYPTION_POLICY": 0x800C6613,
    "FS_IOC_ADD_ENCRYPTION_KEY": 0xC0506617,
    "FS_IOC_REMOVE_ENCRYPTION_KEY": 0xC0406618,
}
HIGH_BITS = 1 << 32
AT_EMPTY_PATH = 0x1000
FD_NSFS_ROOT = -10003  # <linux/fcntl.h>, 6.18
NS_GET_USERNS, NS_MNT_GET_NEXT = 0xB701, 0x8010B70B  # <linux/nsfs.h>
PERF_TYPE_SOFTWARE = 1
PERF_FLAG_PID_CGROUP = 4

_directory = os.open(".", os.O_RDONLY | os.O_DIRECTORY)


def ask(request: int) -> Attempt:
    return lambda: syscall("ioctl", _directory, request, 0)


def open_own_namespace() -> None:
    """Open this process's own mount namespace by its handle."""
    namespace = os.open("/proc/self/ns/mnt", os.O_RDONLY)
    handle = ctypes.create_string_buffer(struct.pack("=Ii", 16, 0) + bytes(16))
    mount_id = ctypes.c_int()
    addresses = [ctypes.addressof(each) for each in (handle, mount_id)]
    empty = ctypes.create_string_buffer(b"")
    try:
        syscall("name_to_handle_at", namespace, ctypes.addressof(empty), *addresses, AT_EMPTY_PATH)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:  # before Linux 6.18; the other call is tried all the same
            raise
    os.close(syscall("open_by_handle_at", FD_NSFS_ROOT, addresses[0], os.O_RDONLY))


def enter_next_namespace() -> None:
    """Enter the user namespace of another program; where the kernel hands out none, this process's own."""
    entered = os.open("/proc/self/ns/user", os.O_RDONLY)
    with suppress(OSError):  # before Linux 6.12; later ones want rights over the whole machine for it
        mounts = os.open("/proc/self/ns/mnt", os.O_RDONLY)
        entered = fcntl.ioctl(fcntl.ioctl(mounts, NS_MNT_GET_NEXT, 0), NS_GET_USERNS)
    os.setns(entered, os.CLONE_NEWUSER)


def count_clock(pid: int, cpu: int, flags: int = 0) -> None:
    attributes = ctypes.create_string_buffer(struct.pack("=IIQQ", PERF_TYPE_SOFTWARE, 128, 0, 0), 128)
    # Flags of the second word: disabled, exclude_kernel, exclude_hv.
    struct.pack_into("=Q", attributes, 40, 1 | 1 << 5 | 1 << 6)
    os.close(syscall("perf_event_open", ctypes.addressof(attributes), pid, cpu, -1, flags))


report_all(
    {
        **{name: ask(request) for name, request in REQUESTS.items()},
        "FS_IOC_ENABLE_VERITY, high bits": ask(REQUESTS["FS_IOC_ENABLE_VERITY"] | HIGH_BITS),
        "open_by_handle_at": open_own_namespace,
        "setns": enter_next_namespace,
        "perf_event_open of a CPU": lambda: count_clock(-1, 0),
        "perf_event_open of a CPU, high bits": lambda: count_clock(0xFFFFFFFF, 0),
        "perf_event_open of a cgroup": lambda: count_clock(_directory, 0, PERF_FLAG_PID_CGROUP),
        "perf_event_open of itself": lambda: count_clock(0, -1),
        "FS_IOC_GETFLAGS": lambda: fcntl.ioctl(_directory, 0x80086601, bytes(8)),
    }
)
