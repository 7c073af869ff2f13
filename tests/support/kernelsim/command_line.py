"""Reads the command line of the simulator.

    python tests/support/kernelsim [--wsl2] [--notify-busy] [--landlock-abi N] [--landlock-errno NAME]
                                   [--uname RELEASE] [--no-userns] [-v] [--linger] -- CMD...

The real kernel does the work; what is simulated is what it would not have or would refuse:

--notify-busy      The tree already has a seccomp notification listener, so SECCOMP_FILTER_FLAG_NEW_LISTENER
                   fails with the kernel's own EBUSY (seccomp(2)), as under the listener of WSL2's init.
--landlock-abi N   Landlock answers as the kernel that brought ABI N: the version query, and what is newer
                   than N in rulesets, rules and flags. 0 is a kernel without Landlock (--landlock-errno).
--uname RELEASE    uname(2) reports this release.
--wsl2             /proc/version, /proc/sys/kernel/osrelease, uname(2) and binfmt_misc/WSLInterop look like
                   WSL2. Nothing else is implied: `kernel.WSL2` is the whole of Microsoft's 6.6 kernel.
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
from collections.abc import Sequence
from functools import partial

from support.kernelsim.kernel import LANDLOCK_ABIS, LANDLOCK_ERRNOS, Kernel


def parse(argv: Sequence[str]) -> tuple[Kernel, list[str]]:
    """Return the kernel and the command that `argv`, without the program's name, asks for. SystemExit(2)."""
    parser = argparse.ArgumentParser(
        prog="kernelsim",
        usage="%(prog)s [option...] -- CMD...",
        allow_abbrev=False,
        description=__doc__,
        # The width is given, because argparse would import shutil to ask the terminal.
        formatter_class=partial(argparse.RawDescriptionHelpFormatter, width=110),
    )
    for switch in ("--wsl2", "--notify-busy", "--no-userns", "--linger"):
        parser.add_argument(switch, action="store_true")
    parser.add_argument("-v", "--verbose", action="store_true", help="say every answer on stderr")
    parser.add_argument("--landlock-abi", type=int, choices=LANDLOCK_ABIS)
    parser.add_argument("--landlock-errno", choices=LANDLOCK_ERRNOS, default="EOPNOTSUPP")
    parser.add_argument("--uname", metavar="RELEASE")
    # Split by hand: everything that follows belongs to CMD, including a further `--`.
    separator = argv.index("--") if "--" in argv else len(argv)
    kernel = Kernel(**vars(parser.parse_args(argv[:separator])))
    command = list(argv[separator + 1 :])
    if not command:
        parser.error("no CMD: it follows `--`")
    return kernel, command
