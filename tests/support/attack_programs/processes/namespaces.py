"""Try to get from this network namespace to that of the parent, or to change this one.

namespaces TCP_PORT: a port of loopback outside, to connect to after each attempt. Root runs this on the host
as a control, and a sandbox may have a hole, so each attempt sets what is set already. The only question is
whether it was allowed.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import struct
import sys
from contextlib import suppress

from support.attack_programs.outcome import Attempt, outcome, report

# <linux/sockios.h>, <linux/nsfs.h>
SIOCGIFFLAGS, SIOCSIFFLAGS, SIOCSIFADDR, SIOCBRDELBR = 0x8913, 0x8914, 0x8916, 0x89A1
IFF_UP = 1
IFREQ_FLAGS = struct.Struct("16sH22x")
NS_GET_PARENT = 0xB702


def open_of(pid: int) -> Attempt:
    return lambda: os.close(os.open(f"/proc/{pid}/ns/net", os.O_RDONLY))


def join_file(pid: int) -> Attempt:
    def attempt() -> None:
        namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
        os.setns(namespace, os.CLONE_NEWNET)

    return attempt


def join_pidfd(pid: int) -> Attempt:
    return lambda: os.setns(os.pidfd_open(pid), os.CLONE_NEWNET)


def join_owner() -> None:
    """Join the user namespace above ours, where one would have to be privileged."""
    parent = fcntl.ioctl(os.open("/proc/self/ns/user", os.O_RDONLY), NS_GET_PARENT)
    os.setns(parent, os.CLONE_NEWUSER)


def set_flags() -> None:
    """Set the flags to their present value."""
    request = bytearray(IFREQ_FLAGS.pack(b"lo", 0))
    with socket.socket() as control:
        fcntl.ioctl(control, SIOCGIFFLAGS, request, True)
        fcntl.ioctl(control, SIOCSIFFLAGS, bytes(request))


def set_address() -> None:
    """Set the address to its present value."""
    address = struct.pack("=H2x4s", socket.AF_INET, socket.inet_aton("127.0.0.1"))
    configure(SIOCSIFADDR, struct.pack("16s24s", b"lo", address))


def remove_bridge() -> None:
    """Remove a missing bridge: ENXIO where that is allowed, ENOPKG where the kernel has no bridges."""
    configure(SIOCBRDELBR, b"br-of-no-name\0\0\0")


def configure(request: int, argument: bytes) -> None:
    with socket.socket() as control:
        fcntl.ioctl(control, request, argument)


def make_netlink() -> None:
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).close()


def in_new_user_namespace(attempt: Attempt) -> Attempt:
    """Run the attempt with every capability over a namespace below ours."""

    def nested() -> None:
        os.unshare(os.CLONE_NEWUSER)
        attempt()

    return nested


def in_new_network() -> None:
    os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNET)
    with suppress(OSError):
        configure(SIOCSIFFLAGS, IFREQ_FLAGS.pack(b"lo", IFF_UP))


def and_connect(attempt: Attempt, port: int) -> dict[str, str]:
    """Return, from a child, the outcome of the attempt and of a connection made after it."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            tried = outcome(attempt)
            reached = outcome(lambda: socket.create_connection(("127.0.0.1", port), 5).close())
            os.write(writing, json.dumps({"attempt": tried, "connect": reached}).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as said:
        outcomes: dict[str, str] = json.load(said)
    os.waitpid(child, 0)
    return outcomes


def main(port: int) -> None:
    parent = os.getppid()
    attempts: dict[str, Attempt] = {
        "nothing": lambda: None,
        "open the parent's": open_of(parent),
        "join the parent's": join_file(parent),
        "join process 1's": join_file(1),
        "join by pidfd": join_pidfd(parent),
        "join the owner": join_owner,
        "netlink": make_netlink,
        "flags": set_flags,
        "address": set_address,
        "a bridge": remove_bridge,
    }
    attempts |= {f"{name}, nested": in_new_user_namespace(attempts[name]) for name in [*attempts]}
    attempts["a new network"] = in_new_network
    with open("/proc/self/status", encoding="ascii") as status:
        capabilities = {line.split()[0].rstrip(":"): line.split()[1] for line in status if "Cap" in line[:3]}
    report(
        {
            "network": os.readlink("/proc/self/ns/net"),
            "capabilities": capabilities,
            "attempts": {name: and_connect(attempt, port) for name, attempt in attempts.items()},
        }
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
