"""How nono.supervisor.child is told of the command's end: once, and by its signal where there is no watch."""

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

# As if a tracer from outside kept it unreaped.
TOLD = """
import os, select
from nono.supervisor import child

with child.supervise(os.posix_spawn("/bin/true", ["true"], {}), None) as started:
    started._reap = lambda: None
    select.select([started._pidfd], [], [])
    for patience_s in (20, 0):
        print(len(select.select([started.descriptor], [], [], patience_s)[0]))
        started.serve_signals()
"""

# The tracer is another process by the time it would be killed: its number has been given away.
REUSED = """
import os
from nono.kernel import threads
from nono.supervisor import child

bystander = os.posix_spawn("/bin/sleep", ["sleep", "60"], {})
gone = os.posix_spawn("/bin/true", ["true"], {})
os.waitpid(gone, 0)
with child.supervise(os.posix_spawn("/bin/sleep", ["sleep", "60"], {}), None) as started:
    tracers = iter([bystander, bystander, gone])
    threads.tracer_thread = lambda tid: next(tracers)
    threads.thread_group_id = lambda tid: tid
    started._end_tracer()  # still its tracer
    print(os.waitstatus_to_exitcode(os.waitpid(bystander, 0)[1]))
    bystander = os.posix_spawn("/bin/sleep", ["sleep", "60"], {})
    tracers = iter([bystander, gone])
    started._end_tracer()
    os.kill(bystander, 11)  # not blocked, as others are by now
    print(os.waitstatus_to_exitcode(os.waitpid(bystander, 0)[1]))
"""

# The command continues when its input ends; on SIGCONT it says so.
CONTINUED = """
import os, select, signal, sys, time
from nono.sessions.processes import process_stat
from nono.supervisor import child

inside = "import os, signal, sys; signal.signal(signal.SIGCONT, lambda *_: os.write(1, b'continued')); "
inside += "os.write(1, b'ready'); sys.stdin.read()"
reads, told = os.pipe()
said, says = os.pipe()
files = [(os.POSIX_SPAWN_DUP2, reads, 0), (os.POSIX_SPAWN_DUP2, says, 1), (os.POSIX_SPAWN_CLOSE, told)]
pid = os.posix_spawn(sys.executable, ["python", "-c", inside], os.environ, file_actions=files)
os.close(reads), os.close(says)
with child.supervise(pid, None) as started:
    os.read(said, 100)
    if sys.argv[1] == "stopped":
        os.kill(pid, signal.SIGSTOP)
        while not process_stat(pid).is_stopped:
            time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGCONT)
    select.select([started.descriptor], [], [])
    started.serve_signals()
    if sys.argv[1] == "stopped":
        print(os.read(said, 100).decode(), end="")
    os.close(told)
    print(os.read(said, 100).decode(), child.wait(started), started.received)
"""


# The command is in the place of what keeps its masks, too: its end of the pipe is closed before it ends.
MASKED = """
import os, sys
from nono.supervisor import child

child.TOGETHER_MS = int(sys.argv[2])
masked, masking = os.pipe()
files = [(os.POSIX_SPAWN_DUP2, masking, 9)]
arguments = ["sh", "-c", "exec 9>&-; sleep " + sys.argv[1] + "; exit 3"]
with child.supervise(os.posix_spawn("/bin/sh", arguments, {}, file_actions=files), None) as started:
    os.close(masking)
    ended = []
    started.watch_masks(masked, lambda: ended.append("all"))
    print(child.wait(started), started.lost == child.MASKS_LOST, ended)
"""


@pytest.mark.parametrize(
    ("seconds", "patience_ms", "said"), [("0.2", "20000", "3 False []\n"), ("60", "0", "137 True ['all']\n")]
)
def test_only_a_command_that_outlives_what_keeps_its_masks_is_ended_for_it(
    seconds: str, patience_ms: str, said: str
) -> None:
    """A control group that is killed ends both, in any order: that is no loss of a mask."""
    told = subprocess.run(
        [sys.executable, "-c", MASKED, seconds, patience_ms],
        stdout=subprocess.PIPE,
        text=True,
        timeout=30,
        check=False,
    )
    assert (told.returncode, told.stdout) == (0, said)


@pytest.mark.parametrize(("state", "said"), [("stopped", "continued 0 {}\n"), ("running", " 0 {}\n")])
def test_sigcont_reaches_a_command_that_is_stopped(state: str, said: str) -> None:
    """Not a running one: a shell's `fg` continues nono and the command, which would hear of it twice."""
    told = subprocess.run(
        [sys.executable, "-c", CONTINUED, state], stdout=subprocess.PIPE, text=True, timeout=30, check=False
    )
    assert (told.returncode, told.stdout) == (0, said)


@pytest.mark.parametrize(("watches", "said"), [("without", "3 True\n"), ("with", "3 False\n")])
def test_a_run_needs_no_watch(watches: str, said: str) -> None:
    waited = subprocess.run(
        [sys.executable, "-c", WAITS, watches], stdout=subprocess.PIPE, text=True, timeout=30, check=False
    )
    assert (waited.returncode, waited.stdout) == (0, said)


def test_an_end_that_cannot_be_reaped_is_told_once() -> None:
    """Each time would keep the loop waiting, and with it the proxy."""
    told = subprocess.run(
        [sys.executable, "-c", TOLD], stdout=subprocess.PIPE, text=True, timeout=30, check=False
    )
    assert (told.returncode, told.stdout) == (0, "1\n0\n")


def test_a_process_that_traces_no_more_is_not_killed() -> None:
    """Its number may be that of another process by then."""
    told = subprocess.run(
        [sys.executable, "-c", REUSED], stdout=subprocess.PIPE, text=True, timeout=30, check=False
    )
    assert (told.returncode, told.stdout) == (0, "-9\n-11\n")
