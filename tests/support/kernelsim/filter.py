"""Write the simulator's outer seccomp program: which calls are consulted on, and which are refused.

Instructions are struct sock_filter (linux/filter.h) over struct seccomp_data (linux/seccomp.h). Every filter
of a process is run, and the strictest answer counts (seccomp(2)): if a later filter of the tree refuses or
notifies of one of these calls itself, its answer takes precedence over this one.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping
from struct import pack
from typing import NamedTuple

RET_USER_NOTIF = 0x7FC00000
RET_TRACE = 0x7FF00000
RET_ALLOW = 0x7FFF0000
RET_ERRNO = 0x00050000

LD_W_ABS, JEQ_K, JSET_K, RET_K = 0x20, 0x15, 0x45, 0x06
OFFSET_NR, OFFSET_ARCH, OFFSET_ARG0 = 0, 4, 16  # of the low half: both architectures are little-endian

CLONE_NEWUSER = 0x10000000

type Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, operand


class Architecture(NamedTuple):
    """AUDIT_ARCH_* (linux/audit.h) and the numbers of asm/unistd_64.h, or asm-generic/unistd.h."""

    audit_arch: int
    numbers: Mapping[str, int]


LANDLOCK_NUMBERS = {
    "landlock_create_ruleset": 444,
    "landlock_add_rule": 445,
    "landlock_restrict_self": 446,
    "clone3": 435,
}
ARCHITECTURES = {
    "x86_64": Architecture(
        0xC000003E, LANDLOCK_NUMBERS | {"uname": 63, "clone": 56, "unshare": 272, "seccomp": 317}
    ),
    "aarch64": Architecture(
        0xC00000B7, LANDLOCK_NUMBERS | {"uname": 160, "clone": 220, "unshare": 97, "seccomp": 277}
    ),
}


def outer_filter(
    architecture: Architecture, consulted: Iterable[str], action: int, *, refuse_user_namespaces: bool
) -> bytes:
    """Return the program: `action` for the calls in `consulted`; calls of a foreign ABI are let through."""
    numbers = architecture.numbers
    program: list[Instruction] = [
        (LD_W_ABS, 0, 0, OFFSET_ARCH),
        (JEQ_K, 1, 0, architecture.audit_arch),
        (RET_K, 0, 0, RET_ALLOW),
        (LD_W_ABS, 0, 0, OFFSET_NR),
    ]
    for name in consulted:
        program += _for_call(numbers[name], [(RET_K, 0, 0, action)])
    if refuse_user_namespaces:
        new_user_refused: list[Instruction] = [
            (LD_W_ABS, 0, 0, OFFSET_ARG0),
            (JSET_K, 0, 1, CLONE_NEWUSER),
            (RET_K, 0, 0, RET_ERRNO | errno.EPERM),
            (RET_K, 0, 0, RET_ALLOW),
        ]
        program += _for_call(numbers["unshare"], new_user_refused)
        program += _for_call(numbers["clone"], new_user_refused)
        # clone3's flags are in memory, where no filter can read them. C libraries fall back to clone.
        program += _for_call(numbers["clone3"], [(RET_K, 0, 0, RET_ERRNO | errno.ENOSYS)])
    program.append((RET_K, 0, 0, RET_ALLOW))
    return b"".join(pack("=HBBI", *instruction) for instruction in program)


def _for_call(number: int, body: list[Instruction]) -> list[Instruction]:
    """Return `body`, which must return, for this call alone. The accumulator holds the number throughout."""
    return [(JEQ_K, 0, len(body), number), *body]
