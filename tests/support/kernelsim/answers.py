"""Decide what an older kernel answers to a system call: Landlock's three, and uname(2).

The checks and their order are those of security/landlock/syscalls.c. The table is that of
include/uapi/linux/landlock.h in the kernel that introduced each ABI.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from struct import unpack
from typing import NamedTuple

type ReadMemory = Callable[[int, int], bytes]
"""(address, size in bytes) -> so many bytes of the caller's memory; OSError when they cannot be had."""

PAGE_BYTES = 4096
CREATE_RULESET_VERSION = 1
CREATE_RULESET_ERRATA = 2
RULE_PATH_BENEATH = 1
RULE_NET_PORT = 2


class Generation(NamedTuple):
    """What one Landlock ABI knows."""

    attr_bytes: int  # sizeof(struct landlock_ruleset_attr)
    handled_access_fs: int
    handled_access_net: int = 0
    scoped: int = 0
    rule_types: tuple[int, ...] = (RULE_PATH_BENEATH,)
    restrict_self_flags: int = 0


BOTH_RULES = (RULE_PATH_BENEATH, RULE_NET_PORT)
GENERATIONS = {
    1: Generation(8, 0x1FFF),
    2: Generation(8, 0x3FFF),  # REFER
    3: Generation(8, 0x7FFF),  # TRUNCATE
    4: Generation(16, 0x7FFF, 0x3, 0, BOTH_RULES),  # BIND_TCP, CONNECT_TCP
    5: Generation(16, 0xFFFF, 0x3, 0, BOTH_RULES),  # IOCTL_DEV
    6: Generation(24, 0xFFFF, 0x3, 0x3, BOTH_RULES),  # abstract sockets, signals
    7: Generation(24, 0xFFFF, 0x3, 0x3, BOTH_RULES, 0x7),  # audit logging
}
ERRATA_SINCE_ABI = 6  # backport-dependent below: absent on 6.5, present on 6.12


class Imagined(NamedTuple):
    """The kernel to answer for. None leaves the matter to the host's kernel."""

    landlock_abi: int | None = None
    landlock_absent_errno: int = errno.EOPNOTSUPP
    utsname: bytes | None = None  # struct new_utsname, whole


class Call(NamedTuple):
    name: str
    args: tuple[int, ...]  # as the registers hold them: 64 bits, unsigned


class LeaveToHost(NamedTuple):
    """The host's kernel carries the call out."""

    reason: str


class Answer(NamedTuple):
    """The call returns `value` (a negative errno is a failure) once `store` was written to `address`."""

    value: int
    reason: str
    store: bytes = b""
    address: int = 0


type Verdict = LeaveToHost | Answer


def refuse(errno_value: int, reason: str) -> Answer:
    return Answer(-errno_value, reason)


def decide(imagined: Imagined, call: Call, read: ReadMemory) -> Verdict:
    """Return the verdict on one call. `read` is used at most once, for the attribute of a ruleset."""
    if call.name == "uname":
        if imagined.utsname is None:
            return LeaveToHost("the release is the host's")
        return Answer(0, "another release", imagined.utsname, call.args[0])
    if imagined.landlock_abi is None:
        return LeaveToHost("Landlock is the host's")
    if imagined.landlock_abi == 0:
        return refuse(imagined.landlock_absent_errno, "no Landlock")
    match call.name:
        case "landlock_create_ruleset":
            return create_ruleset(imagined.landlock_abi, call.args, read)
        case "landlock_add_rule":
            return add_rule(imagined.landlock_abi, call.args)
        case "landlock_restrict_self":
            return restrict_self(imagined.landlock_abi, call.args)
    return LeaveToHost("not simulated")


def create_ruleset(abi: int, args: tuple[int, ...], read: ReadMemory) -> Verdict:
    """Judge landlock_create_ruleset(attr, size, flags)."""
    attr, size, flags = args[0], args[1], _u32(args[2])
    if flags:
        if (attr, size) == (0, 0) and flags == CREATE_RULESET_VERSION:
            return Answer(abi, "the version query")
        if (attr, size) == (0, 0) and flags == CREATE_RULESET_ERRATA and abi >= ERRATA_SINCE_ABI:
            return LeaveToHost("the errata query")
        return refuse(errno.EINVAL, f"flags {flags:#x}")
    if attr == 0:
        return refuse(errno.EFAULT, "no attribute")
    if size < 8:
        return refuse(errno.EINVAL, f"an attribute of {size} bytes")
    if size > PAGE_BYTES:
        return refuse(errno.E2BIG, f"an attribute of {size} bytes")
    try:
        return judge_ruleset(abi, read(attr, size))
    except OSError as error:
        return refuse(errno.EFAULT, f"the attribute cannot be read: {error.strerror}")


def judge_ruleset(abi: int, attribute: bytes) -> Verdict:
    """Judge the bytes of a struct landlock_ruleset_attr of any version."""
    generation = GENERATIONS[abi]
    if any(attribute[generation.attr_bytes :]):
        return refuse(errno.E2BIG, f"more than the {generation.attr_bytes} bytes of ABI {abi}")
    handled_access_fs, handled_access_net, scoped = unpack("=QQQ", attribute[:24].ljust(24, b"\0"))
    for field, asked, known in (
        ("handled_access_fs", handled_access_fs, generation.handled_access_fs),
        ("handled_access_net", handled_access_net, generation.handled_access_net),
        ("scoped", scoped, generation.scoped),
    ):
        if asked & ~known:
            return refuse(errno.EINVAL, f"{field} {asked & ~known:#x} is newer than ABI {abi}")
    return LeaveToHost("within the ABI")


def add_rule(abi: int, args: tuple[int, ...]) -> Verdict:
    """Judge landlock_add_rule(ruleset_fd, rule_type, rule_attr, flags). The ruleset limits the rights."""
    rule_type, flags = _u32(args[1]), _u32(args[3])
    if flags:
        return refuse(errno.EINVAL, f"flags {flags:#x}")
    if rule_type not in GENERATIONS[abi].rule_types:
        return refuse(errno.EINVAL, f"rule type {rule_type} is newer than ABI {abi}")
    return LeaveToHost("within the ABI")


def restrict_self(abi: int, args: tuple[int, ...]) -> Verdict:
    """Judge landlock_restrict_self(ruleset_fd, flags)."""
    unknown = _u32(args[1]) & ~GENERATIONS[abi].restrict_self_flags
    if unknown:
        return refuse(errno.EINVAL, f"flags {unknown:#x} are newer than ABI {abi}")
    return LeaveToHost("within the ABI")


def _u32(register: int) -> int:
    return register & 0xFFFFFFFF
