"""Makes rtnetlink sockets for the command, and performs what the C library does with them by address.

They are made here: one that the command made in a network of its own could configure that network, with much
more of the kernel behind it than lists. What else is sent on ours takes CAP_NET_ADMIN of its sender.
"""

from __future__ import annotations

import errno
import socket

from nono.kernel import notify, socket_names
from nono.supervisor.calls.trapped_call import Socket, TrappedCalls, release
from nono.supervisor.verdict import route_netlink
from nono.supervisor.verdict.adjudicator import Refuse


def make(listener: int, call: notify.Notification) -> None:
    """Answer socket(2) with a socket of ours. OSError: the kernel does not hand it over (before 5.14)."""
    kind = call.args[1] & 0xFFFFFFFF
    made = socket.socket(socket.AF_NETLINK, kind | socket.SOCK_CLOEXEC, route_netlink.NETLINK_ROUTE)
    with made:
        close_on_exec = bool(kind & socket.SOCK_CLOEXEC)
        notify.addfd_send(listener, call.id, made.fileno(), close_on_exec=close_on_exec)


def bind(calls: TrappedCalls, call: notify.Notification, sockaddr: bytes) -> int | Refuse:
    """Bind for the caller. Raises as every trapped call."""
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


def send(calls: TrappedCalls, call: notify.Notification, sockaddr: bytes) -> int | Refuse:
    """Send for the caller; the number of bytes, negated. Raises as every trapped call."""
    message = calls.sockaddr(call, call.args[1], call.args[2])
    refusal = route_netlink.judge_send(sockaddr, message)
    if refusal is not None:
        return refusal
    duplicate = _duplicate(calls, call)
    if duplicate is None:
        return errno.EACCES
    try:
        return -duplicate.sendto(message, socket.MSG_DONTWAIT, (0, 0))
    finally:
        release(duplicate)


def _duplicate(calls: TrappedCalls, call: notify.Notification) -> Socket | None:
    duplicate = calls.socket(call)
    expected = socket.AF_NETLINK, route_netlink.NETLINK_ROUTE
    if duplicate is None or (duplicate.family, duplicate.proto) == expected:
        return duplicate
    release(duplicate)
    return None
