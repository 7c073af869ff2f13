"""Open a file in access mode 3 (open(2)), and try what such a descriptor may lead to: mode_three PATH."""

from __future__ import annotations

import fcntl
import mmap
import os
import sys
from functools import partial

from support.attack_programs.outcome import report_all


def main() -> None:
    path = sys.argv[1]
    opened = os.open(path, os.O_ACCMODE)
    report_all(
        {
            "read": partial(os.read, opened, 1),
            "write": partial(os.write, opened, b"-"),
            "map": partial(mmap.mmap, opened, 1, mmap.MAP_PRIVATE, mmap.PROT_READ),
            "cut": partial(os.ftruncate, opened, 0),
            "lock": partial(fcntl.flock, opened, fcntl.LOCK_EX | fcntl.LOCK_NB),
            "open again": lambda: os.close(os.open(f"/proc/self/fd/{opened}", os.O_RDONLY)),
            "lease": partial(fcntl.fcntl, opened, fcntl.F_SETLEASE, fcntl.F_WRLCK),
        }
    )


if __name__ == "__main__":
    main()
