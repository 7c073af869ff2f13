"""Define the seccomp programs as lists of rules over registers.

A program refuses each call that matches a rule and allows every other call unchanged; COMPUTE does the
opposite. Calls of a foreign architecture and of x32 are refused before any rule, unless a program leaves
them to another. libseccomp turns the rules into BPF (nono.kernel.filters.build), and the results ship frozen.
"""

from __future__ import annotations

from collections.abc import Collection
from errno import ENOSYS, EPERM
from stat import S_ISUID

from nono.kernel.filters.rules import Masked, NotNull, Program, Rule, other_values
from nono.kernel.filters.socket_options import STEERING
from nono.kernel.uapi import process as uapi
from nono.kernel.uapi.file_ioctl import SUBVOLUMES, VERITY_AND_ENCRYPTION
from nono.kernel.uapi.open import O_PATH
from nono.kernel.uapi.seccomp import SECCOMP_RET_ERRNO, SECCOMP_RET_USER_NOTIF

_INT_BITS = 32
_INT_MASK = (1 << _INT_BITS) - 1
_TYPE_BITS = uapi.SOCK_TYPE_MASK.bit_length()
# Selects the families of allowed sockets: both IP families have this bit, AF_UNIX does not.
_IP_FAMILY_BIT = uapi.AF_INET & uapi.AF_INET6


def _only_families(syscall: str, families: Collection[int]) -> tuple[Rule, ...]:
    return tuple(Rule(syscall, (other,)) for other in other_values(0, families, _INT_BITS))


# io_uring performs connects and sends that no filter sees. All three calls: a ring may be inherited.
_IO_URING = (Rule("io_uring_setup"), Rule("io_uring_enter"), Rule("io_uring_register"))

# A send with this flag connects, past Landlock's connect right and past a trap on connect(2).
_FAST_OPEN = (
    Rule("sendto", (Masked(3, uapi.MSG_FASTOPEN, uapi.MSG_FASTOPEN),)),
    Rule("sendmsg", (Masked(2, uapi.MSG_FASTOPEN, uapi.MSG_FASTOPEN),)),
    Rule("sendmmsg", (Masked(3, uapi.MSG_FASTOPEN, uapi.MSG_FASTOPEN),)),
)

# Setting another process's limit needs only the same uid: RLIMIT_CPU kills a process that Landlock's signal
# scope protects, RLIMIT_FSIZE silences the supervisor's audit log. setrlimit(3) names no process (pid 0).
_LIMITS_OF_OTHERS = tuple(
    Rule("prlimit64", (another, NotNull(2))) for another in other_values(0, (0,), _INT_BITS)
)

# nono itself is in the command's process group, and a PID namespace does not change a process's group.
_PRIORITY_OF_GROUPS = (
    *(Rule("setpriority", (Masked(0, _INT_MASK, which),)) for which in (uapi.PRIO_PGRP, uapi.PRIO_USER)),
    *(
        Rule("ioprio_set", (Masked(0, _INT_MASK, which),))
        for which in (uapi.IOPRIO_WHO_PGRP, uapi.IOPRIO_WHO_USER)
    ),
)

# All programs of a user share the keyrings, and request_key(2) starts a helper as root outside, one of which
# resolves DNS names. Container engines answer EPERM too, and programs work without keyrings.
# A socket of ciphers takes a key of theirs by its number, and the answer of GHASH is then that key.
_KEYS = (
    *(Rule("add_key"), Rule("request_key"), Rule("keyctl")),
    Rule(
        "setsockopt",
        (Masked(1, _INT_MASK, uapi.SOL_ALG), Masked(2, _INT_MASK, uapi.ALG_SET_KEY_BY_KEY_SERIAL)),
    ),
)

# Input pushed into a terminal waits for its next reader: the shell, once nono has ended (CVE-2017-5226). The
# kernel reads the request as 32 bits, and so do the rules (CVE-2019-7303).
_TYPING = tuple(Rule("ioctl", (Masked(1, _INT_MASK, request),)) for request in (uapi.TIOCSTI, uapi.TIOCLINUX))

