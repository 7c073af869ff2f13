"""A command that has ended while a process traces it: nobody but the tracer is told of its end."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from nono.supervisor.child import ORPHAN_GRACE_S
from support.ladder.launch import PYTHON, Place
from support.nono_run import NO_NAMESPACES, TIMEOUT_S, nono_run
from support.sessions.records import nono, record_of

# Has a child trace it (PTRACE_SEIZE), and ends with 5. The child takes no signal but SIGKILL, and does what
# the first argument says; the second has options of ptrace(2).
TRACED = """
import ctypes, os, signal, sys, time
libc, command = ctypes.CDLL(None), os.getpid()
libc.prctl(0x59616d61, ctypes.c_ulong(-1), 0, 0, 0)  # PR_SET_PTRACER, PR_SET_PTRACER_ANY, for Yama
reading, writing = os.pipe()
if os.fork() == 0:
    os.setsid()
    for number in {*signal.valid_signals()} - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
        signal.signal(number, signal.SIG_IGN)
    os.write(writing, b"%d" % libc.ptrace(0x4206, command, None, int(sys.argv[2])))
    exec(sys.argv[1])
    os._exit(0)
os._exit(5 if os.read(reading, 8) == b"0" else 9)
"""
TRACEEXIT = str(0x40)  # PTRACE_O_TRACEEXIT
NEVER_WAITS = "time.sleep(987)"
WAITS_LATER = "time.sleep(0.3); print('ended with', os.waitpid(command, 0x40000000)[1] >> 8, flush=True)"
# Traces a process from outside, and waits for it only after a line.
OUTSIDE = """
import ctypes, os, sys
assert ctypes.CDLL(None).ptrace(0x4206, int(sys.argv[1]), None, None) == 0
print("traces", flush=True)
sys.stdin.readline()
print(os.waitpid(int(sys.argv[1]), 0x40000000)[1] >> 8)
"""


WAYS = pytest.mark.parametrize("flags", [[], [NO_NAMESPACES]], ids=["its own namespaces", "none"])
RUNS = pytest.mark.parametrize("mode", ["alone", "proxied"])


@WAYS
@RUNS
def test_a_tracer_of_the_commands_own_keeps_no_run_from_ending(
    here: Place, mode: str, flags: list[str]
) -> None:
    """Nor could `nono stop` end it in order, or Ctrl-C at all."""
    begun_s = time.monotonic()
    ended = here.run(mode, *PYTHON, TRACED, NEVER_WAITS, "0", options=flags)
    assert ended.returncode == 5
    assert ORPHAN_GRACE_S <= time.monotonic() - begun_s < TIMEOUT_S


@WAYS
@RUNS
def test_a_tracer_that_waits_says_how_the_command_ended(here: Place, mode: str, flags: list[str]) -> None:
    """As `strace -D` does."""
    ended = here.run(mode, *PYTHON, TRACED, WAITS_LATER, "0", options=flags)
    assert (ended.returncode, ended.stdout) == (5, b"ended with 5\n")


@WAYS
@pytest.mark.parametrize("option", ["--force", "--timeout=1"])
def test_stop_ends_a_command_that_is_held_at_its_last_step(flags: list[str], option: str) -> None:
    """SIGKILL does not reach it: nono was killed in its place."""
    says_so = f"os.waitpid(command, 0x40000000); print('up', flush=True); {NEVER_WAITS}"
    with (
        nono_run() as sandbox,
        sandbox.started([*PYTHON, TRACED, says_so, TRACEEXIT], flags=[*flags, "--name=web"]) as run,
    ):
        assert run.stdout is not None
        assert run.stdout.readline() == "up\n"
        assert nono(sandbox, "stop", "web", option).returncode == 0
        assert run.wait(TIMEOUT_S) == 5
        end = record_of(sandbox.user, "web")["end"]
    assert (end["cause"], end["detail"]) == ("stop", None)


@pytest.mark.needs("CAP_SYS_PTRACE", suite=True)
@pytest.mark.skipif(os.geteuid() != 0, reason="who is traced is another user's")
def test_a_tracer_outside_is_waited_for(here: Place) -> None:
    script = "import os; print(os.getpid(), flush=True); input(); os._exit(5)"
    with here.started("alone", *PYTHON, script, options=[NO_NAMESPACES]) as run:
        assert run.stdin is not None
        assert run.stdout is not None
        command = run.stdout.readline().strip().decode()
        outside = subprocess.Popen(
            [sys.executable, "-c", OUTSIDE, command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        with outside:
            assert outside.stdout is not None
            assert outside.stdout.readline() == "traces\n"
            run.stdin.write(b"\n")
            run.stdin.flush()
            with pytest.raises(subprocess.TimeoutExpired):
                run.wait(2 * ORPHAN_GRACE_S)
            assert outside.communicate("\n", TIMEOUT_S)[0] == "5\n"
            assert run.wait(TIMEOUT_S) == 5


# Gives up on such a command, as when the audit log can no longer be written.
GIVES_UP = """
import os, sys
from contextlib import suppress
from nono.supervisor.child import supervise
command = os.posix_spawn(sys.executable, [sys.executable, "-c", *sys.argv[1:]], os.environ)
with suppress(OSError), supervise(command, None):
    while open(f"/proc/{command}/stat").read().rsplit(")", 1)[1].split()[0] not in "Zt":
        pass
    raise OSError
print("left" if os.path.exists(f"/proc/{command}") else "over")
"""


@pytest.mark.parametrize("options", ["0", TRACEEXIT], ids=["ended", "held at its last step"])
def test_a_run_that_fails_does_not_wait_for_the_tracer(options: str) -> None:
    failed = subprocess.run(
        [sys.executable, "-c", GIVES_UP, TRACED, NEVER_WAITS, options],
        stdout=subprocess.PIPE,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert (failed.returncode, failed.stdout) == (0, "over\n")
