"""Judge the use of rtnetlink: a command may list interfaces, addresses and routes, and nothing else."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from nono.supervisor.verdict.adjudicator import REFUSED_ADDRESS, STATIC_FILTER, Refuse
from nono.supervisor.verdict.syscall_args import AF_NETLINK

NETLINK_ROUTE = 0
_SOCK_DGRAM, _SOCK_RAW, _TYPE_MASK, _INT_MASK = 2, 3, 0xF, 0xFFFFFFFF
_SOCKADDR_NL = struct.Struct("=HHII")  # family, padding, port, groups (netlink(7))
_NLMSGHDR = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_RTM_BASE, _KIND_MASK, _GET = 16, 3, 2  # each kind of object has RTM_NEW, _DEL, _GET and _SET, in this order


def is_route_socket(args: Sequence[int]) -> bool:
    """Return True for socket(2) of rtnetlink, from its registers."""
    family, kind, protocol = (argument & _INT_MASK for argument in args[:3])
    return (
        family == AF_NETLINK and protocol == NETLINK_ROUTE and kind & _TYPE_MASK in (_SOCK_DGRAM, _SOCK_RAW)
    )


def judge_name(sockaddr: bytes) -> Refuse | None:
    """Judge the address of a bind: any port of the caller's own, and no group."""
    if len(sockaddr) >= _SOCKADDR_NL.size:
        family, _, _, groups = _SOCKADDR_NL.unpack_from(sockaddr)
        if family == AF_NETLINK and not groups:
            return None
    return _refuse("a group of netlink, or another address than one of the command's own")


def judge_send(sockaddr: bytes, message: bytes) -> Refuse | None:
    """Judge a send that names its destination: only list requests to the kernel are allowed."""
    if len(sockaddr) >= _SOCKADDR_NL.size:
        family, _, port, groups = _SOCKADDR_NL.unpack_from(sockaddr)
        if (family, port, groups) == (AF_NETLINK, 0, 0) and _only_asks(message):
            return None
    return _refuse("a message that does more than ask the kernel for a list")


def _only_asks(message: bytes) -> bool:
    start = 0
    while start + _NLMSGHDR.size <= len(message):
        length, kind, _, _, _ = _NLMSGHDR.unpack_from(message, start)
        if length < _NLMSGHDR.size or kind < _RTM_BASE or kind & _KIND_MASK != _GET:
            return False
        start += (length + 3) & ~3
    return start > 0


def _refuse(reason: str) -> Refuse:
    return Refuse(REFUSED_ADDRESS, "rtnetlink", None, reason, STATIC_FILTER)
