"""One guest: a machine emulated by qemu, in software, that is gone when its block is left.

KVM is not asked for: within a virtual machine it may be there and not work, and the first hint is a guest
that died.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import which

QEMU = "qemu-system-x86_64"
MEMORY_MIB = 1536  # the archive, what is unpacked from it, and the tests


@dataclass(frozen=True, slots=True)
class Guest:
    """process has ended once the guest has switched itself off. reports: one JSON object a line."""

    process: subprocess.Popen[bytes]
    reports: Path
    console: Path


@contextmanager
def guest(kernel: Path, archive: Path, folder: Path, options: str, *, processors: int) -> Iterator[Guest]:
    """Boot kernel; options join its command line. Killed, if need be, when the block is left."""
    reports, console = folder / "reports", folder / "console"
    words = f"console=ttyS0 quiet panic=-1 rdinit=/init syscall.x32=y {options}"
    # Should we be killed ourselves, the guest is not left behind.
    guarded = ["setpriv", "--pdeathsig", "KILL", "--"] if which("setpriv") else []
    command = [
        *guarded,
        *(QEMU, "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
        *("-machine", "q35,accel=tcg", "-cpu", "max", "-smp", str(processors), "-m", str(MEMORY_MIB)),
        *("-serial", f"file:{console}", "-serial", f"file:{reports}"),
        *("-kernel", str(kernel), "-initrd", str(archive), "-append", words),
    ]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        try:
            yield Guest(process, reports, console)
        finally:
            process.kill()
