"""The static programs, installed for real: what a process may still open and send."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import signal
import socket
from collections.abc import Callable

import pytest

from nono.kernel import filters, process, seccomp
from nono.kernel.libc import prctl, syscall, syscall_number
from nono.kernel.uapi.process import MSG_FASTOPEN, PR_GET_NO_NEW_PRIVS
from support.forked import child, errno_of, in_child

SOCK_FLAGS = socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
MPTCP, SCTP = 262, 132

SOCKETS = [
    # id, family, type, protocol, allowed by tcp_only, by block_all, by tcp_and_udp
    ("unix-stream", socket.AF_UNIX, socket.SOCK_STREAM, 0, True, True, True),
    ("unix-datagram", socket.AF_UNIX, socket.SOCK_DGRAM, 0, True, True, True),
    ("unix-seqpacket", socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, True, True, True),
    ("tcp", socket.AF_INET, socket.SOCK_STREAM, 0, True, False, True),
    ("tcp-with-flags", socket.AF_INET, socket.SOCK_STREAM | SOCK_FLAGS, 6, True, False, True),
    ("tcp6", socket.AF_INET6, socket.SOCK_STREAM, 6, True, False, True),
    ("udp", socket.AF_INET, socket.SOCK_DGRAM, 0, False, False, True),
    ("udp-with-flags", socket.AF_INET, socket.SOCK_DGRAM | SOCK_FLAGS, 17, False, False, True),
    ("udp6", socket.AF_INET6, socket.SOCK_DGRAM, 0, False, False, True),
    ("icmp", socket.AF_INET, socket.SOCK_DGRAM, 1, False, False, False),
    ("udp-lite", socket.AF_INET, socket.SOCK_DGRAM, 136, False, False, False),
    ("raw", socket.AF_INET, socket.SOCK_RAW, 255, False, False, False),
    ("mptcp", socket.AF_INET, socket.SOCK_STREAM, MPTCP, False, False, False),
    ("sctp", socket.AF_INET, socket.SOCK_STREAM, SCTP, False, False, False),
    ("netlink", socket.AF_NETLINK, socket.SOCK_RAW, 0, False, False, False),
    ("netlink of audit", socket.AF_NETLINK, socket.SOCK_RAW, 9, False, False, False),
    ("netlink of netfilter", socket.AF_NETLINK, socket.SOCK_RAW, 12, False, False, False),
    ("packet", socket.AF_PACKET, socket.SOCK_RAW, 0, False, False, False),
    ("vsock", 40, socket.SOCK_STREAM, 0, False, False, False),
    ("alg", 38, socket.SOCK_SEQPACKET, 0, False, False, False),
    ("xdp", 44, socket.SOCK_RAW, 0, False, False, False),
]


def under(program: str, work: Callable[[], object]) -> object:
    def filtered() -> object:
        seccomp.install_filter(filters.load(program))
        return work()

    return in_child(filtered)


def open_socket(family: int, kind: int, protocol: int) -> int:
    return errno_of(lambda: os.close(socket.socket(family, kind, protocol).detach()))


@pytest.mark.any_user  # who lacks a capability is refused by the kernel as well, so root's run shows more
@pytest.mark.parametrize(
    ("family", "kind", "protocol", "by_tcp_only", "by_block_all", "by_tcp_and_udp"),
    [case[1:] for case in SOCKETS],
    ids=[case[0] for case in SOCKETS],
)
def test_a_socket_is_opened_only_if_the_program_allows_its_kind(
    family: int, kind: int, protocol: int, by_tcp_only: bool, by_block_all: bool, by_tcp_and_udp: bool
) -> None:
    kernels_own = in_child(lambda: open_socket(family, kind, protocol))  # not 0 where IPv6 is off
    programs = {"tcp_only": by_tcp_only, "block_all": by_block_all, "tcp_and_udp": by_tcp_and_udp}
    is_route = family == socket.AF_NETLINK and protocol == 0
    programs["tcp_udp_and_route"] = by_tcp_and_udp or is_route
    for program, allowed in programs.items():
        answer = under(program, lambda: open_socket(family, kind, protocol))
        assert answer == (kernels_own if allowed else errno.EPERM), program


@pytest.mark.parametrize("program", ["tcp_only", "block_all"])
def test_a_socket_pair_is_of_af_unix_or_none(program: str) -> None:
    def pair(family: int) -> int:
        buffer = ctypes.create_string_buffer(8)
        address = ctypes.addressof(buffer)
        return errno_of(
            lambda: syscall(syscall_number("socketpair"), family, 1, 0, address, tried="socketpair")
        )

    assert under(program, lambda: [pair(socket.AF_UNIX), pair(30)]) == [
        0,
        errno.EPERM,
    ]  # 30: TIPC, which has pairs


@pytest.mark.needs("io_uring")
@pytest.mark.parametrize("program", ["tcp_only", "block_all"])
@pytest.mark.parametrize("call", ["io_uring_setup", "io_uring_enter", "io_uring_register"])
def test_io_uring_is_refused(program: str, call: str) -> None:
    def attempt() -> int:
        return errno_of(lambda: syscall(syscall_number(call), (1 << 32) - 1, 0, 0, 0, 0, 0, tried=call))

    assert under(program, attempt) == errno.EPERM
    assert in_child(attempt) not in (0, errno.EPERM)


@pytest.mark.parametrize("garbage", [0, 0xDEADBEEF << 32], ids=["clean", "garbage-above-int"])
def test_bits_above_an_int_change_no_verdict(garbage: int) -> None:
    def raw_socket(family: int, kind: int, protocol: int) -> int:
        registers = (family | garbage, kind | garbage, protocol | garbage)
        return errno_of(lambda: syscall(syscall_number("socket"), *registers, tried="socket"))

    answers = under("tcp_only", lambda: [raw_socket(2, 1, 6), raw_socket(2, 2, 17), raw_socket(2, 1, MPTCP)])
    assert answers == [0, errno.EPERM, errno.EPERM]


def fast_open_sends(address: tuple[str, int], flag: int) -> list[int]:
    """Return the errno of sendto, sendmsg and sendmmsg, each on a new socket, with an address."""

    def attempt(send: Callable[[socket.socket], object]) -> int:
        with socket.socket() as client:
            return errno_of(lambda: send(client))

    def send_many(client: socket.socket) -> int:
        # Nothing to send: an empty vector is 0 messages sent, unless the filter answers first.
        return syscall(syscall_number("sendmmsg"), client.fileno(), 0, 0, flag, tried="sendmmsg")

    return [
        attempt(lambda client: client.sendto(b"x", flag, address)),
        attempt(lambda client: client.sendmsg([b"x"], [], flag, address)),
        attempt(send_many),
    ]


def test_fast_open_is_refused_in_every_send() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        # Carried out, or EOPNOTSUPP where net.ipv4.tcp_fastopen is off.
        assert errno.EPERM not in in_child(lambda: fast_open_sends(address, MSG_FASTOPEN))
        assert under("tcp_only", lambda: fast_open_sends(address, MSG_FASTOPEN)) == [errno.EPERM] * 3
        # The kernel's own answer to an address without the flag, on a socket that is not connected.
        assert under("tcp_only", lambda: fast_open_sends(address, socket.MSG_NOSIGNAL)) == [
            errno.EPIPE,
            errno.EPIPE,
            0,
        ]


def test_tcp_works_under_tcp_only() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()

        def exchange() -> int:
            with socket.create_connection(address) as client:
                return client.sendmsg([b"hello"])

        assert under("tcp_only", exchange) == 5


def call_int_0x80(nr: int) -> int:
    """Return the result of a system call without arguments through the 32-bit gate of x86."""
    code = (
        b"\x53\xb8" + nr.to_bytes(4, "little") + b"\xcd\x80\x5b\xc3"
    )  # push rbx; mov eax, nr; int 0x80; pop rbx; ret
    with mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC) as page:
        page.write(code)
        anchor = ctypes.c_char.from_buffer(page)
        result = int(ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(anchor))())
        del anchor
        return result


only_x86_64 = pytest.mark.skipif(os.uname().machine != "x86_64", reason="an ABI of x86")


@only_x86_64
@pytest.mark.parametrize("program", ["tcp_only", "block_all"])
def test_the_32_bit_gate_is_refused(program: str) -> None:
    getpid = 20  # in the i386 table; 20 of x86_64 is writev
    with child(lambda: call_int_0x80(getpid) == os.getpid()) as unfiltered:
        if os.WIFSIGNALED(unfiltered.wait()):
            pytest.skip("this kernel runs no 32-bit code")
        assert unfiltered.result() is True
    assert under(program, lambda: call_int_0x80(getpid)) == -errno.EPERM


@only_x86_64
@pytest.mark.parametrize("program", ["tcp_only", "block_all"])
def test_an_x32_call_is_refused(program: str) -> None:
    def getpid() -> int:
        return errno_of(lambda: syscall(0x40000000 | 39, tried="getpid(x32)"))

    assert in_child(getpid) in (0, errno.ENOSYS)  # with or without x32 in the kernel
    assert under(program, getpid) == errno.EPERM


def test_installing_a_filter_sets_no_new_privs() -> None:
    def flag() -> int:
        return prctl(PR_GET_NO_NEW_PRIVS, tried="get")

    if in_child(flag):
        pytest.skip("the tests themselves were started with no_new_privs")
    assert under("tcp_only", flag) == 1


@pytest.mark.parametrize("program", [b"", b"1234567", bytes(8 * 4097)], ids=["empty", "cut", "too-long"])
def test_bytes_that_are_no_program_are_not_handed_to_the_kernel(program: bytes) -> None:
    with pytest.raises(ValueError, match="BPF program"):
        seccomp.install_filter(program)


def test_a_program_that_the_verifier_refuses_is_an_error_that_says_so() -> None:
    def install() -> str:
        try:
            seccomp.install_filter(bytes(8))  # loads without an end
        except OSError as error:
            return str(error)
        return ""

    assert "seccomp(SET_MODE_FILTER, flags=0x0): Invalid argument [EINVAL]" in in_child(install)


def test_a_filter_holds_for_what_is_forked_and_executed() -> None:
    python = "import socket, sys\ntry: socket.socket(2, 2)\nexcept PermissionError: sys.exit(42)"

    def execute() -> int:
        pid = os.posix_spawn("/proc/self/exe", ["python", "-I", "-S", "-c", python], {})
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    assert under("tcp_only", execute) == 42


def test_a_killed_child_is_no_pass() -> None:
    with pytest.raises(AssertionError, match="status 0x9"):
        in_child(lambda: os.kill(os.getpid(), signal.SIGKILL))


def test_a_forked_child_has_one_thread() -> None:
    assert in_child(process.thread_count) == 1
