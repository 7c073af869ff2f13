"""Lower the priority of the process group, which nono belongs to, and of this process.

priorities [all]: also of every process of the user.
"""

from __future__ import annotations

import os
import sys

from support.attack_programs.outcome import Attempt, report_all, syscall

IOPRIO_WHO_PROCESS, IOPRIO_WHO_PGRP, IOPRIO_WHO_USER = 1, 2, 3
IOPRIO_CLASS_IDLE = 3 << 13
HIGH = 0xDEADBEEF << 32

attempts: dict[str, Attempt] = {
    "setpriority(PRIO_PGRP, 0)": lambda: os.setpriority(os.PRIO_PGRP, 0, 19),
    "setpriority(PRIO_PGRP)": lambda: os.setpriority(os.PRIO_PGRP, os.getpgrp(), 19),
    "setpriority(PRIO_PGRP), high bits": lambda: syscall("setpriority", os.PRIO_PGRP | HIGH, 0, 19),
    "ioprio_set(PGRP)": lambda: syscall("ioprio_set", IOPRIO_WHO_PGRP, 0, IOPRIO_CLASS_IDLE),
    "setpriority(PRIO_PROCESS, 0)": lambda: os.setpriority(os.PRIO_PROCESS, 0, 19),
    "setpriority(PRIO_PROCESS, own)": lambda: os.setpriority(os.PRIO_PROCESS, os.getpid(), 19),
    "nice": lambda: os.nice(1),
    "ioprio_set(PROCESS, 0)": lambda: syscall("ioprio_set", IOPRIO_WHO_PROCESS, 0, IOPRIO_CLASS_IDLE),
}
if "all" in sys.argv:
    attempts |= {
        "setpriority(PRIO_USER)": lambda: os.setpriority(os.PRIO_USER, 0, 19),
        "ioprio_set(USER)": lambda: syscall("ioprio_set", IOPRIO_WHO_USER, 0, IOPRIO_CLASS_IDLE),
    }
report_all(attempts)
