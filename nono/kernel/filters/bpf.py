"""Defines the seccomp programs: each is a list of rules over registers that say which calls it refuses.

A call that matches any rule is refused; the program allows every other call unchanged (COMPUTE the other way
round). Calls of a foreign
architecture and of x32 are refused before any rule, unless a program leaves them to another. libseccomp turns
the rules into BPF (nono.kernel.filters.build), and the results ship frozen.
"""

from __future__ import annotations

from collections.abc import Collection
from errno import ENOSYS, EPERM

from nono.kernel.filters.rules import Masked, NotNull, Program, Rule, other_values
from nono.kernel.filters.socket_options import STEERING
from nono.kernel.uapi import process as uapi
from nono.kernel.uapi.open import O_PATH
from nono.kernel.uapi.seccomp import SECCOMP_RET_ERRNO, SECCOMP_RET_USER_NOTIF

_INT_BITS = 32
_INT_MASK = (1 << _INT_BITS) - 1
_TYPE_BITS = uapi.SOCK_TYPE_MASK.bit_length()
# The families of allowed sockets: both IP families have this bit, AF_UNIX does not.
_IP_FAMILY_BIT = uapi.AF_INET & uapi.AF_INET6


def _only_families(syscall: str, families: Collection[int]) -> tuple[Rule, ...]:
    return tuple(Rule(syscall, (other,)) for other in other_values(0, families, _INT_BITS))


# A ring carries out connects and sends that no filter sees. All three calls: a ring may be inherited.
_IO_URING = (Rule("io_uring_setup"), Rule("io_uring_enter"), Rule("io_uring_register"))

# A send with this flag connects, past Landlock's connect right and past a trap on connect(2).
_FAST_OPEN = (
    Rule("sendto", (Masked(3, uapi.MSG_FASTOPEN, uapi.MSG_FASTOPEN),)),
    Rule("sendmsg", (Masked(2, uapi.MSG_FASTOPEN, uapi.MSG_FASTOPEN),)),
    Rule("sendmmsg", (Masked(3, uapi.MSG_FASTOPEN, uapi.MSG_FASTOPEN),)),
)

# Setting a limit of another process asks for the same uid and nothing else: RLIMIT_CPU kills what the signal
# scope protects, RLIMIT_FSIZE silences the supervisor's audit log. setrlimit(3) names no process (pid 0).
_LIMITS_OF_OTHERS = tuple(
    Rule("prlimit64", (another, NotNull(2))) for another in other_values(0, (0,), _INT_BITS)
)

# nono itself is in the command's process group, and a PID namespace does not take a process out of its group.
_PRIORITY_OF_GROUPS = (
    *(Rule("setpriority", (Masked(0, _INT_MASK, which),)) for which in (uapi.PRIO_PGRP, uapi.PRIO_USER)),
    *(
        Rule("ioprio_set", (Masked(0, _INT_MASK, which),))
        for which in (uapi.IOPRIO_WHO_PGRP, uapi.IOPRIO_WHO_USER)
    ),
)

# The keyrings are those of everything the user runs, and request_key(2) starts a helper of root's outside,
# which looks up names in the DNS for one. Container engines answer EPERM as well, and programs do without.
_KEYS = (Rule("add_key"), Rule("request_key"), Rule("keyctl"))

# What is typed into a terminal waits for its next reader: the shell, once nono has ended (CVE-2017-5226).
# The kernel reads the request as 32 bits, and so do the rules (CVE-2019-7303).
_TYPING = tuple(Rule("ioctl", (Masked(1, _INT_MASK, request),)) for request in (uapi.TIOCSTI, uapi.TIOCLINUX))

# Memory whose faults the command answers holds up whoever reads it for as long as it likes: the supervisor.
_STALLING = (Rule("userfaultfd"),)

_WHATEVER_THE_NETWORK = (*_LIMITS_OF_OTHERS, *_PRIORITY_OF_GROUPS, *_KEYS, *_TYPING, *_STALLING)

# BLOCK_ALL has them for sockets that a service hands in; on an open network no address is judged.
_STEERING = tuple(
    Rule("setsockopt", (Masked(1, _INT_MASK, level), Masked(2, _INT_MASK, option)))
    for level, option in STEERING
)

_ALWAYS = (
    *_only_families("socketpair", (uapi.AF_UNIX,)),
    *_IO_URING,
    *_FAST_OPEN,
    *_STEERING,
    *_WHATEVER_THE_NETWORK,
)

_ONLY_UNIX = _only_families("socket", (uapi.AF_UNIX,))

