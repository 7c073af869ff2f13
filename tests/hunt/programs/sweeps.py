"""Make steps systematically: socket options, ioctls, paths, signals, clone flags, requests to the proxy."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator

from hunt.programs.calls import DESCRIPTORS, PATHS, PROCESSES
from hunt.programs.steps import Step

OPTION_LEVELS = (0, 1, 6, 17, 41, 58, 255, 262, 263, 270, 273, 277, 282, 284, 286)
OPTIONS_BELOW = 101
KNOWN_OPTIONS = (0x8000, 0x80000000 - 1)
# A socket (family, type, protocol) and whom it connects to then.
CONNECTS: tuple[tuple[int, int, int, str], ...] = (
    (2, 1, 0, "sa:proxy"),
    (10, 1, 0, "sa:proxy6"),
    (10, 1, 0, "sa:open6"),
    (2, 1, 0, "sa:open"),
    (2, 1, 262, "sa:proxy"),
    (1, 1, 0, "sa:service"),
)
OF_TERMINALS = (*range(0x5400, 0x5480), 0x80045440)  # <asm-generic/ioctls.h>
IOCTLS = (
    *OF_TERMINALS,
    *range(0x8900, 0x89F0),  # <linux/sockios.h>
    *(
        0x80045430,
        0x80045432,
        0x80045438,
        0x80045439,
        0x80045440,
        0x5441,
        0x40045431,
        0x40045436,
    ),  # of terminals
    *(
        0x1,
        0x2,
        0xB701,
        0xB702,
        0xB703,
        0xB704,
        0x8008B705,
        0x8004B706,
        0x8004B707,
        0x8004B708,
        0x8004B709,
    ),  # ns
    *range(0xFF01, 0xFF0C),  # of pidfds
    *(
        0x8010FF0B,
        0xC0000000 | 0xFF0B,
        0x40086602,
        0x80086601,
        0x40045402,
        0x6611,
        0x6612,
        0x5450,
        0x5451,
        0x5452,
    ),
    *(
        0x401C5820,
        0x801C581F,
        0x4004662C,
        0xC0185879,
        0x4020940D,
        0x40049409,
        0xC0189436,
        0xC020660B,
    ),
    *(0x127F, 0x125D, 0x1260, 0x80081272, 0x127D, 0xC0481273, 0x4B30, 0x4B31, 0x541C, 0x5603, 0x5606, 0x5607),
    *(0xC020AA3F, 0xAA00, 0x2400, 0x2401, 0x2405, 0xC0502100, 0x40182103, 0xC0302200),
)
N_NULL = "text:\x1b\0\0"  # as an int, of the line discipline that reads and writes nothing
IOCTL_ARGUMENTS = ("buf", "page", "zeros", N_NULL, 0, 1, "pid:outside")
OPEN_FLAGS = (os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_PATH)
# Opened, the machine ends or waits: watchdogs, the snapshot device, queues that others read.
NOT_OPENED = (
    "/dev/watchdog",
    "/dev/snapshot",
    "/dev/kmsg",
    "/proc/kmsg",
    "/proc/sysrq-trigger",
    "/dev/mem",
    "/dev/vcs",
)
TREES = ("/proc", "/sys", "/dev")
DEPTH = 5
SIGNAL_WAYS = ("kill", "group", "thread", "queue", "pidfd", "owner")
CLONE_BITS = tuple(1 << bit for bit in range(7, 34))
NAMES = (
    "stranger.example",
    "a.canary.stranger.example",
    "localhost",
    "metadata",
    "[2001:db8:2::7]",
    "198.51.100.7",
)
REQUESTS = (
    "CONNECT {name}:443 HTTP/1.1\r\nHost: {name}\r\n{token}\r\n",
    "CONNECT {name}:22 HTTP/1.1\r\nHost: localhost\r\n{token}\r\n",
    "GET http://{name}/ HTTP/1.1\r\nHost: {name}\r\n{token}\r\n",
    "GET http://{name}:8080/ HTTP/1.1\r\nHost: x@{name}\r\n\r\n",
    "GET //{name}/ HTTP/1.1\r\nHost: {name}\r\n{token}\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "\0{name}\r\n\r\n",
    "GET /{name}/.. HTTP/1.1\r\nHost: {name}\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
)


def options() -> Iterator[Step]:
    for family, kind, protocol, target in CONNECTS:
        for level in OPTION_LEVELS:
            for option in (*range(OPTIONS_BELOW), *KNOWN_OPTIONS):
                yield ("option", family, kind, protocol, level, option, target)


def ioctls(choice: random.Random, random_ones: int = 200) -> Iterator[Step]:
    requests = [*dict.fromkeys(IOCTLS), *(choice.getrandbits(32) for _ in range(random_ones))]
    for descriptor in DESCRIPTORS:
        for request in requests:
            yield ("ioctl", descriptor, request, choice.choice(IOCTL_ARGUMENTS))
    # The terminal of who started the run, which that one uses afterwards.
    for request in OF_TERMINALS:
        for argument in IOCTL_ARGUMENTS:
            yield ("ioctl", "stdin", request, argument)


def opens(list_directory: Callable[[str], list[str]]) -> Iterator[Step]:
    """list_directory: The names below one; empty for what is none, or closed."""
    return (step for path in _below(list_directory, TREES) for step in _opened(path))


def canaries() -> Iterator[Step]:
    return (step for name in PATHS for step in _opened(f"path:{name}"))


def _opened(path: str) -> Iterator[Step]:
    if not path.startswith(NOT_OPENED):
        for flags in OPEN_FLAGS:
            yield ("open", path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def _below(list_directory: Callable[[str], list[str]], roots: tuple[str, ...]) -> Iterator[str]:
    waiting = [(root, 0) for root in roots]
    while waiting:
        path, depth = waiting.pop()
        yield path
        if depth < DEPTH:
            waiting += [(f"{path}/{name}", depth + 1) for name in list_directory(path)]


def signals() -> Iterator[Step]:
    for number in range(-1, 67):
        for who in PROCESSES:
            for way in SIGNAL_WAYS:
                yield ("signal", way, f"pid:{who}", number)


def clones() -> Iterator[Step]:
    for how in ("clone", "clone3", "unshare"):
        for first in CLONE_BITS:
            yield ("clone", how, first)
            for second in CLONE_BITS:
                if second > first:
                    yield ("clone", how, first | second)


def requests() -> Iterator[Step]:
    for name in NAMES:
        for text in REQUESTS:
            yield ("request", text.replace("{name}", name))
