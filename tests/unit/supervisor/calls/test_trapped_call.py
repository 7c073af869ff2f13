"""What is fetched for a trapped call belongs to the thread that was trapped, or to nobody."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import struct
import time
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any, cast

import pytest

from nono.kernel import notify
from nono.supervisor.calls.trapped_call import TrappedCalls, release
from nono.supervisor.calls.watchdog import BlockingCallWatchdog

LISTENER = -1  # never used: whether the notification still stands is the test's to say
LINGER = struct.Struct("@ii")


class Stub:
    """In place of the watchdog."""

    def arm(self) -> None: ...


UNWATCHED = cast(Any, Stub())


def call_with(descriptor: int) -> notify.Notification:
    """Return a call of this very process, whose first argument is descriptor."""
    return notify.Notification(id=7, tid=os.getpid(), flags=0, nr=0, arch=0, args=(descriptor, 0, 0, 0, 0, 0))


def fetch(descriptor: int) -> socket.SocketType | None:
    """Look up the socket of such a call."""
    with closing(TrappedCalls(LISTENER, UNWATCHED)) as calls:
        return calls.socket(call_with(descriptor))


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
    with socket.socket() as of_the_caller:
        of_the_caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER.pack(1, seconds))
        release(of_the_caller.dup())
        raw = of_the_caller.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER.size)
    assert LINGER.unpack(raw) == left


class SetAgain(socket.socket):
    """A socket whose SO_LINGER another thread of the command sets again as soon as it was cleared."""

    def setsockopt(self, *_: object) -> None: ...


@pytest.mark.parametrize(
    "look_up",
    [
        lambda calls, number: calls.socket(call_with(number)),
        lambda calls, number: calls.socket_at(os.getpid(), number),
    ],
    ids=["of the call", "of a server"],
)
def test_no_command_makes_the_close_of_a_duplicate_wait(
    monkeypatch: pytest.MonkeyPatch, look_up: Callable[[TrappedCalls, int], socket.SocketType]
) -> None:
    monkeypatch.setattr(notify, "is_valid", lambda *_: True)
    before, waits_s = signal.getsignal(signal.SIGALRM), 20

    async def close_last() -> float:
        watchdog = BlockingCallWatchdog()
        watchdog.start()
        with socket.create_server(("127.0.0.1", 0)) as server:
            of_the_caller = socket.create_connection(server.getsockname())
            of_the_caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER.pack(1, waits_s))
            of_the_caller.setblocking(False)
            with suppress(BlockingIOError):
                while True:  # nobody reads this
                    of_the_caller.send(bytes(1 << 20))
            with closing(TrappedCalls(LISTENER, watchdog)) as calls:
                duplicate = look_up(calls, of_the_caller.fileno())
            of_the_caller.close()
            began = time.monotonic()
            release(SetAgain(fileno=duplicate.detach()))
            took_s = time.monotonic() - began
        watchdog.close()
        return took_s

    try:
        assert asyncio.run(close_last()) < waits_s / 2
    finally:
        signal.signal(signal.SIGALRM, before)


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
        with closing(TrappedCalls(LISTENER, UNWATCHED)) as calls:
            duplicate = calls.tcp_socket(call_with(of_the_caller.fileno()))
        assert (duplicate is not None) == is_tcp
        if duplicate is not None:
            duplicate.close()
        assert open_descriptors() == before