# They outlive the run, also where nobody is left to undo them. N_NULL is a line discipline that neither reads
# nor writes, and others load modules. Whoever has a Linux console for its terminal may turn its keyboard off
# (KDSKBMODE), its picture too (KDSETMODE), and load a font that hides a question. While it lives, it may keep
# the person from switching to another console (VT_SETMODE).
_DEAD_TERMINALS = (
    Rule("ioctl", (Masked(1, _INT_MASK, uapi.TIOCSETD),)),
    Rule("ioctl", (Masked(1, uapi.KD_MASK, uapi.KD_REQUESTS),)),
    Rule("ioctl", (Masked(1, uapi.VT_MASK, uapi.VT_REQUESTS),)),
)

# With userfaultfd the command could delay the supervisor's reads of its memory for as long as it likes. A
# descriptor of /dev/userfaultfd, which a program outside hands in, gives one without that call.
_STALLING = (Rule("userfaultfd"), Rule("ioctl", (Masked(1, _INT_MASK, uapi.USERFAULTFD_IOC_NEW),)))

# A lease needs only a descriptor for reading, of a file of the same user. Each open of it elsewhere then
# waits for 45 s: that of git for its settings, or of nono for a module of its installation.
_LEASES = tuple(
    Rule("fcntl", (Masked(1, _INT_MASK, command),)) for command in (uapi.F_SETLEASE, uapi.F_SETDELEG)
)

# Landlock checks neither who makes a snapshot nor what it contains, so denied files would appear in it
# without their masks; and all of these need only a descriptor that was opened for reading.
_FILE_SYSTEMS = tuple(
    Rule("ioctl", (Masked(1, _INT_MASK, request),)) for request in (*SUBVOLUMES, *VERITY_AND_ENCRYPTION)
)

# In a user namespace of another program its owner has all capabilities. From Linux 6.18 a handle opens one;
# in 6.12 to 6.18 a request of ioctl(2) hands them out, by too few bits to refuse it (ADR 26); and so may
# a program outside. Container engines also refuse to enter them.
_NAMESPACES = (Rule("open_by_handle_at"), Rule("setns"))

# Where kernel.perf_event_paranoid is 0 or less, an event of a whole CPU or of a cgroup samples the stacks of
# all processes, and Landlock does not check it. Events of single processes need the right to trace them.
_WATCHING_ALL = (
    Rule("perf_event_open", (Masked(1, _INT_MASK, _INT_MASK),)),  # -1
    Rule("perf_event_open", (Masked(4, uapi.PERF_FLAG_PID_CGROUP, uapi.PERF_FLAG_PID_CGROUP),)),
)

# Landlock refuses to mount a file system, not to make one. In namespaces of its own the command could make an
# overlay, for which the kernel removes a file called "work", and makes a directory, wherever it is told to.
_NEW_FILE_SYSTEMS = (Rule("fsopen"),)

_WHATEVER_THE_NETWORK = (
    *(*_LIMITS_OF_OTHERS, *_PRIORITY_OF_GROUPS, *_KEYS, *_TYPING, *_DEAD_TERMINALS),
    *(*_STALLING, *_LEASES, *_FILE_SYSTEMS, *_NEW_FILE_SYSTEMS, *_NAMESPACES, *_WATCHING_ALL),
)

# BLOCK_ALL includes them for sockets that a service passes in. An open network checks no address.
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

# Allows AF_UNIX of any type, and TCP. Every other IP socket sends without connecting (UDP, raw) or speaks a
# protocol that Landlock does not check (MPTCP, SCTP). Other families cannot be checked at all.
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