# AF_UNIX of any type, and TCP. All else of IP sends without connecting (UDP, raw) or speaks a protocol that
# Landlock does not judge (MPTCP, SCTP). Other families cannot be judged at all.
_ONLY_UNIX_AND_TCP = (
    *_only_families("socket", (uapi.AF_UNIX, uapi.AF_INET, uapi.AF_INET6)),
    *(
        Rule("socket", (Masked(0, _IP_FAMILY_BIT, _IP_FAMILY_BIT), other))
        for other in (
            *other_values(1, (uapi.SOCK_STREAM,), _TYPE_BITS),
            *other_values(2, (uapi.IPPROTO_IP, uapi.IPPROTO_TCP), _INT_BITS),
        )
    ),
)

# Datagram sockets are the only ones of AF_UNIX that a send can address (SOCK_RAW becomes one), and the
# address of a sendmsg lies in memory that another thread may change after it was read. So creating the
# sockets is trapped, by register, and sendmsg is not. A pair of them can send elsewhere like any other.
_DATAGRAM_OR_RAW = Masked(1, uapi.SOCK_TYPE_MASK & ~1, uapi.SOCK_DGRAM)
_UNIX_DATAGRAMS = tuple(
    Rule(call, (Masked(0, _INT_MASK, uapi.AF_UNIX), _DATAGRAM_OR_RAW)) for call in ("socket", "socketpair")
)
_ADDRESSES = (
    Rule("connect"),
    Rule("bind"),
    Rule("listen"),  # without a bind it takes a port by itself
    Rule("sendto", (NotNull(4),)),
    *_UNIX_DATAGRAMS,
)

# The calls that open a file by its path to read or write it. O_PATH does neither, and Landlock does not
# judge it; where the flags lie in a register such a call passes at once. openat2 has its flags in memory.
# The two oldest calls are missing on aarch64 (build.py leaves them out there).
_READS_OR_WRITES = 0
_OPENS = (
    Rule("open", (Masked(1, O_PATH, _READS_OR_WRITES),)),
    Rule("openat", (Masked(2, O_PATH, _READS_OR_WRITES),)),
    Rule("openat2"),
    Rule("creat"),
)

OPEN_NET = Program("open_net", SECCOMP_RET_ERRNO | EPERM, _WHATEVER_THE_NETWORK)
BLOCK_ALL = Program("block_all", SECCOMP_RET_ERRNO | EPERM, (*_ONLY_UNIX, *_ALWAYS))
TCP_ONLY = Program("tcp_only", SECCOMP_RET_ERRNO | EPERM, (*_ONLY_UNIX_AND_TCP, *_ALWAYS))
NOTIFY = Program("notify", SECCOMP_RET_USER_NOTIF, (*_ONLY_UNIX_AND_TCP, *_ALWAYS, *_ADDRESSES))

# With --capability-elevation. OPENS stands beside one of the static programs, whose refusals win;
# NOTIFY_OPENS replaces NOTIFY, because the kernel allows one listener. An io_uring would open files
# that neither sees.
OPENS = Program("opens", SECCOMP_RET_USER_NOTIF, (*_OPENS, *_IO_URING))
NOTIFY_OPENS = Program("notify_opens", SECCOMP_RET_USER_NOTIF, (*NOTIFY.rules, *_OPENS))

# Without a proxy, beside a static program whose refusals win. PORTS has the addresses of TCP checked, and so
# every connect passes through the supervisor, whatever its family; TCP_ONLY beside it refuses socket options.
# UNIX_PATHS has Unix sockets checked; on an open network nothing else is.
_NAMES = (Rule("connect"), Rule("bind"))
PORTS = Program("ports", SECCOMP_RET_USER_NOTIF, (*_NAMES, Rule("listen"), *_IO_URING))
UNIX_PATHS = Program("unix_paths", SECCOMP_RET_USER_NOTIF, (*_NAMES, *_UNIX_DATAGRAMS, *_IO_URING))
PORTS_OPENS = Program("ports_opens", SECCOMP_RET_USER_NOTIF, (*PORTS.rules, *_OPENS))
UNIX_PATHS_OPENS = Program("unix_paths_opens", SECCOMP_RET_USER_NOTIF, (*UNIX_PATHS.rules, *_OPENS))

