"""Make a step of every system call, with arguments of the types it takes and with odd ones."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from hunt.programs.signatures import signatures
from hunt.programs.steps import Step, Value

CALLS_BELOW = 480  # numbers that are tried, those without a name as well
ODD: tuple[Value, ...] = (0, 1, -1, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63), 0x100000001, 4096, -100)
DESCRIPTORS = (
    *(
        "stdin",
        "stdout",
        "stderr",
        "pipe",
        "file",
        "dir",
        "null",
        "tty",
        "ptmx",
        "pts",
        "memfd",
        "pidfd",
        "timerfd",
    ),
    *(
        "signalfd",
        "eventfd",
        "epoll",
        "inotify",
        "tcp",
        "tcp6",
        "unix",
        "datagram",
        "netlink",
        "connected",
        "proc",
    ),
    *("secret", "folder", "terminal", "userns", "mntns", "pidfd-outside"),
)
PATHS = (
    *(
        "secret",
        "folder",
        "fresh",
        "inner",
        "link",
        "temporary",
        "shared",
        "mine",
        "mine-too",
        "socket",
        "state",
    ),
    *("memory", "environ", "terminal", "supervisor", "profile"),
)
PROCESSES = ("outside", "supervisor", "self")  # not what runs the steps, which would end

# What a type of argument may be. "at" is a directory that the next argument is looked up in.
POOLS: dict[str, tuple[Value, ...]] = {
    "fd": tuple(f"fd:{name}" for name in DESCRIPTORS),
    "at": (-100, "fd:dir", "fd:folder", "fd:proc"),
    "path": tuple(f"path:{name}" for name in PATHS),
    "pid": tuple(f"pid:{name}" for name in PROCESSES),
    "buf": ("buf", "page", 0, "bad"),
    "out": ("buf",),
    "in": ("page", "zeros"),
    "len": (0, 1, 8, 16, 64, 128, 4096, -1),
    "flags": (0, 1, 2, 3, 4, 8, 0x10, 0x20, 0x40, 0x80, 0x100, 0x1000, 0x2000, 0x4000, 0x10000, 0x80000, -1),
    "oflags": (0, 1, 2, 0o101, 0o102, 0o1001, 0o1102, 0o2001, 0o200000, 0o10000000, 0o20200002),
    "mode": (0, 0o777, 0o4755, 0o100644, 0o20666, 0o60666, 0o140777, 0o10777),
    "id": (0, 1, 62000, 65534, -1),
    "sig": (0, 1, 2, 9, 10, 15, 18, 19, 20, 23, 34, 64, 65),
    "int": (0, 1, 2, 3, 5, 7, 16, 4096, -1),
    "sa": (
        "sa:proxy",
        "sa:proxy6",
        "sa:stranger",
        "sa:stranger6",
        "sa:service",
        "sa:abstract",
        "sa:inner",
        "sa:open",
    ),
    "salen": (0, 2, 16, 28, 110, 128),
    "family": (1, 2, 10, 16, 17, 29, 31, 38, 40, 43, 44),
    "socktype": (1, 2, 3, 4, 5, 0x801, 0x80801),
    "proto": (0, 1, 6, 17, 58, 132, 136, 255, 262),
    "key": (-1, -2, -3, -4, -5, 0, 1, "id:key"),
    "keytype": (
        "text:user",
        "text:keyring",
        "text:logon",
        "text:dns_resolver",
        "text:big_key",
        "text:.request_key_auth",
    ),
    "text": ("text:canary", "text:a.stranger.example", "text:tmpfs", "text:"),
    "shmkey": (0, "id:shmkey", "id:msgkey", "id:semkey"),
    "shmid": ("id:shm", "id:msg", "id:sem", 0, 1, 2),
    "ipc": (0, 1, 2, 3, 11, 12, 13, 14, 15, 16, 17, 18, 19, 0o1666, 0o3666, 0o600),
    "queue": ("text:hunt-canary", "text:/hunt-canary", "text:new"),
    "policy": (0, 1, 2, 3, 5, 6, 0x40000000),
    "iov": ("iov:own", "iov:outside"),
    "any": (*ODD, "buf", "page", "bad"),
}


# What ends or stops the machine, or waits for good; nothing is learned from it.
LEFT_OUT = frozenset(
    {
        *(
            "reboot",
            "kexec_load",
            "kexec_file_load",
            "vhangup",
            "sync",
            "syncfs",
            "exit",
            "exit_group",
            "pause",
        ),
        *("rt_sigreturn", "restart_syscall", "vfork", "fork", "clone"),  # "clone" has a kind of its own
    }
)
# What a real root may do, to this very machine.
LEFT_OUT_FOR_ROOT = LEFT_OUT | {
    *(
        "settimeofday",
        "clock_settime",
        "clock_settime64",
        "adjtimex",
        "clock_adjtime",
        "stime",
        "sethostname",
    ),
    *(
        "setdomainname",
        "swapon",
        "swapoff",
        "acct",
        "init_module",
        "finit_module",
        "delete_module",
        "iopl",
        "ioperm",
    ),
    *(
        "quotactl",
        "quotactl_fd",
        "nfsservctl",
        "syslog",
        "bpf",
        "lookup_dcookie",
        "mknod",
        "mknodat",
        "fsopen",
    ),
}

Namer = Callable[[int], str | None]


def left_out(*, as_root: bool) -> frozenset[str]:
    return frozenset(LEFT_OUT_FOR_ROOT if as_root else LEFT_OUT)


def typed(choice: random.Random, *, as_root: bool, rounds: int) -> list[Step]:
    """Yield every signature that many times, with arguments that its types may have."""
    skipped = left_out(as_root=as_root)
    return [
        ("call", name, *(argument(choice, kind) for kind in types))
        for name, types in signatures()
        if name not in skipped
        for _ in range(rounds)
    ]


def argument(choice: random.Random, kind: str) -> Value:
    if kind in ("how", "msg"):
        return kind
    name, colon, text = kind.partition(":")
    if (name == "int" and colon) or (name == "flags" and colon):
        return int(text, 0)
    if colon:
        return kind
    if kind.isdecimal():
        return int(kind)
    return choice.choice(POOLS[kind])


def odd(names: Namer, *, as_root: bool, values: Sequence[Value] = ODD) -> list[Step]:
    """Yield every number with the same odd value in each register, and with addresses in some of them."""
    skipped = left_out(as_root=as_root)
    patterns: list[tuple[Value, ...]] = [(value,) * 6 for value in (*values, "buf", "bad")]
    patterns += [
        ("fd:file", "buf", 64, 0, 0, 0),
        ("fd:tcp", "page", 64, 0, 0, 0),
        ("path:secret", "buf", 64, 0, 0, 0),
    ]
    patterns += [
        ("pid:outside", "buf", 64, 0, 0, 0),
        (0, "pid:outside", 9, 0, 0, 0),
        ("fd:pidfd-outside", 9, 0, 0, 0, 0),
    ]
    patterns += [(-100, "path:secret", 2, 0o777, 0, 0), (-100, "path:fresh", 0o101, 0o777, 0, 0)]
    steps: list[Step] = []
    for number in range(CALLS_BELOW):
        name = names(number)
        if name not in skipped:
            steps += [("call", name or f"#{number}", *pattern) for pattern in patterns]
    return steps
