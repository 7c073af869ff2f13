"""Leaves the network of this host for a namespace in which there is loopback and nothing else."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from nono.kernel import uapi_process as uapi
from nono.kernel.libc import os_error


def leave_network() -> bool:
    """Move this process, for ever, to a network namespace of its own whose loopback is up.

    True when that took a user namespace of its own as well, which is what anybody without CAP_SYS_ADMIN needs
    (user_namespaces(7)). Uid and gid are the same in there, files of others seem to be owned by the overflow
    ids, and setgroups(2) is denied. The process then has every capability over both: drop them.
    Only with a single thread, and dumpable. OSError says which step was refused; the process may have moved
    by then.
    """
    try:
        # Where it is allowed, as to root: a command of root keeps its view of owners and can change ids, as
        # package managers do, and nothing depends on user namespaces being allowed.
        _leave(uapi.CLONE_NEWNET, "unshare(CLONE_NEWNET)")
    except PermissionError:
        uid, gid = os.geteuid(), os.getegid()
        _leave(uapi.CLONE_NEWUSER | uapi.CLONE_NEWNET, "unshare(CLONE_NEWUSER | CLONE_NEWNET)")
        _map_onto_themselves(uid, gid)
        return True
    return False


def _leave(flags: int, name: str) -> None:
    """Raising the interface belongs to it: a distribution that restricts unprivileged user namespaces may let
    unshare(2) succeed and withhold the capabilities.
    """
    with _trying(name):
        os.unshare(flags)
    _raise_loopback()


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
