"""nono.launch.around.hook_process: what a hook begins with, and what is kept of what it says."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nono.disk.descriptor import is_readable
from nono.kernel import process
from nono.launch.around import hook_process
from nono.launch.around.hook_process import OUTPUT_BYTES, Ran, ended

LIMIT_S = 30.0
# Signals 32 and 33: glibc's posix_spawn(3) leaves them ignored where clone3(2) is refused, as in a container.
OF_LIBC = 0b11 << 31


@pytest.fixture(autouse=True)
def blocked() -> Iterator[None]:
    """Block and ignore signals as the supervisor of a run does, and its caller may."""
    ignored = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    signal.signal(signal.SIGUSR1, ignored)


@pytest.fixture(autouse=True)
def typed() -> Iterator[None]:
    """Let standard input be a pipe that holds a line."""
    before, (reader, writer) = os.dup(0), os.pipe()
    os.write(writer, b"yes\n")
    os.dup2(reader, 0)
    yield
    os.dup2(before, 0)
    for descriptor in (before, reader, writer):
        os.close(descriptor)


def hook(directory: Path, script: str, interpreter: str = "/bin/sh", limit_s: float = LIMIT_S) -> Ran:
    path = directory / "hook"
    path.write_text(f"#!{interpreter}\n{script}\n")
    path.chmod(0o755)
    return ended(str(path), {"PATH": os.defpath}, limit_s)


def test_no_signal_is_blocked_or_ignored_in_a_hook(tmp_path: Path) -> None:
    """A shell unblocks them itself."""
    ran = hook(tmp_path, "", "/usr/bin/env -S grep -hE ^Sig(Blk|Ign) /proc/self/status")
    blocked, ignored = (int(mask, 16) for mask in ran.output.split()[1::2])
    assert (blocked, ignored & ~OF_LIBC) == (0, 0)


@pytest.mark.parametrize(
    ("script", "status", "problem"),
    [
        ("exit 0", 0, None),
        ("exit 7", 7, "failed with exit status 7"),
        ("kill -KILL $$", -9, "was ended by signal 9"),
        ("read line", 1, "failed with exit status 1"),  # nobody types anything
    ],
)
def test_how_a_hook_has_ended_is_said(script: str, status: int, problem: str | None, tmp_path: Path) -> None:
    ran = hook(tmp_path, script)
    assert (ran.status, ran.problem, ran.interrupted_by) == (status, problem, None)


def test_the_end_of_what_a_hook_says_is_kept(tmp_path: Path) -> None:
    ran = hook(tmp_path, "head -c 300000 /dev/zero | tr '\\0' x; echo the end")
    assert ran.output.endswith("xthe end")
    assert len(ran.output) == OUTPUT_BYTES - 1  # without its line end


def test_a_hook_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    ran = hook(tmp_path, "exec sleep 987", limit_s=0)
    assert (ran.status, ran.problem) == (-signal.SIGTERM, "took longer than 0 s and was ended")


def test_a_hook_may_be_given_any_time(tmp_path: Path) -> None:
    """poll(2) takes no more than 24 days."""
    assert hook(tmp_path, "exit 0", limit_s=1e12).status == 0


def test_a_signal_for_the_run_ends_a_hook_with_its_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hook_process, "TERMINATION_S", 0.0)
    os.mkfifo(tmp_path / "up")
    main, left = threading.get_ident(), list[int]()

    def interrupt() -> None:
        left.append(os.pidfd_open(int((tmp_path / "up").read_text())))
        signal.pthread_kill(main, signal.SIGTERM)

    thread = threading.Thread(target=interrupt)
    thread.start()
    ran = hook(tmp_path, f"trap '' TERM; sleep 987 & echo $! > {tmp_path}/up; wait")
    thread.join()
    assert signal.sigwait((signal.SIGTERM,)) == signal.SIGTERM  # left for the run
    assert (ran.status, ran.interrupted_by) == (-signal.SIGKILL, signal.SIGTERM)
    assert ran.problem == "was ended: the run was interrupted"
    assert is_readable(left[0], within_s=10)
    os.close(left[0])


def test_a_hook_gets_the_limit_of_open_files_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[int]()
    monkeypatch.setattr(process, "restore_open_files", asked.append)
    assert hook(tmp_path, "echo $$").output == str(*asked)
