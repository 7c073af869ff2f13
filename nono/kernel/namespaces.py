"""Tries, in a child made for it, whether a private network namespace can be had without privilege."""

from __future__ import annotations

import fcntl
import os
import socket

from nono.kernel import uapi_process as uapi


def user_and_network_namespace_works() -> bool:
    """Whether this process can leave for namespaces of its own and raise the loopback interface there.

    It cannot come back: call this in a forked, single-threaded child that only reports and exits. Raising
    the interface belongs to the question, since distributions that restrict unprivileged user namespaces
    let unshare(2) succeed and withhold the capabilities.
    """
    try:
        os.unshare(uapi.CLONE_NEWUSER | uapi.CLONE_NEWNET)
        _raise_loopback()
    except OSError:
        return False
    return True


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as control:
        request = bytearray(uapi.IFREQ_FLAGS.pack(b"lo", 0))
        fcntl.ioctl(control, uapi.SIOCGIFFLAGS, request, True)
        _, flags = uapi.IFREQ_FLAGS.unpack(request)
        fcntl.ioctl(control, uapi.SIOCSIFFLAGS, uapi.IFREQ_FLAGS.pack(b"lo", flags | uapi.IFF_UP))
