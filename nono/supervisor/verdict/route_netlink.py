"""Judge the use of rtnetlink: a command may list interfaces, addresses and routes, and nothing else."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from nono.supervisor.verdict.adjudicator import REFUSED_ADDRESS, STATIC_FILTER, Refuse
from nono.supervisor.verdict.syscall_args import AF_NETLINK, SOCK_DGRAM, SOCK_RAW, socket_kind

NETLINK_ROUTE = 0
_SOCKADDR_NL = struct.Struct("=HHII")  # family, padding, port, groups (netlink(7))


def is_route_socket(args: Sequence[int]) -> bool:
    """Return True for socket(2) of rtnetlink, from its registers."""
    family, kind, protocol = socket_kind(args)
    return family == AF_NETLINK and protocol == NETLINK_ROUTE and kind in (SOCK_DGRAM, SOCK_RAW)


def judge_name(sockaddr: bytes) -> Refuse | None:
    """Judge the address of a bind: any port of the caller's own, and no group."""
    if len(sockaddr) >= _SOCKADDR_NL.size:
        family, _, _, groups = _SOCKADDR_NL.unpack_from(sockaddr)
        if family == AF_NETLINK and not groups:
            return None
    return _refuse("a group of netlink, or another address than one of the command's own")


def _refuse(reason: str) -> Refuse:
    return Refuse(REFUSED_ADDRESS, "rtnetlink", None, reason, STATIC_FILTER)
