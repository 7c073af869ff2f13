"""nono.supervisor.abort: a process that calls abort(3) ends in order."""

from __future__ import annotations

import signal
import subprocess
import sys

from nono.supervisor import abort

SCRIPT = """
import ctypes, os, signal, sys, time
from nono.supervisor import abort

if sys.argv[1] == "never ends":
    abort.PATIENCE_S = 1
signal.signal(signal.SIGALRM, lambda *_: None)  # as the watchdog of blocking calls does

def end():
    print("ended in order", flush=True)
    if sys.argv[1] == "fails":
        raise OSError
    if sys.argv[1] == "never ends":
        while True:
            time.sleep(60)

with abort.ended_in_order(end):
    if sys.argv[1] == "child" and os.fork():
        sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
    if sys.argv[1] != "after":
        ctypes.CDLL(None).abort()
ctypes.CDLL(None).abort()
"""


def aborted(where: str) -> tuple[int, str]:
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, where], stdout=subprocess.PIPE, text=True, check=False, timeout=60
    )
    return ended.returncode, ended.stdout


def test_the_end_is_called_before_the_process_exits() -> None:
    assert aborted("inside") == (abort.EXIT_CODE, "ended in order\n")


def test_an_end_that_fails_is_the_end_all_the_same() -> None:
    assert aborted("fails") == (abort.EXIT_CODE, "ended in order\n")


def test_an_end_that_takes_for_ever_is_cut_off() -> None:
    assert aborted("never ends") == (-signal.SIGALRM, "ended in order\n")


def test_a_child_that_aborts_does_not_end_the_run() -> None:
    code, said = aborted("child")
    assert (code & 0xFF, said) == (-signal.SIGABRT & 0xFF, "")


def test_after_the_block_abort_is_what_it_was() -> None:
    assert aborted("after") == (-signal.SIGABRT, "")
