"""What differs between the machines that guests are. Imported in a guest too, by its first process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Architecture:
    """One of them: how others name it, what emulates it, and what its kernel calls things."""

    name: str  # as uname(2) spells it
    debian: str  # as dpkg(1) spells it
    emulator: tuple[str, ...]  # a program of qemu, and the machine it is to be
    compiler: str  # here, for programs that run there
    packages: Mapping[str, tuple[str, ...]]  # of Debian: what has each program that a guest of it needs here
    serial: str  # what its serial ports are called, before their number
    finit_module: int  # the number of this call


X86_64 = Architecture(
    name="x86_64",
    debian="amd64",
    emulator=("qemu-system-x86_64", "-machine", "q35,accel=tcg", "-cpu", "max"),
    compiler="cc",
    packages={"qemu-system-x86_64": ("qemu-system-x86",), "cc": ("gcc", "libc6-dev")},
    serial="/dev/ttyS",
    finit_module=313,
)
AARCH64 = Architecture(
    name="aarch64",
    debian="arm64",
    # The cipher of the architecture for signing pointers takes as long to emulate as all else.
    emulator=("qemu-system-aarch64", "-machine", "virt,accel=tcg", "-cpu", "max,pauth-impdef=on"),
    compiler="aarch64-linux-gnu-gcc",
    packages={
        "qemu-system-aarch64": ("qemu-system-arm",),
        "aarch64-linux-gnu-gcc": ("gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"),
        "arm-linux-gnueabihf-gcc": ("gcc-arm-linux-gnueabihf",),
    },
    serial="/dev/ttyAMA",
    finit_module=273,
)
ARCHITECTURES = {each.name: each for each in (X86_64, AARCH64)}
