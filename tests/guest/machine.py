"""One guest: a machine emulated by qemu, in software, that is gone when its block is left.

KVM is not asked for: within a virtual machine it may be there and not work, and the first hint is a guest
that died.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import which

from guest.architecture import Architecture

WORDS = "quiet panic=-1 rdinit=/init syscall.x32=y"
MEMORY_MIB = 2048  # the archive, what is unpacked from it, and the tests


@dataclass(frozen=True, slots=True)
class Guest:
    """process has ended once the guest has switched itself off. reports: one JSON object a line."""

    process: subprocess.Popen[bytes]
    reports: Path
    console: Path


@contextmanager
def guest(
    architecture: Architecture, image: Path, archives: Sequence[Path], folder: Path, *, processors: int
) -> Iterator[Guest]:
    """Boot image with what the archives hold. Killed, if need be, when the block is left.

    `monitor` in the folder is a socket for QMP: `stop` halts the guest together with its clocks.
    """
    reports, console = folder / "reports", folder / "console"
    initrd = folder / "initrd"
    with initrd.open("wb") as file:
        for archive in archives:  # the kernel unpacks one after the other
            with archive.open("rb") as part:
                shutil.copyfileobj(part, file)
    # Should we be killed ourselves, the guest is not left behind.
    guarded = ["setpriv", "--pdeathsig", "KILL", "--"] if which("setpriv") else []
    command = [
        *guarded,
        *(*architecture.emulator, "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
        *("-smp", str(processors), "-m", str(MEMORY_MIB)),
        *("-serial", f"file:{console}", "-serial", f"file:{reports}"),
        *("-qmp", "unix:monitor,server=on,wait=off"),  # relative: sun_path has 108 bytes
        *("-kernel", str(image), "-initrd", str(initrd), "-append"),
        f"console={architecture.serial.removeprefix('/dev/')}0 {WORDS}",
    ]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, cwd=folder, stdin=quiet, stdout=quiet) as process:
        try:
            yield Guest(process, reports, console)
        finally:
            process.kill()
