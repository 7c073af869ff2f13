"""Set socket options that send a packet to an address other than the one that is connected to.

steering PORT BOUND_PORT [NAME]: tries each way on its own sockets, or only the way NAME. They connect to the
proxy, and to PORT of ::1, where this program listens; BOUND_PORT is a port that it may bind.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress

from support.attack_programs.outcome import Attempt, proxy, report_all
from support.watched_network import GROUP_MARK, MARK, OUT, STRANGER, STRANGER6

# <asm-generic/socket.h>, <linux/in.h>, <linux/in6.h>, <linux/tcp.h>; Python has names for a few of them
SO_BINDTODEVICE, SO_BINDTOIFINDEX = 25, 62
IP_OPTIONS, IP_FREEBIND, IP_ADD_MEMBERSHIP, IP_ADD_SOURCE_MEMBERSHIP, IP_UNICAST_IF = 4, 15, 35, 39, 50
MCAST_JOIN_GROUP, MCAST_JOIN_SOURCE_GROUP = 42, 46
IPV6_2292PKTOPTIONS, IPV6_ADD_MEMBERSHIP, IPV6_FLOWLABEL_MGR, IPV6_PKTINFO = 6, 20, 32, 50
IPV6_HOPOPTS, IPV6_RTHDRDSTOPTS, IPV6_RTHDR, IPV6_DSTOPTS = 54, 55, 57, 59
IPV6_UNICAST_IF, IPV6_FREEBIND = 76, 78
TCP_FASTOPEN_CONNECT, TCP_ULP, TCP_FASTOPEN_NO_COOKIE = 30, 31, 34
SIOCGIFINDEX = 0x8933  # <linux/sockios.h>
REPORT_S = 0.2  # the kernel reports a membership after some ticks, and not after the socket is closed

IP, IPV6, TCP = socket.IPPROTO_IP, socket.IPPROTO_IPV6, socket.IPPROTO_TCP
Address = tuple[str, int]
Options = tuple[tuple[int, int, bytes], ...]

GROUP = b"\xef" + GROUP_MARK
GROUP6 = socket.inet_pton(socket.AF_INET6, "ff0e::")[:-4] + MARK
SPOOFED6 = socket.inet_pton(socket.AF_INET6, STRANGER6)[:-4] + MARK
LSRR = bytes((131, 7, 4)) + socket.inet_aton(STRANGER) + b"\0"
# struct ipv6_sr_hdr (<linux/seg6.h>): two segments, the second of which comes first
ROUTE = bytes((0, 4, 4, 1, 1, 0, 0, 0, *bytes(16))) + socket.inet_pton(socket.AF_INET6, STRANGER6)
# struct rt2_hdr: the only one that control messages may contain
HOME = bytes((0, 2, 2, 1, 0, 0, 0, 0)) + socket.inet_pton(socket.AF_INET6, STRANGER6)
PADDED = bytes((0, 0, 1, 4, 0, 0, 0, 0))  # an extension header of padding


ON = struct.pack("=I", 1)
HARMLESS = {
    "SO_REUSEADDR": (socket.AF_INET, socket.SOL_SOCKET, socket.SO_REUSEADDR, ON),
    "SO_REUSEPORT": (socket.AF_INET, socket.SOL_SOCKET, socket.SO_REUSEPORT, ON),
    "SO_KEEPALIVE": (socket.AF_INET, socket.SOL_SOCKET, socket.SO_KEEPALIVE, ON),
    "SO_LINGER": (socket.AF_INET, socket.SOL_SOCKET, socket.SO_LINGER, ON + ON),
    "SO_PRIORITY": (socket.AF_INET, socket.SOL_SOCKET, socket.SO_PRIORITY, ON),
    "SO_SNDTIMEO": (socket.AF_INET, socket.SOL_SOCKET, socket.SO_SNDTIMEO, bytes(16)),
    "TCP_NODELAY": (socket.AF_INET, TCP, socket.TCP_NODELAY, ON),
    "TCP_KEEPIDLE": (socket.AF_INET, TCP, socket.TCP_KEEPIDLE, ON),
    "TCP_USER_TIMEOUT": (socket.AF_INET, TCP, socket.TCP_USER_TIMEOUT, ON),
    "TCP_FASTOPEN": (socket.AF_INET, TCP, socket.TCP_FASTOPEN, ON),
    "TCP_DEFER_ACCEPT": (socket.AF_INET, TCP, socket.TCP_DEFER_ACCEPT, ON),
    "IP_TOS": (socket.AF_INET, IP, socket.IP_TOS, struct.pack("=I", 0x10)),
    "IPV6_TCLASS": (socket.AF_INET6, IPV6, socket.IPV6_TCLASS, struct.pack("=I", 0x10)),
    "IPV6_V6ONLY": (socket.AF_INET6, IPV6, socket.IPV6_V6ONLY, ON),
}


def control(level: int, kind: int, content: bytes) -> bytes:
    """Return a struct cmsghdr and its content (cmsg(3))."""
    message = struct.pack("@NII", 16 + len(content), level, kind) + content
    return message.ljust(socket.CMSG_SPACE(len(content)), b"\0")


def sockaddr(address: bytes) -> bytes:
    """Return a struct sockaddr_storage."""
    if len(address) == 4:
        return (struct.pack("=HH", socket.AF_INET, 0) + address).ljust(128, b"\0")
    return (struct.pack("=HHI", socket.AF_INET6, 0, 0) + address).ljust(128, b"\0")


def index() -> int:
    """Return the index of OUT, found with a socket that the command may have; another one without OUT."""
    request = struct.pack("16s24x", OUT.encode())
    with socket.socket() as control_socket, suppress(OSError):
        return int(struct.unpack_from("=i", fcntl.ioctl(control_socket, SIOCGIFINDEX, request), 16)[0])
    return 2


def here() -> bytes:
    return struct.pack("=I", index())


def group_request(*addresses: bytes) -> bytes:
    """Return a struct group_req or group_source_req."""
    return struct.pack("@I4x", index()) + b"".join(map(sockaddr, addresses))


def to_proxy(*options: tuple[int, int, bytes]) -> Attempt:
    return lambda: connect(socket.AF_INET, options, proxy())


def connect(family: int, options: Options, address: Address, source: Address | None = None) -> None:
    """Connect without waiting for an answer that may never come."""
    with socket.socket(family) as client:
        for level, option, value in options:
            client.setsockopt(level, option, value)
        if source is not None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            client.bind(source)
        client.setblocking(False)
        with suppress(BlockingIOError):
            client.connect(address)
        with suppress(BlockingIOError, BrokenPipeError):
            client.send(MARK)


def join(family: int, level: int, option: int, request: Callable[[], bytes]) -> Attempt:
    def attempt() -> None:
        with socket.socket(family) as client:
            client.setsockopt(level, option, request())
            time.sleep(REPORT_S)

    return attempt


def harmless(family: int, level: int, option: int, value: bytes) -> Attempt:
    """Set an option as everyday programs do."""

    def attempt() -> None:
        with socket.socket(family) as client:
            client.setsockopt(level, option, value)

    return attempt


def connected() -> None:
    """Connect to the proxy and steer the connection once it is established."""
    with socket.create_connection(proxy()) as client:
        client.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, OUT.encode())
        client.send(MARK)


def ways(port: int, bound_port: int) -> dict[str, Attempt]:
    def to_loopback6(*options: tuple[int, int, bytes]) -> Attempt:
        return lambda: connect(socket.AF_INET6, options, ("::1", port))

    def ancillary() -> None:
        """Check ancillary data, which belongs to datagrams and which a stream ignores."""
        with socket.create_connection(("::1", port)) as client:
            client.sendmsg([MARK], [(IPV6, IPV6_RTHDR, ROUTE), (IPV6, IPV6_PKTINFO, bytes(16) + here())])
        with socket.create_connection(proxy()) as client:
            client.sendmsg([MARK], [(IP, socket.IP_PKTINFO, here() + bytes(8))])

    device = OUT.encode()
    interface = struct.pack("!I", index())
    return {
        "SO_BINDTODEVICE": to_proxy((socket.SOL_SOCKET, SO_BINDTODEVICE, device)),
        "SO_BINDTODEVICE, IPv6": to_loopback6((socket.SOL_SOCKET, SO_BINDTODEVICE, device)),
        "SO_BINDTODEVICE when connected": connected,
        "SO_BINDTOIFINDEX": to_proxy((socket.SOL_SOCKET, SO_BINDTOIFINDEX, here())),
        "IP_OPTIONS": to_proxy((IP, IP_OPTIONS, LSRR)),
        "IP_UNICAST_IF": to_proxy((IP, IP_UNICAST_IF, interface)),
        "IPV6_UNICAST_IF": to_loopback6((IPV6, IPV6_UNICAST_IF, interface)),
        "IPV6_PKTINFO": to_loopback6((IPV6, IPV6_PKTINFO, bytes(16) + here())),
        "IPV6_RTHDR": to_loopback6((IPV6, IPV6_RTHDR, ROUTE)),
        "IPV6_2292PKTOPTIONS": to_loopback6((IPV6, IPV6_2292PKTOPTIONS, control(IPV6, IPV6_RTHDR, HOME))),
        "IPV6_HOPOPTS": to_loopback6((IPV6, IPV6_HOPOPTS, PADDED)),
        "IPV6_RTHDRDSTOPTS": to_loopback6((IPV6, IPV6_RTHDRDSTOPTS, PADDED)),
        "IPV6_DSTOPTS": to_loopback6((IPV6, IPV6_DSTOPTS, PADDED)),
        # struct in6_flowlabel_req: destination, label, action, share, flags, expires, linger
        "IPV6_FLOWLABEL_MGR": to_loopback6(
            (IPV6, IPV6_FLOWLABEL_MGR, SPOOFED6 + struct.pack("=IBBHHH4x", 0, 0, 1, 1, 0, 0))
        ),
        "IPV6_FREEBIND": lambda: connect(
            socket.AF_INET6,
            ((IPV6, IPV6_FREEBIND, ON),),
            ("::1", port),
            (socket.inet_ntop(socket.AF_INET6, SPOOFED6), bound_port),
        ),
        "IP_FREEBIND, IPv6": lambda: connect(
            socket.AF_INET6,
            ((IP, IP_FREEBIND, ON),),
            ("::1", port),
            (socket.inet_ntop(socket.AF_INET6, SPOOFED6), bound_port),
        ),
        "IP_ADD_MEMBERSHIP": join(socket.AF_INET, IP, IP_ADD_MEMBERSHIP, lambda: GROUP + bytes(4) + here()),
        "IP_ADD_SOURCE_MEMBERSHIP": join(
            socket.AF_INET,
            IP,
            IP_ADD_SOURCE_MEMBERSHIP,
            lambda: GROUP + socket.inet_aton("192.0.2.1") + MARK,
        ),
        "MCAST_JOIN_GROUP": join(socket.AF_INET, IP, MCAST_JOIN_GROUP, lambda: group_request(GROUP)),
        "MCAST_JOIN_SOURCE_GROUP": join(
            socket.AF_INET, IP, MCAST_JOIN_SOURCE_GROUP, lambda: group_request(GROUP, MARK)
        ),
        "IPV6_ADD_MEMBERSHIP": join(socket.AF_INET6, IPV6, IPV6_ADD_MEMBERSHIP, lambda: GROUP6 + here()),
        "MCAST_JOIN_GROUP, IPv6": join(
            socket.AF_INET6, IPV6, MCAST_JOIN_GROUP, lambda: group_request(GROUP6)
        ),
        "TCP_FASTOPEN_CONNECT": to_proxy((TCP, TCP_FASTOPEN_CONNECT, ON)),
        "TCP_FASTOPEN_NO_COOKIE": to_proxy((TCP, TCP_FASTOPEN_NO_COOKIE, ON)),
        "TCP_ULP": to_proxy((TCP, TCP_ULP, b"smc")),
        "ancillary data": ancillary,
        **{name: harmless(*option) for name, option in HARMLESS.items()},
    }


def main(port: int, bound_port: int, *names: str) -> None:
    attempts = ways(port, bound_port)
    with ExitStack() as stack:
        stack.enter_context(socket.create_server(("::1", port), family=socket.AF_INET6))
        with suppress(OSError):  # the proxy itself listens there, except without nono
            stack.enter_context(socket.create_server(proxy()))
        report_all({name: attempts[name] for name in names or attempts})


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
