"""What is fetched for a trapped call belongs to the thread that was trapped, or to nobody."""

from __future__ import annotations

import os
import socket
import struct
from contextlib import closing

import pytest

from nono.kernel import notify
from nono.supervisor.calls.trapped_call import TrappedCalls, release

LISTENER = -1  # never used: whether the notification still stands is the test's to say


def fetch(descriptor: int) -> socket.SocketType | None:
    """Look up a call of this very process, whose first argument is descriptor."""
    call = notify.Notification(id=7, tid=os.getpid(), flags=0, nr=0, arch=0, args=(descriptor, 0, 0, 0, 0, 0))
    with closing(TrappedCalls(LISTENER)) as calls:
        return calls.socket(call)


def open_descriptors() -> set[str]:
    with os.scandir("/proc/self/fd") as entries:
        return {entry.name for entry in entries if os.path.exists(entry.path)}


@pytest.mark.parametrize("alive", [True, False])
def test_a_socket_is_handed_out_only_while_its_notification_stands(
    monkeypatch: pytest.MonkeyPatch, alive: bool
) -> None:
    asked: list[tuple[int, int]] = []

    def is_valid(listener: int, notification: int) -> bool:
        asked.append((listener, notification))
        return alive

    monkeypatch.setattr(notify, "is_valid", is_valid)
    with socket.socket() as of_the_caller:
        before = open_descriptors()
        duplicate = fetch(of_the_caller.fileno())
        assert asked == [(LISTENER, 7)]
        assert (duplicate is not None) == alive
        if duplicate is not None:
            duplicate.close()
        assert open_descriptors() == before


def test_a_descriptor_that_is_no_socket_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "is_valid", lambda *_: True)
    with open(os.devnull, "rb") as file:
        before = open_descriptors()
        with pytest.raises(OSError, match="non-socket"):
            fetch(file.fileno())
        assert open_descriptors() == before


@pytest.mark.parametrize(("seconds", "left"), [(5, (0, 5)), (0, (1, 0))])
def test_a_duplicate_is_closed_without_waiting_for_its_peer(seconds: int, left: tuple[int, int]) -> None:
    linger = struct.Struct("@ii")
    with socket.socket() as of_the_caller:
        of_the_caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger.pack(1, seconds))
        release(of_the_caller.dup())
        raw = of_the_caller.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger.size)
    assert linger.unpack(raw) == left


IPPROTO_MPTCP = 262  # <linux/in.h>
NETLINK_XFRM = 6  # <linux/netlink.h>


@pytest.mark.parametrize(
    ("family", "kind", "protocol", "is_tcp"),
    [
        pytest.param(socket.AF_INET, socket.SOCK_STREAM, 0, True, id="TCP"),
        pytest.param(socket.AF_INET, socket.SOCK_DGRAM, 0, False, id="UDP"),
        pytest.param(socket.AF_UNIX, socket.SOCK_STREAM, 0, False, id="Unix"),
        pytest.param(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP, False, id="MPTCP"),
        pytest.param(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP, False, id="raw TCP, of root"),
        pytest.param(
            socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_XFRM, False, id="netlink, of the same number"
        ),
    ],
)
def test_a_call_for_tcp_is_made_on_a_socket_of_tcp(
    family: int, kind: int, protocol: int, is_tcp: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one may have been passed in, or inherited."""
    monkeypatch.setattr(notify, "is_valid", lambda *_: True)
    try:
        of_the_caller = socket.socket(family, kind, protocol)
    except OSError as error:
        pytest.skip(f"no such socket here: {error}")
    with of_the_caller:
        before = open_descriptors()
        with closing(TrappedCalls(LISTENER)) as calls:
            args = (of_the_caller.fileno(), 0, 0, 0, 0, 0)
            call = notify.Notification(id=7, tid=os.getpid(), flags=0, nr=0, arch=0, args=args)
            duplicate = calls.tcp_socket(call)
        assert (duplicate is not None) == is_tcp
        if duplicate is not None:
            duplicate.close()
        assert open_descriptors() == before
