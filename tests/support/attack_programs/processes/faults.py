"""Allocate memory whose page faults this process handles itself."""

from __future__ import annotations

import os

from support.attack_programs.outcome import report_all, syscall

UFFD_USER_MODE_ONLY = 1

report_all({"userfaultfd": lambda: os.close(syscall("userfaultfd", UFFD_USER_MODE_ONLY))})
