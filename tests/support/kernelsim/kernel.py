"""Describe the kernel that a test wants to run on, and return the argv that runs a command on it.

The simulator starts hundreds of times in a run of the suite, so its imports matter: dataclasses, pathlib and
shutil took as long as everything else.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NamedTuple

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "__main__.py")
WSL2_RELEASE = "6.6.87.2-microsoft-standard-WSL2"
LANDLOCK_ABIS = range(8)  # as far as the answers differ; 0 is none
LANDLOCK_ERRNOS = ("EOPNOTSUPP", "ENOSYS")  # not enabled at boot; not built in


class Kernel(NamedTuple):
    """A kernel to run on; the default is the host's own. `str()` is short enough for a pytest id."""

    wsl2: bool = False
    notify_busy: bool = False
    landlock_abi: int | None = None
    landlock_errno: str = "EOPNOTSUPP"
    uname: str | None = None
    no_userns: bool = False
    verbose: bool = False
    linger: bool = False

    @property
    def release(self) -> str | None:
        """Return what uname(2) is to report; None leaves it to the host."""
        return self.uname or (WSL2_RELEASE if self.wsl2 else None)

    @property
    def consulted(self) -> tuple[str, ...]:
        """Return the system calls that somebody has to answer in the kernel's place."""
        landlock = ("landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self")
        return (landlock if self.landlock_abi is not None else ()) + (("uname",) if self.release else ())

    def flags(self) -> list[str]:
        """Return the command line's flags from which `parse` makes an equal Kernel."""
        flags = {
            "--wsl2": self.wsl2,
            "--notify-busy": self.notify_busy,
            "--no-userns": self.no_userns,
            "--verbose": self.verbose,
            "--linger": self.linger,
            f"--landlock-abi={self.landlock_abi}": self.landlock_abi is not None,
            f"--landlock-errno={self.landlock_errno}": self.landlock_errno != "EOPNOTSUPP",
            f"--uname={self.uname}": self.uname is not None,
        }
        return [flag for flag, given in flags.items() if given]

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return the argv that runs `argv` on this kernel. `-I`: PYTHON* variables are for CMD alone."""
        return [sys.executable, "-I", "-S", PROGRAM, *self.flags(), "--", *argv]

    def __str__(self) -> str:
        return "+".join(flag.removeprefix("--") for flag in self.flags()) or "host"


WSL2 = Kernel(wsl2=True, notify_busy=True, landlock_abi=3)
