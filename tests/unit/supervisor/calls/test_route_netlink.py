"""A bind for rtnetlink is made on a socket of that kind and on no other."""

from __future__ import annotations

import errno
import os
import socket
import struct
from contextlib import closing
from typing import cast

import pytest

from nono.kernel.notify import Notification
from nono.supervisor.calls import route_netlink
from nono.supervisor.calls.trapped_call import Socket, TrappedCalls
from nono.supervisor.verdict.adjudicator import Refuse

KERNEL = struct.pack("=HHII", 16, 0, 0, 0)
CALL = Notification(1, os.getpid(), 0, 0, 0, (0, 0, 12, 0, 0, 0))


class ChosenCalls:
    """A caller that has put `own` at the descriptor."""

    def __init__(self, own: socket.socket) -> None:
        self._own = own

    def socket(self, call: Notification) -> Socket:
        return Socket(fileno=os.dup(self._own.fileno()))


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ((socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE), 0),
        ((socket.AF_INET, socket.SOCK_DGRAM, 0), errno.EACCES),
        ((socket.AF_NETLINK, socket.SOCK_RAW, 4), errno.EACCES),
    ],
    ids=["rtnetlink", "another family", "another protocol of netlink"],
)
def test_only_a_socket_of_rtnetlink_is_bound(kind: tuple[int, int, int], answer: int) -> None:
    with closing(socket.socket(*kind)) as own:
        assert route_netlink.bind(cast(TrappedCalls, ChosenCalls(own)), CALL, KERNEL) == answer


def test_no_socket_of_rtnetlink_is_bound_to_a_group() -> None:
    group = struct.pack("=HHII", 16, 0, 0, 1)
    with closing(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)) as own:
        assert isinstance(route_netlink.bind(cast(TrappedCalls, ChosenCalls(own)), CALL, group), Refuse)
        assert own.getsockname() == (0, 0)
