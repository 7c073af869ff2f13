"""A process whose first thread has ended while another goes on, as after pthread_exit(3) in main."""

from __future__ import annotations

import sys

# Prints a line once its first thread is a zombie, and then holds the lock of a file for a long time.
PROGRAM = """
import ctypes, fcntl, os, sys, threading, time

def go_on():
    while open(f"/proc/self/task/{os.getpid()}/stat").read().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.001)
    held = open(sys.argv[1], "w")
    fcntl.flock(held, fcntl.LOCK_EX)
    print("up", flush=True)
    time.sleep(987)

threading.Thread(target=go_on).start()
ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[os.uname().machine], 0)  # exit(2) of this thread
"""


def leaderless(lock: str) -> list[str]:
    """Return the command. lock: The path of the file."""
    return [sys.executable, "-I", "-S", "-c", PROGRAM, lock]
