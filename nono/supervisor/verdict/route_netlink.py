"""Judge the use of rtnetlink: a command may list interfaces, addresses and routes, and nothing else."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from nono.supervisor.verdict.adjudicator import REFUSED_ADDRESS, STATIC_FILTER, Refuse
from nono.supervisor.verdict.syscall_args import AF_NETLINK, SOCK_DGRAM, SOCK_RAW, socket_kind

NETLINK_ROUTE = 0
GROUP = "a group of netlink"
GROUPS_HINT = (
    "In a group it would hear of changes in this machine's network. With --sandbox-policy netns it may join "
    "one, in the network of the run"
)
_SOCKADDR_NL = struct.Struct("=HHII")  # family, padding, port, groups (netlink(7))


def is_route_socket(args: Sequence[int]) -> bool:
    """Return True for socket(2) of rtnetlink, from its registers."""
    family, kind, protocol = socket_kind(args)
    return family == AF_NETLINK and protocol == NETLINK_ROUTE and kind in (SOCK_DGRAM, SOCK_RAW)


def judge_name(sockaddr: bytes) -> Refuse | None:
    """Judge the address of a bind: any port of the caller's own, and no group."""
    if len(sockaddr) >= _SOCKADDR_NL.size:
        family, _, _, groups = _SOCKADDR_NL.unpack_from(sockaddr)
        if family == AF_NETLINK:
            return _refuse(GROUP, GROUPS_HINT) if groups else None
    return _refuse("another address than one of netlink")


def _refuse(reason: str, hint: str | None = None) -> Refuse:
    return Refuse(REFUSED_ADDRESS, "rtnetlink", None, reason, STATIC_FILTER, hint)
