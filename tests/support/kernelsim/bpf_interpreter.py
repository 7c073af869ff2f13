"""Run a classic BPF program over one struct seccomp_data, as kernel/seccomp.c would (Linux 6.12).

Only the instructions of seccomp programs are understood; anything else is an error. A program that was
accepted here is therefore one that this module really followed.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct

from nono.kernel.uapi.seccomp import SECCOMP_DATA, SOCK_FILTER

_WORD = 0xFFFFFFFF
_WORDS = Struct(f"<{SECCOMP_DATA.size // 4}I")
_ARGUMENTS = 4  # words before them: number, architecture and instruction pointer

# <linux/bpf_common.h>
_LD_W_ABS = 0x20
_ALU_AND_K = 0x54
_JMP_JA = 0x05
_JMP_JEQ_K = 0x15
_JMP_JGT_K = 0x25
_JMP_JGE_K = 0x35
_JMP_JSET_K = 0x45
_RET_K = 0x06

type Instruction = tuple[int, int, int, int]


def decode(program: bytes) -> list[Instruction]:
    """Return the instructions (code, jt, jf, k) of a program."""
    instructions = []
    for code, jt, jf, k in SOCK_FILTER.iter_unpack(program):
        instructions.append((code, jt, jf, k))
    return instructions


def run(instructions: Sequence[Instruction], nr: int, arch: int, args: Sequence[int]) -> tuple[int, int]:
    """Return what the program returns (SECCOMP_RET_*), and how many instructions it took.

    ValueError: an instruction that seccomp programs do not have. IndexError: the program runs off its end.
    """
    return _follow(instructions, _words(nr, arch, args))


def judged_by_number(instructions: Sequence[Instruction], nr: int, arch: int) -> int | None:
    """Return what the program returns for all arguments of a call; None if it looks at any of them."""
    try:
        return _follow(instructions, _words(nr, arch, (0,) * 6)[:_ARGUMENTS])[0]
    except IndexError:
        return None


def _words(nr: int, arch: int, args: Sequence[int]) -> tuple[int, ...]:
    signed_nr = nr - (1 << 32) if nr >= 1 << 31 else nr
    data = SECCOMP_DATA.pack(signed_nr, arch, 0, *[argument & (1 << 64) - 1 for argument in args])
    return _WORDS.unpack(data)


def _follow(instructions: Sequence[Instruction], words: Sequence[int]) -> tuple[int, int]:
    accumulator = 0
    position = 0
    for steps in range(1, len(instructions) + 1):  # jumps lead only forward
        code, jt, jf, k = instructions[position]
        position += 1
        if code == _JMP_JEQ_K:  # most instructions are jumps, so they come first and without a call
            position += jt if accumulator == k else jf
        elif code == _LD_W_ABS:
            if k % 4:
                raise ValueError(f"unaligned load at {k}")
            accumulator = words[k // 4]
        elif code == _ALU_AND_K:
            accumulator &= k
        elif code == _RET_K:
            return k, steps
        elif code == _JMP_JA:
            position += k
        else:
            position += jt if _holds(code, accumulator, k) else jf
    raise IndexError("the program does not return")


def _holds(code: int, accumulator: int, k: int) -> bool:
    if code == _JMP_JGT_K:
        return accumulator > k
    if code == _JMP_JGE_K:
        return accumulator >= k
    if code == _JMP_JSET_K:
        return bool(accumulator & k & _WORD)
    raise ValueError(f"instruction {code:#x}")
