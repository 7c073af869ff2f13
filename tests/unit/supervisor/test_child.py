"""nono.supervisor.child where its user has no epoll watch left: the command's end is told by its signal."""

from __future__ import annotations

import subprocess
import sys

import pytest

# In a process of its own, because it reaps all children: a command that ends with 3.
WAITS = """
import errno, os, select, sys, types
from nono.supervisor import child

class Full:
    def register(self, *_):
        raise OSError(errno.ENOSPC, "watches")
    def close(self):
        pass

if sys.argv[1] == "without":
    child.select = types.SimpleNamespace(epoll=Full, EPOLLIN=1, EPOLLONESHOT=2, POLLIN=1, poll=select.poll)
with child.supervise(os.posix_spawn("/bin/sh", ["sh", "-c", "sleep 0.1; exit 3"], {}), None) as started:
    print(child.wait(started), started.descriptor == started.signal_descriptor)
"""


@pytest.mark.parametrize(("watches", "said"), [("without", "3 True\n"), ("with", "3 False\n")])
def test_a_run_needs_no_watch(watches: str, said: str) -> None:
    waited = subprocess.run(
        [sys.executable, "-c", WAITS, watches], stdout=subprocess.PIPE, text=True, timeout=30, check=False
    )
    assert (waited.returncode, waited.stdout) == (0, said)
