"""Every frozen program, run over the system calls, compared with a model written in Python terms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.kernel.filters import MACHINES, load
from nono.kernel.filters.bpf import PROGRAMS
from nono.kernel.filters.build import build, libseccomp_version
from nono.kernel.filters.freeze import frozen_with
from nono.kernel.uapi.seccomp import AUDIT_ARCH, SYSCALL_NUMBERS
from support.kernelsim.bpf_interpreter import Instruction, decode, judged_by_number, run

ALLOW = 0x7FFF0000
ERRNO, NOTIFICATION = 0x00050001, 0x7FC00000
REFUSAL = {
    "open_net": ERRNO,
    "block_all": ERRNO,
    "tcp_only": ERRNO,
    "tcp_and_udp": ERRNO,
    "tcp_udp_and_route": ERRNO,
    "notify": NOTIFICATION,
    "opens": NOTIFICATION,
    "notify_opens": NOTIFICATION,
    **dict.fromkeys(["no_clone3", "no_sysv_ipc"], 0x00050026),
    "stays_dumpable": 0x00050000,  # no error
    **dict.fromkeys(["no_foreign_scheduling", "no_set_user_id", "compute"], ERRNO),
    **dict.fromkeys(["ports", "ports_opens", "unix_paths", "unix_paths_opens"], NOTIFICATION),
    **dict.fromkeys(["paths", "notify_paths"], NOTIFICATION),
}
BESIDE_OTHERS = ("no_clone3", "no_sysv_ipc", "no_foreign_scheduling", "no_set_user_id", "stays_dumpable")
FOREIGN_REFUSAL = {**REFUSAL, **dict.fromkeys(BESIDE_OTHERS, ALLOW)}  # they never stand alone
FOREIGN = {"i386": 0x40000003, "arm": 0x40000028, "x86_64": 0xC000003E, "aarch64": 0xC00000B7, "zero": 0}

AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16
NETLINK_ROUTE = 0
SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET = 1, 2, 3, 5
NONBLOCK_CLOEXEC = 0o4000 | 0o2000000
FASTOPEN = 0x20000000
O_PATH = 0o10000000
PR_SET_DUMPABLE = 4
TIOCSTI, TIOCLINUX, TIOCSETD = 0x5412, 0x541C, 0x5423
USERFAULTFD_IOC_NEW = 0xAA00
REQUESTS = (TIOCSTI, TIOCLINUX, TIOCSETD, USERFAULTFD_IOC_NEW)
CONSOLE = 0x4B  # the high byte of all requests of <linux/kd.h>
KDSETMODE, KDSKBMODE, KDSKBDIACRUC = 0x4B3A, 0x4B45, 0x4BFB
VT_OPENQRY, VT_SETMODE, VT_SETACTIVATE = 0x5600, 0x5602, 0x560F  # the first and last of <linux/vt.h>
CONSOLE_REQUESTS = (KDSETMODE, KDSKBMODE, KDSKBDIACRUC, VT_OPENQRY, VT_SETMODE, VT_SETACTIVATE)
# Of btrfs, bcachefs and OCFS2, fs-verity and fscrypt.
FILE_SYSTEMS = (
    *(0x50009401, 0x5000940E, 0x5000940F, 0x50009417, 0x50009418, 0x4008941A, 0x5000943F),
    *(0x4020BC10, 0x4020BC11, 0x40186F04),
    *(0x40806685, 0x800C6613, 0xC0506617, 0xC0406618),
)
PERF_FLAG_PID_CGROUP = 4
LEASES = (1024, 1040)
HIGH = 0xDEADBEEF << 32
POINTER_HIGH_HALF_ONLY = 0x7F00_0000_0000

# By level of setsockopt(2): of sockets, IP, TCP and IPv6.
STEERING = {
    1: {25, 36, 62},
    0: {4, 9, 15, 16, 17, 19, 35, 38, 39, 41, 42, 43, 46, 48, 50},
    6: {19, 30, 31, 33, 34},
    41: {1, 5, 6, 9, 20, 27, 32, 34, 35, 42, 43, 46, 48, 50, 54, 55, 57, 59, 75, 76, 78},
}
SOL_ALG, KEY_BY_SERIAL = 279, 7
SOL_NETLINK, ADD_MEMBERSHIP = 270, 1
PGRP_AND_USER = {"setpriority": (1, 2), "ioprio_set": (2, 3)}
ONE_PROCESS = {"setpriority": 0, "ioprio_set": 1}
SCHEDULING = ("sched_setscheduler", "sched_setparam", "sched_setattr", "sched_setaffinity")
S_ISUID = 0o4000
MODE_ARGUMENT = {"chmod": 1, "fchmod": 1, "fchmodat": 2, "fchmodat2": 2}
ALWAYS = ("add_key", "request_key", "keyctl", "userfaultfd", "open_by_handle_at", "fsopen", "setns")
IPC = frozenset(
    (
        *("shmget", "shmat", "shmctl", "semget", "semop", "semtimedop", "semctl"),
        *("msgget", "msgsnd", "msgrcv", "msgctl", "mq_open", "mq_unlink"),
    )
)

PROT_EXEC = 4
COMPUTING = frozenset(
    (
        *("read", "write", "munmap", "mremap", "madvise", "brk", "futex", "rt_sigreturn"),
        *("exit_group", "clock_gettime", "getrandom"),
    )
)

LEARNT = frozenset(
    (
        *("execve", "execveat", "truncate", "mkdir", "mkdirat", "mknod", "mknodat", "rmdir", "unlink"),
        *("unlinkat", "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat"),
    )
)

CASES = [(program.name, machine) for program in PROGRAMS for machine in MACHINES]
every_program = pytest.mark.parametrize(
    ("name", "machine"), CASES, ids=[f"{name}-{machine}" for name, machine in CASES]
)


def traps_open(call: str, args: Sequence[int]) -> bool:
    match call:
        case "open":
            return not args[1] & O_PATH
        case "openat":
            return not args[2] & O_PATH
    return call in ("openat2", "creat", "io_uring_setup", "io_uring_enter", "io_uring_register")


def refused(name: str, call: str, args: Sequence[int]) -> bool:
    """Return what a program must do with a native call."""
    if name == "no_clone3":
        return call == "clone3"
    if name == "compute":
        return call not in COMPUTING and (call != "mmap" or bool(args[2] & PROT_EXEC))
    if name == "no_sysv_ipc":
        return call in IPC
    if name == "no_foreign_scheduling":
        first, second = (argument & 0xFFFFFFFF for argument in args[:2])
        if call in ONE_PROCESS:
            return first == ONE_PROCESS[call] and second != 0
        return call in SCHEDULING and first != 0
    if name == "no_set_user_id":
        return call in MODE_ARGUMENT and bool(args[MODE_ARGUMENT[call]] & S_ISUID)
    if name == "stays_dumpable":
        return call == "prctl" and args[0] & 0xFFFFFFFF == PR_SET_DUMPABLE and args[1] == 0
    if name in ("paths", "notify_paths"):
        beside = name == "notify_paths" and refused_whatever_opens("notify", call, args)
        return beside or call in LEARNT or traps_open(call, args)
    if name.endswith("opens") and traps_open(call, args):
        return True
    if name.startswith(("ports", "unix_paths")):
        return refused_beside_a_static_program(name.removesuffix("_opens"), call, args)
    return name != "opens" and refused_whatever_opens(name.removesuffix("_opens"), call, args)


def refused_beside_a_static_program(name: str, call: str, args: Sequence[int]) -> bool:
    family, kind = args[0] & 0xFFFFFFFF, args[1] & 0xF
    match call:
        case "connect" | "bind" | "listen" | "io_uring_setup" | "io_uring_enter" | "io_uring_register":
            return True
        case "socket" | "socketpair":
            return name == "unix_paths" and family == AF_UNIX and kind in (SOCK_DGRAM, SOCK_RAW)
    return False


def refused_whatever_opens(name: str, call: str, args: Sequence[int]) -> bool:
    if refused_whatever_the_network(call, args):
        return True
    return name != "open_net" and refused_with_a_network(name, call, args)


def refused_whatever_the_network(call: str, args: Sequence[int]) -> bool:
    match call:
        case "ioctl":
            request = args[1] & 0xFFFFFFFF
            is_of_console = request >> 8 == CONSOLE or request >> 4 == VT_OPENQRY >> 4
            return is_of_console or request in (*REQUESTS, *FILE_SYSTEMS)
        case "fcntl":
            return args[1] & 0xFFFFFFFF in LEASES
        case "setsockopt" if args[1] & 0xFFFFFFFF == SOL_ALG:
            return args[2] & 0xFFFFFFFF == KEY_BY_SERIAL
        case "perf_event_open":
            return args[1] & 0xFFFFFFFF == 0xFFFFFFFF or bool(args[4] & PERF_FLAG_PID_CGROUP)
        case "prlimit64":
            return args[0] & 0xFFFFFFFF != 0 and args[2] != 0
        case "setpriority" | "ioprio_set":
            return args[0] & 0xFFFFFFFF in PGRP_AND_USER[call]
    return call in ALWAYS


def refused_with_a_network(name: str, call: str, args: Sequence[int]) -> bool:
    notify = name == "notify"
    family, kind, protocol = (argument & 0xFFFFFFFF for argument in args[:3])
    kind &= 0xF
    match call:
        case "io_uring_setup" | "io_uring_enter" | "io_uring_register":
            return True
        case "connect" | "bind" | "listen":
            return notify
        case "sendto" | "sendmmsg":
            return bool(args[3] & FASTOPEN)
        case "sendmsg":
            return bool(args[2] & FASTOPEN)
        case "setsockopt" if args[1] & 0xFFFFFFFF == SOL_NETLINK:
            return notify and protocol == ADD_MEMBERSHIP
        case "setsockopt":
            return protocol in STEERING.get(args[1] & 0xFFFFFFFF, ())
        case "socketpair":
            return family != AF_UNIX or (notify and kind in (SOCK_DGRAM, SOCK_RAW))
        case "socket" if family == AF_UNIX:
            return notify and kind in (SOCK_DGRAM, SOCK_RAW)
        case "socket":
            is_tcp = kind == SOCK_STREAM and protocol in (0, 6)
            is_udp = kind == SOCK_DGRAM and protocol in (0, 17)
            if family == AF_NETLINK:
                return name != "tcp_udp_and_route" or protocol != NETLINK_ROUTE
            has_udp = name in ("tcp_and_udp", "tcp_udp_and_route")
            is_made = name != "block_all" and (is_tcp or (has_udp and is_udp))
            return family not in (AF_INET, AF_INET6) or not is_made
    return False


def socket_arguments() -> Iterator[tuple[int, ...]]:
    for family in (*range(50), 255, 0x10001, 0x80000001, 0x7FFFFFFF, 0xFFFFFFFF):
        for kind in (*range(16), 1 | NONBLOCK_CLOEXEC, 2 | NONBLOCK_CLOEXEC, 0x11, 0x80000001):
            for protocol in (0, 1, 6, 17, 132, 262, 0x106, 0x80000006, 0xFFFFFFFF):
                yield family, kind, protocol, 0, 0, 0
    for bit in (1 << position for position in range(64)):
        for family in (AF_UNIX, AF_INET, AF_INET6):
            yield family | bit, SOCK_STREAM, 0, 0, 0, 0
            yield family, SOCK_STREAM | bit, 0, 0, 0, 0
            yield family, SOCK_STREAM, 0 | bit, 0, 0, 0
            yield family, SOCK_STREAM, 6 | bit, 0, 0, 0
            yield family | bit, SOCK_DGRAM, 0, 0, 0, 0
            yield family, SOCK_DGRAM | bit, 0, 0, 0, 0
            yield family, SOCK_DGRAM, 17 | bit, 0, 0, 0
        yield bit, SOCK_STREAM, 0, 0, 0, 0
    for garbage in range(8):
        for kind in (SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET):
            for family in (0, AF_UNIX, AF_INET, 3, AF_INET6, 16):
                high = [HIGH if garbage >> position & 1 else 0 for position in range(3)]
                yield family | high[0], kind | high[1], 6 | high[2], 0, 0, 0
                yield family | high[0], kind | high[1], 17 | high[2], 0, 0, 0


SEND_ARGUMENTS = [
    (3, 0x1000, flags2, flags3, destination, length)
    for flags2 in (0, 0x4000, FASTOPEN, FASTOPEN | 0x4040, FASTOPEN | HIGH, HIGH, FASTOPEN << 32)
    for flags3 in (0, 0x4000, FASTOPEN, FASTOPEN | 0x4040, FASTOPEN | HIGH, HIGH, FASTOPEN << 32)
    for destination in (0, 1, 0x7FFF_1234_5678, POINTER_HIGH_HALF_ONLY)
    for length in (0, 16)
]

LIMIT_ARGUMENTS = [
    (pid, 7, new_limit, 0, 0, 0)
    for pid in (0, HIGH, *(1 << bit for bit in range(64)), 4711, 0xFFFFFFFF)
    for new_limit in (0, 1, 0x7FFF_1234_5678, POINTER_HIGH_HALF_ONLY)
]

OPTION_ARGUMENTS = [
    (3, level | level_garbage, option | garbage, 0x7FFF_1234_5678, 4, 0)
    for level in (*STEERING, SOL_ALG, SOL_NETLINK, 2, 17, 64, 132, 255, 282, 284, 0xFFFFFFFF)
    for option in (*range(100), 0x10019, 0x80000019, 0x100, 0xFFFFFFFF)
    for level_garbage, garbage in ((0, 0), (HIGH, 0), (0, HIGH), (1 << 32, 1 << 63), (1 << 31, 0))
]

SCHEDULING_ARGUMENTS = [
    (first, second, 0x7FFF_1234_5678, 0, 0, 0)
    for first in (0, 1, 2, 3, 4, HIGH, HIGH | 1, HIGH | 2, *(1 << bit for bit in range(64)), 4711, 0xFFFFFFFF)
    for second in (0, HIGH, *(1 << bit for bit in range(64)), 4711, 0xFFFFFFFF)
]

IOCTL_ARGUMENTS = [
    (0, request, 0x7FFF_1234_5678, 0, 0, 0)
    for known in (*REQUESTS, *CONSOLE_REQUESTS, *FILE_SYSTEMS)
    for request in (known, known | HIGH, *(known ^ 1 << bit for bit in range(64)))
]

FCNTL_ARGUMENTS = [
    (3, command, kind, 0, 0, 0)
    for known in LEASES
    for command in (*range(1100), known | HIGH, *(known ^ 1 << bit for bit in range(64)))
    for kind in (0, 1, 2)
]

PERF_ARGUMENTS = [
    (0x7FFF_1234_5678, pid, cpu, 0xFFFFFFFF, flags, 0)
    for pid in (0, 4711, 0xFFFFFFFF, HIGH | 0xFFFFFFFF, *(0xFFFFFFFF ^ 1 << bit for bit in range(64)))
    for cpu in (0, 0xFFFFFFFF)
    for flags in (0, 1, 2, 4, 8, 12, HIGH, HIGH | 4, 1 << 34)
]

OPEN_ARGUMENTS = [
    (0xFFFFFF9C, flags if second else 0x7FFF_1234_5678, 0 if second else flags, 0o666, 0, 0)
    for second in (True, False)
    for base in (0, 0o102, 0o1101, O_PATH, O_PATH | 0o2000000, HIGH | O_PATH, HIGH)
    for flags in (base, *(base ^ 1 << bit for bit in range(64)))
]

PRCTL_ARGUMENTS = [
    (option, dumpable, 0, 0, 0, 0)
    for option in (4, HIGH | 4, *(4 ^ 1 << bit for bit in range(64)))
    for dumpable in (0, 2, HIGH, *(1 << bit for bit in range(64)))
]

MODE_ARGUMENTS = [
    (3, first, second, 0, 0, 0)
    for first in (0, HIGH | S_ISUID, *(1 << bit for bit in range(64)))
    for second in (0, 0o755, 0o4755, HIGH, *(1 << bit for bit in range(64)))
]

PLAIN_ARGUMENTS = [
    (0,) * 6,
    (1, 1, 0, 0, 0, 0),
    (2, 1, 0, 0, 0, 0),
    ((1 << 64) - 1,) * 6,
    (2, 2, 17, 1, 1, 1),
]


def assert_program_is(name: str, machine: str, instructions: Sequence[Instruction]) -> None:
    arch = AUDIT_ARCH[machine]
    calls = {number: call for call, number in SYSCALL_NUMBERS[machine].items()}
    arguments: dict[str, Sequence[tuple[int, ...]]] = {
        "socket": list(socket_arguments()),
        "socketpair": list(socket_arguments()),
        "sendto": SEND_ARGUMENTS,
        "sendmsg": SEND_ARGUMENTS,
        "sendmmsg": SEND_ARGUMENTS,
        "prlimit64": LIMIT_ARGUMENTS,
        "ioctl": IOCTL_ARGUMENTS,
        "fcntl": FCNTL_ARGUMENTS,
        "perf_event_open": PERF_ARGUMENTS,
        **dict.fromkeys(MODE_ARGUMENT, MODE_ARGUMENTS),
        "prctl": PRCTL_ARGUMENTS,
        "setsockopt": OPTION_ARGUMENTS,
        **dict.fromkeys((*SCHEDULING, *ONE_PROCESS), SCHEDULING_ARGUMENTS),
        "open": OPEN_ARGUMENTS,
        "openat": OPEN_ARGUMENTS,
        "mmap": [(0, 4096, protection, 0x22, 0xFFFFFFFF, 0) for protection in (*range(16), HIGH, HIGH | 4)],
    }
    for nr in range(601):
        call = calls.get(nr, "")
        by_number = judged_by_number(instructions, nr, arch)  # that is most, which are followed once
        for args in arguments.get(call, PLAIN_ARGUMENTS):
            expected = REFUSAL[name] if refused(name, call, args) else ALLOW
            action = run(instructions, nr, arch, args)[0] if by_number is None else by_number
            assert action == expected, f"{call or nr} {[hex(argument) for argument in args]}"


@every_program
def test_a_frozen_program_refuses_exactly_what_the_model_refuses(name: str, machine: str) -> None:
    assert_program_is(name, machine, decode(load(name, machine)))


@every_program
def test_a_fresh_build_is_the_frozen_program(name: str, machine: str) -> None:
    program = next(program for program in PROGRAMS if program.name == name)
    fresh = build(program, machine)
    if libseccomp_version() == frozen_with():
        assert fresh == load(name, machine)
    else:  # another version may arrange the same decisions otherwise
        assert_program_is(name, machine, decode(fresh))


@every_program
@pytest.mark.parametrize("foreign", FOREIGN)
def test_every_call_of_a_foreign_architecture_is_refused(name: str, machine: str, foreign: str) -> None:
    instructions = decode(load(name, machine))
    others = ERRNO if name == "compute" else ALLOW
    expected = others if foreign == machine else FOREIGN_REFUSAL[name]
    getpid_like = {nr for nr in range(601) if nr not in SYSCALL_NUMBERS[machine].values()}
    assert {run(instructions, nr, FOREIGN[foreign], (0,) * 6)[0] for nr in getpid_like} == {expected}
    if foreign != machine:
        assert {run(instructions, nr, FOREIGN[foreign], (1,) * 6)[0] for nr in range(601)} == {expected}


@pytest.mark.parametrize("name", REFUSAL)
def test_every_x32_call_is_refused(name: str) -> None:
    instructions = decode(load(name, "x86_64"))
    for args in PLAIN_ARGUMENTS:
        for nr in range(601):
            assert run(instructions, 0x40000000 | nr, AUDIT_ARCH["x86_64"], args)[0] == FOREIGN_REFUSAL[name]


@every_program
def test_a_program_returns_nothing_but_allow_and_its_refusal(name: str, machine: str) -> None:
    returned = {k for code, _, _, k in decode(load(name, machine)) if code == 0x06}
    assert returned == {ALLOW, REFUSAL[name]}


EVERYWHERE = sorted(set.intersection(*(set(numbers) for numbers in SYSCALL_NUMBERS.values())))

REGISTERS = st.one_of(
    st.integers(0, 20),
    st.integers(20, 80),
    st.integers(0, (1 << 64) - 1),
    st.sampled_from([1 << bit for bit in range(64)]),
    st.builds(lambda low, high: low | high << 32, st.integers(0, 20), st.integers(0, (1 << 32) - 1)),
    st.just(SOCK_STREAM | NONBLOCK_CLOEXEC),
    st.just(FASTOPEN | 0x4000),
)


@every_program
@given(
    call=st.sampled_from(EVERYWHERE),
    args=st.tuples(*[REGISTERS] * 6),
)
def test_no_register_value_makes_program_and_model_differ(
    name: str, machine: str, call: str, args: tuple[int, ...]
) -> None:
    action, _ = run(decode(load(name, machine)), SYSCALL_NUMBERS[machine][call], AUDIT_ARCH[machine], args)
    assert action == (REFUSAL[name] if refused(name, call, args) else ALLOW)


@given(
    call=st.sampled_from(EVERYWHERE),
    args=st.tuples(*[REGISTERS] * 6),
    machine=st.sampled_from(MACHINES),
)
def test_the_notify_program_traps_all_that_tcp_only_refuses(
    call: str, args: tuple[int, ...], machine: str
) -> None:
    nr, arch = SYSCALL_NUMBERS[machine][call], AUDIT_ARCH[machine]
    tcp_only, _ = run(decode(load("tcp_only", machine)), nr, arch, args)
    notify, _ = run(decode(load("notify", machine)), nr, arch, args)
    assert tcp_only == ALLOW or notify == REFUSAL["notify"]


@every_program
def test_a_call_that_is_not_judged_takes_few_instructions(name: str, machine: str) -> None:
    instructions = decode(load(name, machine))
    judged = set(SYSCALL_NUMBERS[machine].values())
    costs = [run(instructions, nr, AUDIT_ARCH[machine], (0,) * 6)[1] for nr in range(601) if nr not in judged]
    assert max(costs) <= 16


@every_program
def test_only_calls_with_judged_arguments_need_them(name: str, machine: str) -> None:
    """The kernel remembers which other calls are allowed, and runs no program for them (Linux 5.11)."""
    [program] = [program for program in PROGRAMS if program.name == name]
    numbers, instructions = SYSCALL_NUMBERS[machine], decode(load(name, machine))
    judged = {numbers.get(rule.syscall) for rule in program.rules if rule.comparisons}
    needed = {nr for nr in range(601) if judged_by_number(instructions, nr, AUDIT_ARCH[machine]) is None}
    assert needed <= judged
