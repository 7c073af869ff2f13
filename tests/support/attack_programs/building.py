"""How the programs in C are built."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

# Of the gates into a kernel besides the native one, each needs a machine that has it.
ONLY_FOR = {"foreign_abi": "x86_64", "foreign_abi_arm": "aarch64"}
ARM_COMPILER = "arm-linux-gnueabihf-gcc"


def sources(machine: str) -> Iterator[Path]:
    """List those that can be built for the machine, as uname(2) spells it."""
    for source in sorted(Path(__file__).parent.glob("*/*.c")):
        if ONLY_FOR.get(source.stem, machine) == machine:
            yield source


def command(source: Path, target: Path, compiler: str) -> list[str]:
    """Return what builds the target, with the compiler of the machine or the one that the source needs."""
    flags = ["-O2", "-Wall", "-Werror", "-o", str(target), str(source)]
    if source.stem == "foreign_abi_arm":
        return [ARM_COMPILER, "-nostdlib", "-static", "-ffreestanding", "-marm", *flags]
    return [compiler, "-pthread", *flags]
