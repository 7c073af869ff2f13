"""The maker of sockets stands beside the command, in its network, and gives it nothing."""

from __future__ import annotations

import os
import resource
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from nono import forked
from nono.kernel import namespaces, process
from nono.sandbox.socket_maker import (
    NAME_SERVERS,
    REFUSED,
    TCP_IPV4,
    UDP_IPV4,
    answer,
    bind_name_servers,
    fork_socket_maker,
)
from support.forked import in_child
from support.ordinary_user import UNPRIVILEGED_ID
from support.private_network import can_be_made

IS_ROOT = os.geteuid() == 0


def beside_a_maker(uid: int) -> Any:
    """Return who owns its files in /proc, and what it made."""

    def work() -> list[object]:
        if uid != os.geteuid():
            os.setresuid(uid, uid, uid)
        process.set_dumpable(True)  # which it inherits
        process.become_subreaper()
        with fork_socket_maker([]) as channel:
            assert channel.recv(1) == NAME_SERVERS
            channel.send(TCP_IPV4)
            said, made, _, _ = socket.recv_fds(channel, 1, 1)
            (pid,) = process.child_pids()
            owner = os.stat(f"/proc/{pid}/environ").st_uid
            with socket.socket(fileno=made[0]) as given:
                return [owner, said != REFUSED, given.family, given.type]

    return in_child(work)


def test_the_maker_of_sockets_is_not_dumpable() -> None:
    """Files of a process that is not dumpable belong to root (proc(5))."""
    owner, *made = beside_a_maker(UNPRIVILEGED_ID if IS_ROOT else os.geteuid())
    assert owner == 0
    assert made == [True, socket.AF_INET, socket.SOCK_STREAM]


def test_the_maker_of_sockets_shows_no_arguments_when_it_is_forked() -> None:
    """Where the machine is busy, the command reads them before the maker has run at all."""

    def work() -> list[str]:
        shown: list[str] = []

        def fork_orphan(life: Callable[[], object]) -> None:
            shown.append(Path("/proc/self/cmdline").read_text().strip("\0"))

        forked.fork_orphan = fork_orphan
        with fork_socket_maker([]):
            return shown

    assert in_child(work) == [""]


def test_a_user_with_too_many_descriptors_in_flight_is_refused_a_socket() -> None:
    """Where the maker is the init of a run, its end would be that of the run."""

    def work() -> str:
        if IS_ROOT:
            os.setresuid(UNPRIVILEGED_ID, UNPRIVILEGED_ID, UNPRIVILEGED_ID)
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2)]
        # Room for a few more: the worker that was forked may have had any number open.
        few = max(map(int, os.listdir("/proc/self/fd"))) + 16
        resource.setrlimit(resource.RLIMIT_NOFILE, (few, few))
        (full, _unread), (ours, theirs) = pairs
        with pytest.raises(OSError, match="Too many references"):
            deque(socket.send_fds(full, [b"x"], [0] * 50) for _ in range(few))
        answer(theirs, UDP_IPV4)
        return ours.recv(1).decode()

    assert in_child(work) == REFUSED.decode()


def _answer_at(*addresses: str) -> list[str]:
    """Return, in an empty network, the addresses of name servers that a datagram reaches."""
    namespaces.enter_empty_network()
    families = [socket.AF_INET6 if ":" in each else socket.AF_INET for each in addresses]
    pairs = zip(families, addresses, strict=True)
    bound = bind_name_servers([socket.inet_pton(family, each) for family, each in pairs])
    for family, address in zip(families, addresses, strict=True):
        with socket.socket(family, socket.SOCK_DGRAM) as client:
            client.sendto(b"?", (address, 53))
    return [each.getsockname()[0] for each in bound if each.recv(9) == b"?"]


@pytest.mark.root
@pytest.mark.skipif(not can_be_made(), reason="a network of one's own is root's to make")
def test_name_servers_of_both_families_are_served_at_once() -> None:
    """The kernel looks for a moment whether somebody else has a new address of IPv6."""
    addresses = ("fd00::53", "10.0.0.53", "2001:db8::53")
    for _ in range(8):
        assert in_child(lambda: _answer_at(*addresses)) == [*addresses]


@pytest.mark.root
@pytest.mark.skipif(not can_be_made(), reason="a network of one's own is root's to make")
def test_a_name_server_has_room_for_queries_before_it_is_served() -> None:
    """Two each from 300 threads of a command that asks while the supervisor is loading."""

    def arrived() -> int:
        namespaces.enter_empty_network()
        (bound,) = bind_name_servers([socket.inet_aton("10.0.0.53")])
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            for _ in range(600):
                client.sendto(bytes(40), ("10.0.0.53", 53))
        bound.setblocking(False)
        count = 0
        with suppress(BlockingIOError):
            while bound.recv(64):
                count += 1
        return count

    assert in_child(arrived) > 400  # in a socket as it is made, 277 find room
