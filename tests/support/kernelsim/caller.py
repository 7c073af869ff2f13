"""Run probes of a simulated kernel, as root or as an ordinary user."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from support.kernelsim.kernel import Kernel
from support.ordinary_user import OrdinaryUser

# What probes start with: `call` is syscall(2), and returns a negative errno when it fails.
PRELUDE = """
import ctypes, errno, os, platform, signal, struct, sys, threading
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
SECCOMP, UNSHARE, CLONE = (317, 272, 56) if platform.machine() == "x86_64" else (277, 97, 220)
def call(number, *args):
    registers = [ctypes.c_void_p(arg) if isinstance(arg, int) else arg for arg in args]
    result = libc.syscall(ctypes.c_long(number), *registers)
    return -ctypes.get_errno() if result < 0 else result
def abi():
    return call(444, 0, 0, 1)
def ruleset(attribute, size=None):
    return call(444, ctypes.create_string_buffer(attribute, len(attribute)), size or len(attribute), 0)
def new_listener():
    libc.prctl(38, 1, 0, 0, 0)
    code = ctypes.create_string_buffer(struct.pack("=HBBI", 6, 0, 0, 0x7fff0000))
    program = ctypes.create_string_buffer(struct.pack("@HP", 1, ctypes.addressof(code)))
    return call(SECCOMP, 1, 8, program)
"""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who starts the simulator."""

    user: OrdinaryUser | None  # None is root

    def command(self, kernel: Kernel, argv: Sequence[str]) -> list[str]:
        """Return the argv that runs `argv` on `kernel`. Skips the test if this machine cannot simulate it."""
        if kernel.consulted and not kernel.notify_busy and platform.machine() != "x86_64":
            pytest.skip("the ptrace backend knows x86_64 only")
        command = kernel.command(argv)
        return self.user.command(command) if self.user else command

    def probe(self, kernel: Kernel, code: str) -> list[str]:
        """Return the argv that runs `code`, which may use the names in PRELUDE, on `kernel`."""
        return self.command(kernel, [sys.executable, "-I", "-S", "-c", PRELUDE + code])

    @property
    def environment(self) -> dict[str, str]:
        return self.user.environment() if self.user else dict(os.environ)

    def run(self, argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            argv, env=self.environment, capture_output=True, text=True, timeout=30, check=False
        )

    def answer(self, kernel: Kernel, code: str) -> str:
        """Return what `code` printed. It has to succeed without writing to stderr."""
        done = self.run(self.probe(kernel, code))
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.strip()
