"""Allocate memory whose page faults this process handles itself, by the call and by the device on stdin."""

from __future__ import annotations

import os

from support.attack_programs.outcome import report_all, syscall

UFFD_USER_MODE_ONLY = 1
USERFAULTFD_IOC_NEW = 0xAA00

report_all(
    {
        "userfaultfd": lambda: os.close(syscall("userfaultfd", UFFD_USER_MODE_ONLY)),
        "device": lambda: os.close(syscall("ioctl", 0, USERFAULTFD_IOC_NEW, UFFD_USER_MODE_ONLY)),
    }
)
