"""What counts as left behind: not what the kernel is still dismantling, unless that never ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hunt.outside import victim
from support.running.leaderless import leaderless

# The first process of a PID namespace ends after all others, and one of them after its parent has waited for
# it (zap_pid_ns_processes in kernel/pid_namespace.c).
HELD = """
import os, signal, sys
os.unshare(os.CLONE_NEWPID | (os.CLONE_NEWUSER if os.geteuid() else 0))
pids = []
for _ in range(2):
    pid = os.fork()
    if pid == 0:
        while True:
            signal.pause()
    pids.append(pid)
os.kill(pids[0], signal.SIGKILL)
os.waitid(os.P_PID, pids[1], os.WEXITED | os.WNOWAIT)
print(pids[0], flush=True)
sys.stdin.readline()
for pid in reversed(pids):
    os.waitpid(pid, 0)
print("gone", flush=True)
sys.stdin.readline()
"""


class Held:
    """A process whose end waits. pid: seen from here."""

    def __init__(self, parent: subprocess.Popen[str]) -> None:
        assert parent.stdin is not None
        assert parent.stdout is not None
        self._said, self._told, self._is_held = parent.stdout, parent.stdin, True
        self.pid = self._said.readline().strip()

    def let_go(self, *_: float) -> None:
        """End the process. May be called again: other processes of this machine end too."""
        if not self._is_held:
            return
        self._is_held = False
        print(file=self._told, flush=True)
        assert self._said.readline() == "gone\n"


@contextmanager
def held() -> Iterator[Held]:
    with subprocess.Popen(
        [sys.executable, "-c", HELD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        try:
            yield Held(parent)
        finally:
            parent.kill()


@pytest.mark.needs("namespaces", suite=True)
def test_what_is_ending_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with held() as process:
        monkeypatch.setattr("hunt.outside.victim.time.sleep", process.let_go)
        assert process.pid not in victim.left_processes({os.getpid()})


@pytest.mark.needs("namespaces", suite=True)
def test_what_never_ends_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(victim, "PATIENCE_S", 0.05)
    with held() as process:
        assert "python" in victim.left_processes({os.getpid()})[process.pid]


def test_a_process_whose_first_thread_has_ended_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(victim, "PATIENCE_S", 0.05)
    with subprocess.Popen(leaderless(str(tmp_path / "lock")), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        seen = [
            str(process.pid) in victim.left_processes({os.getpid()}),
            victim.scheduling(process.pid)["state"],
        ]
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        after = [
            str(process.pid) in victim.left_processes({os.getpid()}),
            victim.scheduling(process.pid)["state"],
        ]
    assert (seen, after) == ([True, "alive"], [False, "ended"])


def test_what_a_process_waits_for_is_said() -> None:
    with subprocess.Popen(["sleep", "987"]) as process:
        os.kill(process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        said = victim.waits()
        process.kill()
    assert f"{process.pid} below {os.getpid()} sleep T " in said
