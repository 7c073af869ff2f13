"""Create rtnetlink sockets for the command, and bind them for it.

The supervisor creates them: a socket that the command created in its own network namespace could configure
that network, and would expose much more kernel code than listing does. On these sockets, everything but
listing requires CAP_NET_ADMIN of the sender, so sends are not trapped.
"""

from __future__ import annotations

import errno
import socket

from nono.kernel import socket_names
from nono.kernel.notify import Notification
from nono.supervisor.calls.handover import Handover
from nono.supervisor.calls.trapped_call import Socket, TrappedCalls, release
from nono.supervisor.verdict import route_netlink
from nono.supervisor.verdict.adjudicator import Refuse
from nono.supervisor.verdict.syscall_args import unsigned


def make(handover: Handover, call: Notification) -> None:
    """Answer socket(2) with a socket created here.

    Raises OSError if the kernel cannot pass it on (before 5.9).
    """
    kind = unsigned(call.args[1])
    made = socket.socket(socket.AF_NETLINK, kind | socket.SOCK_CLOEXEC, route_netlink.NETLINK_ROUTE)
    with made:
        close_on_exec = bool(kind & socket.SOCK_CLOEXEC)
        handover.give(call, made.fileno(), close_on_exec=close_on_exec)


def bind(calls: TrappedCalls, call: Notification, sockaddr: bytes) -> int | Refuse:
    """Bind for the caller. Raises like every trapped call."""
    refusal = route_netlink.judge_name(sockaddr)
    if refusal is not None:
        return refusal
    duplicate = _duplicate(calls, call)
    if duplicate is None:
        return errno.EACCES
    try:
        return socket_names.bind(duplicate.fileno(), sockaddr)
    finally:
        release(duplicate)


def _duplicate(calls: TrappedCalls, call: Notification) -> Socket | None:
    duplicate = calls.socket(call)
    expected = socket.AF_NETLINK, route_netlink.NETLINK_ROUTE
    if duplicate is None or (duplicate.family, duplicate.proto) == expected:
        return duplicate
    release(duplicate)
    return None