# For a network namespace of the command's own, in which UDP reaches nobody but the command.
_IP_OF_TCP_AND_UDP = (
    *(
        Rule("socket", (Masked(0, _IP_FAMILY_BIT, _IP_FAMILY_BIT), other))
        for other in other_values(1, (uapi.SOCK_STREAM, uapi.SOCK_DGRAM), _TYPE_BITS)
    ),
    *(
        Rule(
            "socket",
            (Masked(0, _IP_FAMILY_BIT, _IP_FAMILY_BIT), Masked(1, uapi.SOCK_TYPE_MASK, kind), other),
        )
        for kind, protocol in ((uapi.SOCK_STREAM, uapi.IPPROTO_TCP), (uapi.SOCK_DGRAM, uapi.IPPROTO_UDP))
        for other in other_values(2, (uapi.IPPROTO_IP, protocol), _INT_BITS)
    ),
)
_ONLY_UNIX_TCP_AND_UDP = (
    *_only_families("socket", (uapi.AF_UNIX, uapi.AF_INET, uapi.AF_INET6)),
    *_IP_OF_TCP_AND_UDP,
)
# Where the command can have no other network either: of this one it may list the interfaces.
_AND_RTNETLINK = (
    *_only_families("socket", (uapi.AF_UNIX, uapi.AF_INET, uapi.AF_INET6, uapi.AF_NETLINK)),
    *_IP_OF_TCP_AND_UDP,
    *(
        Rule("socket", (Masked(0, _INT_MASK, uapi.AF_NETLINK), other))
        for other in other_values(2, (uapi.NETLINK_ROUTE,), _INT_BITS)
    ),
)

# Of the AF_UNIX sockets, only datagram sockets can send to an address (SOCK_RAW becomes one), and another
# thread may change the address of a sendmsg in memory after it was read. So creating these sockets is
# trapped, by register, and sendmsg is not. A socket pair of this type can send elsewhere too.
_DATAGRAM_OR_RAW = Masked(1, uapi.SOCK_TYPE_MASK & ~1, uapi.SOCK_DGRAM)
_UNIX_DATAGRAMS = tuple(
    Rule(call, (Masked(0, _INT_MASK, uapi.AF_UNIX), _DATAGRAM_OR_RAW)) for call in ("socket", "socketpair")
)
# The supervisor hands out sockets of rtnetlink that may list what this host has. They join groups by bind(2),
# or by this.
_GROUPS_OF_NETLINK = Rule(
    "setsockopt", (Masked(1, _INT_MASK, uapi.SOL_NETLINK), Masked(2, _INT_MASK, uapi.NETLINK_ADD_MEMBERSHIP))
)
_ADDRESSES = (
    Rule("connect"),
    Rule("bind"),
    Rule("listen"),  # without a bind, listen takes a port by itself
    *_UNIX_DATAGRAMS,
    _GROUPS_OF_NETLINK,
)

# The calls that open a file by path to read or write it. Landlock does not check O_PATH, which does neither;
# where the flags are in a register, such a call passes at once. openat2 has its flags in memory. aarch64
# lacks the two oldest calls (build.py omits them there).
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
TCP_AND_UDP = Program("tcp_and_udp", SECCOMP_RET_ERRNO | EPERM, (*_ONLY_UNIX_TCP_AND_UDP, *_ALWAYS))
TCP_UDP_AND_ROUTE = Program("tcp_udp_and_route", SECCOMP_RET_ERRNO | EPERM, (*_AND_RTNETLINK, *_ALWAYS))
NOTIFY = Program("notify", SECCOMP_RET_USER_NOTIF, (*_ONLY_UNIX_AND_TCP, *_ALWAYS, *_ADDRESSES))

# For --capability-elevation. OPENS is installed beside a static program, whose refusals win; NOTIFY_OPENS
# replaces NOTIFY, because the kernel allows one listener. io_uring would open files that neither sees.
OPENS = Program("opens", SECCOMP_RET_USER_NOTIF, (*_OPENS, *_IO_URING))
NOTIFY_OPENS = Program("notify_opens", SECCOMP_RET_USER_NOTIF, (*NOTIFY.rules, *_OPENS))

