"""Describes the kernel a test wants to run on, and runs a command as on that kernel.

    python tests/support/kernelsim.py [--wsl2] [--notify-busy] [--landlock-abi N] [--landlock-errno NAME]
                                      [--uname RELEASE] [--no-userns] [-v] [--linger] -- CMD...

The real kernel does the work; what is simulated is what it would not have or would refuse:

--notify-busy      The tree already has a seccomp notification listener, so SECCOMP_FILTER_FLAG_NEW_LISTENER
                   fails with the kernel's own EBUSY (seccomp(2)), as under the listener of WSL2's init.
--landlock-abi N   Landlock answers as the kernel that brought ABI N: the version query, and what is newer
                   than N in rulesets, rules and flags. 0 is a kernel without Landlock (--landlock-errno).
--uname RELEASE    uname(2) reports this release.
--wsl2             /proc/version, /proc/sys/kernel/osrelease, uname(2) and binfmt_misc/WSLInterop look like
                   WSL2. Nothing else is implied: `WSL2` below is the whole of Microsoft's 6.6 kernel.
--no-userns        CLONE_NEWUSER is refused: EPERM from unshare(2) and clone(2), ENOSYS from clone3(2).
--linger           Serve what CMD left running until it has ended, instead of killing it when CMD ends.

Works as root and as an ordinary user. The exit status is CMD's: its code, or death by the signal that killed
it; 125 is the simulator's own failure, 126 and 127 are execve(2)'s. A signal sent to the simulator goes to
CMD, which shares its process group: the terminal's signals reach CMD by themselves, those a process sends to
the group reach it twice, for the sender may have meant the simulator alone.

The limits:
* An ordinary user's process that made itself undumpable cannot be read: its rulesets are answered EFAULT, its
  uname(2) truthfully, and stderr says so. (Not under --wsl2, whose user namespace the simulator owns.)
* Without --notify-busy the answers come through ptrace(2), x86-64 only: the tracer's place is taken, and
  setuid programs gain nothing. With it, a signal whose handler does not restart can end a call with EINTR.
* Under --wsl2 a nested user namespace cannot mount a procfs of its own: EPERM, for files are covered.
* Where a user namespace is needed (an ordinary user's --wsl2), other users' files seem to be the overflow
  uid's; where one is not, an ordinary user's CMD has no_new_privs set.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

WSL2_RELEASE = "6.6.87.2-microsoft-standard-WSL2"
LANDLOCK_ABIS = range(8)  # what kernelsim_answers can tell apart; 0 is none
LANDLOCK_ERRNOS = ("EOPNOTSUPP", "ENOSYS")  # not enabled at boot; not built in


@dataclass(frozen=True, slots=True)
class Kernel:
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
        """What uname(2) is to report; None leaves it to the host."""
        return self.uname or (WSL2_RELEASE if self.wsl2 else None)

    @property
    def consulted(self) -> tuple[str, ...]:
        """The system calls somebody has to answer in the kernel's place."""
        landlock = ("landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self")
        return (landlock if self.landlock_abi is not None else ()) + (("uname",) if self.release else ())

    def flags(self) -> list[str]:
        """The command line's flags that `parse` makes an equal Kernel of."""
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
        """The argv that runs `argv` on this kernel. `-I`: PYTHON* variables are CMD's alone."""
        return [sys.executable, "-I", "-S", os.path.abspath(__file__), *self.flags(), "--", *argv]

    def __str__(self) -> str:
        return "+".join(flag.removeprefix("--") for flag in self.flags()) or "host"


WSL2 = Kernel(wsl2=True, notify_busy=True, landlock_abi=3)


def parse(argv: Sequence[str]) -> tuple[Kernel, list[str]]:
    """The kernel and the command that `argv`, without the program's name, asks for; SystemExit(2)."""
    parser = argparse.ArgumentParser(
        prog="kernelsim",
        usage="%(prog)s [option...] -- CMD...",
        allow_abbrev=False,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for switch in ("--wsl2", "--notify-busy", "--no-userns", "--linger"):
        parser.add_argument(switch, action="store_true")
    parser.add_argument("-v", "--verbose", action="store_true", help="say every answer on stderr")
    parser.add_argument("--landlock-abi", type=int, choices=LANDLOCK_ABIS)
    parser.add_argument("--landlock-errno", choices=LANDLOCK_ERRNOS, default="EOPNOTSUPP")
    parser.add_argument("--uname", metavar="RELEASE")
    # Split by hand: whatever follows is CMD's, more `--` included.
    separator = argv.index("--") if "--" in argv else len(argv)
    kernel = Kernel(**vars(parser.parse_args(argv[:separator])))
    command = list(argv[separator + 1 :])
    if not command:
        parser.error("no CMD: it follows `--`")
    return kernel, command


if __name__ == "__main__":
    # Run by its path, the file is not yet part of a package; its own directory may be first on the path.
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    from support.kernelsim_tree import end_like, run

    end_like(run(*parse(sys.argv[1:])))
