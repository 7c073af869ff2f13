"""Define the rules that seccomp programs are made of: comparisons of registers with masks.

Arguments that the kernel reads as int are compared in their low 32 bits, whatever the high bits contain.
libseccomp only orders 64-bit values, so "none of these" is expressed as masks that cover all other values.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Masked:
    """True when ``args[argument] & mask == value``."""

    argument: int
    mask: int
    value: int


@dataclass(frozen=True, slots=True)
class NotNull:
    """True when a pointer, all 64 bits of it, is not NULL."""

    argument: int


@dataclass(frozen=True, slots=True)
class Rule:
    """Matches a system call if all comparisons hold; always, if there are none."""

    syscall: str
    comparisons: tuple[Masked | NotNull, ...] = ()


@dataclass(frozen=True, slots=True)
class Program:
    """One filter: its rules, and the action (SECCOMP_RET_*) taken when one matches.

    With `allows`, the rules say which calls are allowed instead, and all others are refused.
    """

    name: str
    refusal: int
    rules: tuple[Rule, ...]
    allows: bool = False
    passes_foreign: bool = False  # calls of other architectures are left to the program it stands beside


def other_values(argument: int, allowed: Collection[int], bits: int) -> tuple[Masked, ...]:
    """Return masks over the low bits of an argument that together match every value except those allowed.

    They are the maximal blocks without an allowed value in the binary tree over the values, so no two
    overlap. Raises ValueError if nothing is allowed, or a value does not fit.
    """
    if not allowed or not all(0 <= value < 1 << bits for value in allowed):
        raise ValueError(f"not values of {bits} bits: {sorted(allowed)}")
    siblings = {(depth, (value >> depth) ^ 1) for value in allowed for depth in range(bits)}
    kept = {(depth, value >> depth) for value in allowed for depth in range(bits)}
    return tuple(
        Masked(argument, (1 << bits) - (1 << depth), prefix << depth)
        for depth, prefix in sorted(siblings - kept, reverse=True)
    )