# For a run without a proxy, beside a static program whose refusals win. PORTS traps TCP addresses, and with
# them every connect of any family, for the supervisor; TCP_ONLY beside it refuses socket options. UNIX_PATHS
# is for Unix sockets; it traps listen too, which tells which of them are the command's own.
_NAMES = (Rule("connect"), Rule("bind"), Rule("listen"))
PORTS = Program("ports", SECCOMP_RET_USER_NOTIF, (*_NAMES, *_IO_URING))
UNIX_PATHS = Program("unix_paths", SECCOMP_RET_USER_NOTIF, (*_NAMES, *_UNIX_DATAGRAMS, *_IO_URING))
PORTS_OPENS = Program("ports_opens", SECCOMP_RET_USER_NOTIF, (*PORTS.rules, *_OPENS))
UNIX_PATHS_OPENS = Program("unix_paths_opens", SECCOMP_RET_USER_NOTIF, (*UNIX_PATHS.rules, *_OPENS))

# For `nono learn`: every call that Landlock checks by a path is observed and then left to Landlock. The
# kernel itself opens the files of execve(2), so that is trapped too. bind(2) creates Unix sockets.
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

# For runs with limits, beside any other program. CLONE_INTO_CGROUP is passed in memory and takes a cgroup
# directory, which O_PATH opens without a Landlock check. The C library falls back to clone(2), which lacks
# the flag.
NO_CLONE3 = Program("no_clone3", SECCOMP_RET_ERRNO | ENOSYS, (Rule("clone3"),), passes_foreign=True)

# For a command without its own IPC namespace, beside any other program. Ids and names belong to the whole
# machine, so using existing objects is refused as well as creating new ones; shmdt(2) only detaches memory of
# the caller. Landlock prevents POSIX queues from being opened, but not from being created or removed. A
# kernel without CONFIG_SYSVIPC gives the same errno.
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

# For a command without its own PID namespace, beside any other program. The kernel requires only the same
# uid: with SCHED_IDLE or one busy CPU the command could slow the supervisor and the mask keeper. A filter
# cannot tell a thread's own number, as pthread_setaffinity_np(3) passes it, from another thread's.
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

# For an ordinary user, beside any other program; root installs packages. Another user could start such a
# program outside, as the person: a database does if it is asked to. The mode that a file is made with is left
# alone, because the kernel clears the bit with the first write.
NO_SET_USER_ID = Program(
    "no_set_user_id",
    SECCOMP_RET_ERRNO | EPERM,
    tuple(
        Rule(call, (Masked(mode, S_ISUID, S_ISUID),))
        for call, mode in (("chmod", 1), ("fchmod", 1), ("fchmodat", 2), ("fchmodat2", 2))
    ),
    passes_foreign=True,
)

# For served calls without a user namespace, beside any other program: the supervisor could not read the
# arguments of a process that makes itself undumpable, as ssh-agent and gpg-agent do. The call returns 0
# without effect (ADR 42).
_ULONG_MASK = (1 << 64) - 1
STAYS_DUMPABLE = Program(
    "stays_dumpable",
    SECCOMP_RET_ERRNO,
    (Rule("prctl", (Masked(0, _INT_MASK, uapi.PR_SET_DUMPABLE), Masked(1, _ULONG_MASK, 0))),),
    passes_foreign=True,
)

# For a process that parses the command's output (the terminal model): it keeps the descriptors it was given,
# and its memory cannot become code. Also allowed is what the C library needs to allocate, to wait for a lock
# and to exit.
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
    *(OPEN_NET, BLOCK_ALL, TCP_ONLY, TCP_AND_UDP, TCP_UDP_AND_ROUTE, NOTIFY, OPENS, NOTIFY_OPENS),
    *(PORTS, UNIX_PATHS, PORTS_OPENS, UNIX_PATHS_OPENS, PATHS, NOTIFY_PATHS),
    *(NO_CLONE3, NO_SYSV_IPC, NO_FOREIGN_SCHEDULING, NO_SET_USER_ID, STAYS_DUMPABLE, COMPUTE),
)

# Calls that newer architectures never had.
LEGACY = frozenset(
    {"open", "creat", "mkdir", "mknod", "rmdir", "unlink", "rename", "link", "symlink", "chmod"}
)
