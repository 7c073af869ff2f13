"""Freeze the seccomp programs, and compare the frozen ones with a fresh build.

Run it with ``python -m`` to freeze them again. libseccomp's version is stored beside them, because another
version may order the same decisions differently.
"""

from __future__ import annotations

import os

from nono.kernel.filters import DIRECTORY, MACHINES, frozen
from nono.kernel.filters.bpf import PROGRAMS
from nono.kernel.filters.build import build, libseccomp_version
from nono.named_tuple import NamedTuple

VERSION_FILE = os.path.join(DIRECTORY, "libseccomp.version")


class Comparison(NamedTuple):
    """The frozen programs of one machine, compared with a fresh build."""

    total: int
    different: tuple[str, ...]  # names
    missing: tuple[str, ...]  # names of programs that are not shipped
    frozen_with: str  # version of libseccomp, "" if that is not shipped
    built_with: str

    @property
    def is_tampered(self) -> bool:
        """True if a program differs although the same libseccomp froze it."""
        return bool(self.different) and self.frozen_with == self.built_with


def compare(machine: str) -> Comparison:
    """Build every program for machine and compare it with the frozen one, byte for byte.

    Raises as nono.kernel.filters.build.build does.
    """
    different, missing = [], []
    for program in PROGRAMS:
        fresh = build(program, machine)
        try:
            if frozen(program.name, machine) != fresh:
                different.append(program.name)
        except FileNotFoundError:
            missing.append(program.name)
    return Comparison(len(PROGRAMS), tuple(different), tuple(missing), frozen_with(), libseccomp_version())


def frozen_with() -> str:
    """Return the version of libseccomp that built the frozen programs; "" if it is not shipped."""
    try:
        with open(VERSION_FILE, encoding="ascii") as file:
            return file.read().strip()
    except FileNotFoundError:
        return ""


def freeze() -> None:
    """Write every program for every machine where filters.load reads it."""
    for machine in MACHINES:
        os.makedirs(os.path.join(DIRECTORY, machine), exist_ok=True)
        for program in PROGRAMS:
            with open(os.path.join(DIRECTORY, machine, f"{program.name}.bpf"), "wb") as file:
                file.write(build(program, machine))
    with open(VERSION_FILE, "w", encoding="ascii") as file:
        file.write(libseccomp_version() + "\n")


if __name__ == "__main__":
    freeze()
