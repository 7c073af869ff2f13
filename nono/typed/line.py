"""Tell whether a person can answer on the terminal of standard input.

A supervisor leads a session of its own, and the terminal of that session belongs to the command. Until the
command runs, the supervisor asks at the terminal of the process that forked it.
"""

from __future__ import annotations

import os

_PGRP, _TTY, _FOREGROUND = 2, 4, 5  # field indexes of proc_pid_stat(5), counted after the name


def is_own() -> bool:
    """Check that standard input is the controlling terminal of this process."""
    try:
        os.tcgetpgrp(0)
    except OSError:
        return False
    return True


def in_front() -> bool:
    """Check that this process, or the one it asks for, is in the foreground of the terminal on fd 0."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return _parent_is_in_front()


def _parent_is_in_front() -> bool:
    try:
        with open(f"/proc/{os.getppid()}/stat", "rb") as stat:
            fields = [int(each) for each in stat.read().rpartition(b")")[2].split()[1:]]
        found = os.fstat(0).st_rdev
    except (OSError, ValueError):
        return False
    numbers = [0, *fields]  # the first field is the state, a letter
    device = numbers[_TTY]
    terminal = os.makedev((device >> 8) & 0xFFF, (device & 0xFF) | ((device >> 12) & 0xFFF00))
    return found == terminal and numbers[_PGRP] == numbers[_FOREGROUND]