# With `nono learn`: every call that Landlock judges by a path is observed, and left to Landlock. For
# execve(2) the kernel opens files itself, so that is trapped too. Unix sockets are made by bind(2).
_PATHS = (
    *_OPENS,
    *map(
        Rule,
        (
            *("execve", "execveat", "truncate", "mkdir", "mkdirat", "mknod", "mknodat", "rmdir", "unlink"),
            *("unlinkat", "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat"),
        ),
    ),
)
PATHS = Program("paths", SECCOMP_RET_USER_NOTIF, (*_PATHS, *_IO_URING))
NOTIFY_PATHS = Program("notify_paths", SECCOMP_RET_USER_NOTIF, (*NOTIFY.rules, *_PATHS))

# With limits, beside any other. CLONE_INTO_CGROUP lies in memory, and takes a cgroup directory, which O_PATH
# opens without asking Landlock. The C library falls back to clone(2), which has no such flag.
NO_CLONE3 = Program("no_clone3", SECCOMP_RET_ERRNO | ENOSYS, (Rule("clone3"),), passes_foreign=True)

# Where the command has no IPC namespace of its own, beside any other. Ids and names are those of the machine,
# so using what there is is refused as well as making more; shmdt(2) lets go of own memory only. Landlock
# keeps POSIX queues from being opened, but not from being made or removed. A kernel without CONFIG_SYSVIPC
# answers the same.
NO_SYSV_IPC = Program(
    "no_sysv_ipc",
    SECCOMP_RET_ERRNO | ENOSYS,
    tuple(
        map(
            Rule,
            (
                *("shmget", "shmat", "shmctl", "semget", "semop", "semtimedop", "semctl"),
                *("msgget", "msgsnd", "msgrcv", "msgctl", "mq_open", "mq_unlink"),
            ),
        )
    ),
    passes_foreign=True,
)

# Where the command has no PID namespace of its own, beside any other. The kernel asks for the same uid and
# nothing else: SCHED_IDLE or one busy CPU keeps the supervisor and who keeps the masks from acting in time. A
# thread that names itself by its number, as pthread_setaffinity_np(3) does, looks like any other to a filter.
_ANOTHER = other_values(0, (0,), _INT_BITS)
NO_FOREIGN_SCHEDULING = Program(
    "no_foreign_scheduling",
    SECCOMP_RET_ERRNO | EPERM,
    (
        *(
            Rule(call, (another,))
            for call in ("sched_setscheduler", "sched_setparam", "sched_setattr", "sched_setaffinity")
            for another in _ANOTHER
        ),
        *(
            Rule(call, (Masked(0, _INT_MASK, which), another))
            for call, which in (
                ("setpriority", uapi.PRIO_PROCESS),
                ("ioprio_set", uapi.IOPRIO_WHO_PROCESS),
            )
            for another in other_values(1, (0,), _INT_BITS)
        ),
    ),
    passes_foreign=True,
)

# Where calls are served without a user namespace of the command, beside any other: the supervisor could not
# read the arguments of a process that hides itself, and every agent of keys does. The call is answered with 0
# and not made (ADR 42).
_ULONG_MASK = (1 << 64) - 1
STAYS_DUMPABLE = Program(
    "stays_dumpable",
    SECCOMP_RET_ERRNO,
    (Rule("prctl", (Masked(0, _INT_MASK, uapi.PR_SET_DUMPABLE), Masked(1, _ULONG_MASK, 0))),),
    passes_foreign=True,
)

# For a process that parses what the command wrote (the model of its terminal): it has the descriptors that
# it was given, and memory, of which none becomes code. What the C library needs to allocate, to wait for a
# lock and to end is here too.
COMPUTE = Program(
    "compute",
    SECCOMP_RET_ERRNO | EPERM,
    (
        *map(Rule, ("read", "write", "munmap", "mremap", "madvise", "brk", "futex", "rt_sigreturn")),
        *map(Rule, ("exit_group", "clock_gettime", "getrandom")),
        Rule("mmap", (Masked(2, uapi.PROT_EXEC, 0),)),
    ),
    allows=True,
)

PROGRAMS = (
    *(OPEN_NET, BLOCK_ALL, TCP_ONLY, NOTIFY, OPENS, NOTIFY_OPENS),
    *(PORTS, UNIX_PATHS, PORTS_OPENS, UNIX_PATHS_OPENS, PATHS, NOTIFY_PATHS),
    *(NO_CLONE3, NO_SYSV_IPC, NO_FOREIGN_SCHEDULING, STAYS_DUMPABLE, COMPUTE),
)

# Calls that newer machines never had.
LEGACY = frozenset({"open", "creat", "mkdir", "mknod", "rmdir", "unlink", "rename", "link", "symlink"})
