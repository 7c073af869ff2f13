"""Try sockets and calls that bypass TCP: each family, each ring, and what root could do to the host.

With an argument, the last of these are left out: outside the sandbox they would succeed.
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys

from support.attack_programs.outcome import Attempt, report_all, syscall

FAMILIES = {
    "udp": (2, 2, 0),
    "udp6": (10, 2, 0),
    "udplite": (2, 2, 136),
    "icmp": (2, 2, 1),
    "icmp6": (10, 2, 58),
    "raw": (2, 3, 255),
    "mptcp": (2, 1, 262),
    "mptcp6": (10, 1, 262),
    "sctp": (2, 1, 132),
    "sctp seqpacket": (2, 5, 132),
    "dccp": (2, 6, 33),
    "smc": (43, 1, 0),
    "netlink": (16, 3, 16),
    "netlink audit": (16, 3, 9),
    "packet": (17, 3, 768),
    "bluetooth": (31, 3, 1),
    "vsock": (40, 1, 0),
    "alg": (38, 5, 0),
    "xdp": (44, 3, 0),
    "can": (29, 3, 1),
    "tipc": (30, 5, 0),
    "kcm": (41, 2, 0),
    "unix datagram": (1, 2, 0),
    "unix raw": (1, 3, 0),
    "udp with high bits": (2 | 1 << 40, 2 | 1 << 40, 0),
    "unspec": (0, 1, 0),
}
PERMITTED = {"tcp": (2, 1, 0), "tcp6": (10, 1, 6), "unix stream": (1, 1, 0), "unix seqpacket": (1, 5, 0)}


def make(family: int, kind: int, protocol: int) -> Attempt:
    return lambda: os.close(syscall("socket", family, kind, protocol))


def datagram_pair() -> None:
    for end in socket.socketpair(type=socket.SOCK_DGRAM):
        end.close()


def ring(name: str) -> Attempt:
    memory = ctypes.create_string_buffer(256)
    return lambda: os.close(syscall(name, 2 if name.endswith("setup") else 1, ctypes.addressof(memory), 0, 0))


def bpf() -> None:
    """Create an array with BPF_MAP_CREATE, which an unprivileged user may be allowed to do."""
    attributes = ctypes.create_string_buffer(
        b"".join(n.to_bytes(4, "little") for n in (2, 4, 4, 1)) + bytes(112)
    )
    os.close(syscall("bpf", 0, ctypes.addressof(attributes), 128))


def perf() -> None:
    """Open a software counter over the whole of CPU 0."""
    attributes = ctypes.create_string_buffer(
        (1).to_bytes(4, "little") + (112).to_bytes(4, "little") + bytes(104)
    )
    os.close(syscall("perf_event_open", ctypes.addressof(attributes), -1, 0, -1, 0))


def mount() -> None:
    words = [ctypes.create_string_buffer(word) for word in (b"none", os.fsencode(os.getcwd()), b"tmpfs")]
    syscall("mount", *(ctypes.addressof(word) for word in words), 0, 0)


def by_handle() -> None:
    """Call open_by_handle_at(2) for the root directory, an inode that no path rule mentions."""
    handle = ctypes.create_string_buffer((128).to_bytes(4, "little") + bytes(132))
    number = ctypes.create_string_buffer(4)
    root = ctypes.create_string_buffer(b"/")
    at_cwd = -100
    addresses = [ctypes.addressof(each) for each in (root, handle, number)]
    syscall("name_to_handle_at", at_cwd, *addresses, 0)
    os.close(syscall("open_by_handle_at", at_cwd, addresses[1], os.O_RDONLY))


def device() -> None:
    os.mknod("device", 0o20600, os.makedev(1, 1))


def main(harmless: bool) -> None:
    attempts = {name: make(*registers) for name, registers in (FAMILIES | PERMITTED).items()}
    attempts |= {name: ring(name) for name in ("io_uring_setup", "io_uring_enter", "io_uring_register")}
    attempts |= {"unix datagram pair": datagram_pair}
    if harmless:
        report_all(attempts)
        return
    attempts |= {
        "bpf": bpf,
        "perf_event_open": perf,
        "mount": mount,
        "open_by_handle_at": by_handle,
        "mknod": device,
        "init_module": lambda: syscall("init_module", 0, 0, 0),
        "sethostname": lambda: socket.sethostname(socket.gethostname()),
    }
    report_all(attempts)


if __name__ == "__main__":
    main(len(sys.argv) > 1)
