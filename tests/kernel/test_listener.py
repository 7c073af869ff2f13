"""The notify program with a listener: what is trapped, and what the caller sees of each answer."""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
import struct

import pytest

from nono.kernel import filters, notify, seccomp, threads
from nono.kernel.libc import syscall
from nono.kernel.uapi.process import MSG_FASTOPEN
from nono.kernel.uapi.seccomp import AUDIT_ARCH, SYSCALL_NUMBERS
from support.forked import errno_of, in_child, supervised
from support.running.needs import require

MACHINE = os.uname().machine
NUMBERS = SYSCALL_NUMBERS[MACHINE]
READER = threads.MemoryReader(4096)
NOWHERE = ("127.0.0.1", 9)


def connect_errno(address: tuple[str, int] = NOWHERE) -> int:
    with socket.socket() as client:
        return errno_of(lambda: client.connect(address))


def test_a_connect_is_trapped_with_its_registers() -> None:
    with supervised(connect_errno) as run:
        call = run.next()
        assert (call.nr, call.arch, call.tid) == (NUMBERS["connect"], AUDIT_ARCH[MACHINE], run.child.pid)
        sockaddr = READER.read(call.tid, call.args[1], call.args[2])
        assert sockaddr == struct.pack("=H", socket.AF_INET) + b"\x00\x09" + bytes((127, 0, 0, 1)) + bytes(8)
        notify.respond(run.listener, call.id, errno_value=errno.EHOSTUNREACH)
        assert run.child.result() == errno.EHOSTUNREACH


def test_a_connect_carried_out_for_the_caller_leaves_it_connected() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def talk() -> str:
            with socket.socket() as client:
                client.connect(NOWHERE)
                client.sendall(b"hello")
                return str(client.getpeername()[1])

        with supervised(talk) as run:
            call = run.next()
            with socket.socket(fileno=threads.duplicate_descriptor(call.tid, call.args[0])) as duplicate:
                assert notify.is_valid(run.listener, call.id)
                assert not os.get_inheritable(duplicate.fileno())
                duplicate.connect(server.getsockname())
                notify.respond(run.listener, call.id)
            accepted, _ = server.accept()
            with accepted:
                assert accepted.recv(5) == b"hello"
            assert run.child.result() == str(server.getsockname()[1])


def test_a_value_is_returned_as_it_was_given() -> None:
    with supervised(lambda: syscall(NUMBERS["listen"], 99, 1, tried="listen")) as run:
        notify.respond(run.listener, run.next().id, value=123456)
        assert run.child.result() == 123456


def udp_socket() -> int:
    return errno_of(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close())


TRAPPED = [
    ("bind", lambda: socket.socket().bind(NOWHERE)),
    ("listen", lambda: socket.socket().listen()),
    ("socket", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)),
    ("socket", lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)),
    ("socket", lambda: socket.socket(socket.AF_UNIX, socket.SOCK_RAW)),
    ("socket", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)),
    ("socketpair", lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)),
    ("sendto", lambda: syscall(NUMBERS["sendto"], 1, 0, 0, MSG_FASTOPEN, 0, 0, tried="sendto")),
    ("sendmsg", lambda: socket.socket().sendmsg([b"x"], [], MSG_FASTOPEN, NOWHERE)),
    ("sendmmsg", lambda: syscall(NUMBERS["sendmmsg"], 1, 0, 0, MSG_FASTOPEN, tried="sendmmsg")),
    ("io_uring_setup", lambda: syscall(NUMBERS["io_uring_setup"], 0, 0, tried="io_uring_setup")),
]


@pytest.mark.parametrize(
    ("name", "attempt"), TRAPPED, ids=[f"{i}-{case[0]}" for i, case in enumerate(TRAPPED)]
)
def test_what_cannot_be_judged_by_register_reaches_the_supervisor(name: str, attempt: object) -> None:
    if name == "io_uring_setup":
        require("io_uring")
    assert callable(attempt)
    with supervised(lambda: errno_of(attempt)) as run:
        call = run.next()
        assert call.nr == NUMBERS[name]
        notify.respond(run.listener, call.id, errno_value=errno.EACCES)
        assert run.child.result() == errno.EACCES


def test_what_can_reach_nobody_new_is_not_trapped() -> None:
    def free() -> int:
        left, right = socket.socketpair()
        with left, right, socket.socket(socket.AF_UNIX), socket.socket(socket.AF_INET6):
            left.send(b"a")  # sendto without an address
            left.sendmsg([b"b"])
            with pytest.raises(BrokenPipeError):
                socket.socket().sendto(b"c", socket.MSG_NOSIGNAL, NOWHERE)  # which TCP ignores
            return len(right.recv(2))

    with supervised(free) as run:
        assert run.child.result() == 2


@pytest.mark.skipif(MACHINE != "x86_64", reason="an ABI of x86")
def test_an_x32_call_reaches_the_supervisor() -> None:
    with supervised(lambda: errno_of(lambda: syscall(0x40000000 | 39, tried="getpid(x32)"))) as run:
        call = run.next()
        assert call.nr == 0x40000000 | 39
        notify.respond(run.listener, call.id, errno_value=errno.EPERM)
        assert run.child.result() == errno.EPERM


def test_a_second_listener_is_busy() -> None:
    with supervised(lambda: errno_of(lambda: seccomp.install_listener(filters.load("notify")))) as run:
        assert run.child.result() == errno.EBUSY


def test_a_static_filter_beside_a_listener_is_not_busy() -> None:
    with supervised(lambda: errno_of(lambda: seccomp.install_filter(filters.load("tcp_only")))) as run:
        assert run.child.result() == 0


@pytest.mark.needs("place for a listener")
def test_a_trapped_call_fails_when_nobody_listens() -> None:
    def orphaned() -> list[int]:
        os.close(seccomp.install_listener(filters.load("notify")))
        return [connect_errno(), udp_socket()]

    assert in_child(orphaned) == [errno.ENOSYS] * 2


def test_the_notification_of_a_killed_caller_is_stale() -> None:
    with supervised(connect_errno) as run:
        call = run.next()
        assert notify.is_valid(run.listener, call.id)
        os.kill(run.child.pid, signal.SIGKILL)
        run.child.wait()
        assert not notify.is_valid(run.listener, call.id)
        with pytest.raises(FileNotFoundError):
            notify.respond(run.listener, call.id)


@pytest.mark.needs("place for a listener")
def test_a_listener_is_closed_on_exec() -> None:
    assert in_child(lambda: os.get_inheritable(seccomp.install_listener(filters.load("notify")))) is False


def test_a_signal_does_not_lose_the_answer_to_a_received_call() -> None:
    release = tuple(int(part) for part in os.uname().release.split(".")[:2])
    if release < (5, 19):
        pytest.skip("WAIT_KILLABLE_RECV came with Linux 5.19")

    def interrupted() -> int:
        signal.signal(signal.SIGUSR1, lambda *_: None)
        signal.siginterrupt(signal.SIGUSR1, True)
        return syscall(NUMBERS["listen"], 99, 1, tried="listen")  # raw: EINTR would be raised, not retried

    with supervised(interrupted) as run:
        call = run.next()
        os.kill(run.child.pid, signal.SIGUSR1)
        poll = select.poll()
        poll.register(run.listener, select.POLLIN)
        assert poll.poll(50) == []  # without the flag the caller wakes and its call comes again or fails
        assert notify.is_valid(run.listener, call.id)
        notify.respond(run.listener, call.id, value=7)
        assert run.child.result() == 7
