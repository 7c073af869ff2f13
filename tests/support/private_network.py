"""Give the calling thread and all it starts a network namespace with addresses that no test may reach."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager

from support.running.pace import PACE

PRIVATE_ADDRESS = "10.9.8.7"
METADATA_ADDRESS = "169.254.169.254"
METADATA_ADDRESS6 = "fd00:ec2::254"
AZURE_WIRE_ADDRESS = "168.63.129.16"

# <linux/sockios.h>
SIOCSIFADDR = 0x8916
SIOCSIFFLAGS = 0x8914
IFF_UP = 1
IFA_F_TENTATIVE = 0x40  # <linux/if_addr.h>
LIMIT_S = 10.0 * PACE
CAP_SYS_ADMIN = 21  # <linux/capability.h>


def _request(name: str, rest: bytes) -> bytes:
    return struct.pack("16s24s", name.encode(), rest)


def _add_address(control: socket.socket, alias: str, address: str) -> None:
    sockaddr = struct.pack("=H2x4s", socket.AF_INET, socket.inet_aton(address))
    fcntl.ioctl(control, SIOCSIFADDR, _request(alias, sockaddr))


def _add_address6(address: str) -> None:
    """Add an address, and return when it can be used: until then the kernel has yet to clear a flag."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as control:
        # struct in6_ifreq (<linux/ipv6.h>): address, length of the prefix, index of the interface
        index = socket.if_nametoindex("lo")
        fcntl.ioctl(
            control,
            SIOCSIFADDR,
            struct.pack("@16sIi", socket.inet_pton(socket.AF_INET6, address), 128, index),
        )
    deadline = time.monotonic() + LIMIT_S
    while not _is_usable(socket.inet_pton(socket.AF_INET6, address).hex()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{address} stays tentative")
        time.sleep(0.001)


def _is_usable(digits: str) -> bool:
    """Return True if /proc/net/if_inet6 lists the address and it is no longer tentative."""
    with open("/proc/thread-self/net/if_inet6", encoding="ascii") as table:
        rows = [line.split() for line in table]
    return any(row[0] == digits and not int(row[4], 16) & IFA_F_TENTATIVE for row in rows)


def can_be_made() -> bool:
    """Return True if this thread has the capability (proc_pid_status(5)): it keeps its user namespace."""
    with open("/proc/thread-self/status", encoding="ascii") as status:
        effective = next(int(line.split()[1], 16) for line in status if line.startswith("CapEff"))
    return bool(effective >> CAP_SYS_ADMIN & 1)


@contextmanager
def private_network() -> Iterator[bool]:
    """Yield True in a namespace whose loopback has the addresses above.

    Only yield False without root, and where root has not the capability, as in a container.

    Sockets created in the block stay in the namespace wherever they are used.
    """
    if not can_be_made():
        yield False
        return
    outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.unshare(os.CLONE_NEWNET)
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
                fcntl.ioctl(control, SIOCSIFFLAGS, _request("lo", struct.pack("@h", IFF_UP)))
                for number, address in enumerate((PRIVATE_ADDRESS, METADATA_ADDRESS, AZURE_WIRE_ADDRESS)):
                    _add_address(control, f"lo:{number}", address)
            _add_address6(METADATA_ADDRESS6)
            yield True
        finally:
            os.setns(outside, os.CLONE_NEWNET)
    finally:
        os.close(outside)
