"""nono.launch.around.hook_process: what a hook begins with, and what is kept of what it says."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

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


def hook(directory: Path, script: str, interpreter: str = "/bin/sh") -> Ran:
    path = directory / "hook"
    path.write_text(f"#!{interpreter}\n{script}\n")
    path.chmod(0o755)
    return ended(str(path), {"PATH": os.defpath}, LIMIT_S)


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
