"""Questions to rtnetlink: what is judged is what is sent, on a socket of that kind and on no other."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import cast

import pytest

from nono.kernel.notify import Notification
from nono.supervisor.calls import route_netlink
from nono.supervisor.calls.trapped_call import Socket, TrappedCalls
from nono.supervisor.verdict.adjudicator import Refuse

KERNEL = struct.pack("=HHII", 16, 0, 0, 0)
GETLINK, DELLINK = (struct.pack("=IHHIIB3x", 20, kind, 0x301, 1, 0, 0) for kind in (18, 17))
CALL = Notification(1, os.getpid(), 0, 0, 0, (0, 0, 20, 0, 0, 0))


class FlippedCalls:
    """A caller whose memory holds something else at each look, and that has put `own` at the descriptor."""

    def __init__(self, own: socket.socket, *messages: bytes) -> None:
        self._own = own
        self._messages = list(messages)

    def sockaddr(self, call: Notification, pointer: int, length: int) -> bytes:
        return self._messages.pop(0)

    def socket(self, call: Notification) -> Socket:
        return Socket(fileno=os.dup(self._own.fileno()))


@pytest.fixture
def route() -> Iterator[socket.socket]:
    with closing(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)) as made:
        made.settimeout(10)
        yield made


def send(own: socket.socket, *messages: bytes) -> int | Refuse:
    return route_netlink.send(cast(TrappedCalls, FlippedCalls(own, *messages)), CALL, KERNEL)


def test_the_message_that_was_judged_is_sent(route: socket.socket) -> None:
    assert send(route, GETLINK, DELLINK) == -len(GETLINK)
    kind = struct.unpack_from("=IH", route.recv(1 << 16))[1]
    assert kind == 16  # RTM_NEWLINK: an entry of the list that was asked for


@pytest.mark.parametrize(
    "serve",
    [
        lambda own: send(own, GETLINK),
        lambda own: route_netlink.bind(cast(TrappedCalls, FlippedCalls(own)), CALL, KERNEL),
    ],
    ids=["send", "bind"],
)
def test_a_socket_that_was_put_in_its_place_is_not_served(serve: Callable[[socket.socket], object]) -> None:
    for kind in (socket.AF_INET, socket.SOCK_DGRAM, 0), (socket.AF_NETLINK, socket.SOCK_RAW, 4):
        with closing(socket.socket(*kind)) as other:
            assert serve(other) == errno.EACCES
