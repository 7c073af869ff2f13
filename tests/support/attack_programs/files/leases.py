"""Hold leases on files, for which everybody who opens them then waits.

leases PATH...: PATH is a file or a directory of this user, which this program may read.
"""

from __future__ import annotations

import fcntl
import os
import sys
from functools import partial

from support.attack_programs.outcome import Attempt, report_all, syscall

F_SETDELEG = 1040  # 6.19, also for directories
HIGH = 0x7FFF_0000_0000_0000


def hold(descriptor: int, command: int, kind: int) -> None:
    syscall("fcntl", descriptor, command, kind)
    syscall("fcntl", descriptor, command & 0xFFFF_FFFF, fcntl.F_UNLCK)


attempts: dict[str, Attempt] = {}
for path in sys.argv[1:]:
    opened = os.open(path, os.O_RDONLY)
    name = os.path.basename(path)
    attempts |= {
        f"{name}, write": partial(hold, opened, fcntl.F_SETLEASE, fcntl.F_WRLCK),
        f"{name}, read": partial(hold, opened, fcntl.F_SETLEASE, fcntl.F_RDLCK),
        f"{name}, high bits": partial(hold, opened, HIGH | fcntl.F_SETLEASE, fcntl.F_RDLCK),
        f"{name}, delegation": partial(hold, opened, F_SETDELEG, 0),
        f"{name}, flags": partial(fcntl.fcntl, opened, fcntl.F_GETFL),
        f"{name}, lock": partial(fcntl.flock, opened, fcntl.LOCK_SH | fcntl.LOCK_NB),
    }
report_all(attempts)
