"""Leaves the network or the mounts of this host for a namespace of the process's own."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nono.kernel.libc import os_error
from nono.kernel.uapi import process as uapi


def leave_network() -> bool:
    """Move this process, for ever, to a network namespace of its own whose loopback is up.

    True when that took a user namespace of its own as well, which is what anybody without CAP_SYS_ADMIN needs
    (user_namespaces(7)). Uid and gid are the same in there, files of others seem to be owned by the overflow
    ids, and setgroups(2) is denied. The process then has every capability over both: drop them.
    Only with a single thread, and dumpable. OSError says which step was refused; the process may have moved
    by then.
    """
    return _leave(uapi.CLONE_NEWNET, "CLONE_NEWNET", _raise_loopback)


def leave_mounts() -> bool:
    """Move this process, for ever, to a mount namespace of its own: what is mounted there shows there alone.

    Returns and needs what leave_network does. Descriptors, and the working directory until it is changed, are
    still of the mounts outside.
    """
    # Imported here, since hardly any run has one.
    from nono.kernel import mounts

    return _leave(uapi.CLONE_NEWNS, "CLONE_NEWNS", mounts.make_all_private)


def _leave(flag: int, name: str, settle: Callable[[], None]) -> bool:
    """settle is a first use: a distribution that restricts unprivileged user namespaces may let unshare(2)
    succeed and withhold the capabilities.
    """
    try:
        # Where it is allowed, as to root: a command of root keeps its view of owners and can change ids, as
        # package managers do, and nothing depends on user namespaces being allowed.
        with _trying(f"unshare({name})"):
            os.unshare(flag)
        settle()
    except PermissionError:
        uid, gid = os.geteuid(), os.getegid()
        with _trying(f"unshare(CLONE_NEWUSER | {name})"):
            os.unshare(uapi.CLONE_NEWUSER | flag)
        settle()
        _map_onto_themselves(uid, gid)
        return True
    return False


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as control:
        request = bytearray(uapi.IFREQ_FLAGS.pack(b"lo", 0))
        with _trying("ioctl(SIOCGIFFLAGS)"):
            fcntl.ioctl(control, uapi.SIOCGIFFLAGS, request, True)
        _, flags = uapi.IFREQ_FLAGS.unpack(request)
        with _trying("ioctl(SIOCSIFFLAGS)"):
            fcntl.ioctl(control, uapi.SIOCSIFFLAGS, uapi.IFREQ_FLAGS.pack(b"lo", flags | uapi.IFF_UP))


def _map_onto_themselves(uid: int, gid: int) -> None:
    """The one mapping that needs no privilege outside; of the gid only once setgroups(2) is denied."""
    for name, line in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with _trying(f"write to /proc/self/{name}"), open(f"/proc/self/{name}", "wb", buffering=0) as file:
            file.write(line.encode("ascii"))


@contextmanager
def _trying(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise os_error(error.errno or 0, what) from error
