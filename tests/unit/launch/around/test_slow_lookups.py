"""A start that waits for a file system says so, and says nothing where it does not."""

from __future__ import annotations

import _thread
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from nono.kernel.process import thread_count
from nono.launch.around import slow_lookups
from nono.launch.around.slow_lookups import ToldIfSlow
from nono.policy.host_filesystem import HostFilesystem


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow_lookups, "PATIENCE_S", 0.2)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow_lookups, "PATIENCE_S", 60.0)


@pytest.fixture
def stuck(tmp_path: Path) -> Path:
    """Make a FIFO, which stands for a file whose file system does not answer: to open it waits."""
    os.mkfifo(tmp_path / "stuck\x1b[2J")
    return tmp_path / "stuck\x1b[2J"


@pytest.mark.usefixtures("impatient")
def test_the_path_that_is_waited_for_is_named(stuck: Path, capfd: pytest.CaptureFixture[str]) -> None:
    fs = HostFilesystem()
    with ToldIfSlow(lambda: fs.looking_at):
        fs.kind(str(stuck))
        said = _until_told(capfd)
    assert said == f"nono: still looking at {stuck.parent}/stuck\\x1b[2J: its file system does not answer\n"


@pytest.mark.usefixtures("impatient")
def test_who_is_given_says_it(stuck: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """At the end of a run nothing was said, and nono seemed to have stopped."""
    said = list[str]()
    with ToldIfSlow(lambda: "/mnt", said.append):
        ends = time.monotonic() + 10
        while not said and time.monotonic() < ends:
            time.sleep(0.01)
    assert said == ["still looking at /mnt: its file system does not answer"]
    assert capfd.readouterr().err == ""


@pytest.mark.usefixtures("patient")
def test_nothing_is_said_of_what_ends_in_time(stuck: Path, capfd: pytest.CaptureFixture[str]) -> None:
    fs = HostFilesystem()
    with ToldIfSlow(lambda: fs.looking_at):
        fs.kind(str(stuck))
    assert capfd.readouterr().err == ""


@pytest.mark.usefixtures("patient")
def test_no_thread_is_left_when_the_look_is_over() -> None:
    """A process of which the kernel counts two threads may not enter namespaces, as a wrap does."""
    before = thread_count()
    counts = []
    for _ in range(200):
        with ToldIfSlow(str):
            pass
        counts.append(thread_count())
    assert set(counts) == {before}


@pytest.mark.parametrize("is_ignored", [False, True])
def test_ctrl_c_is_fatal_while_a_path_is_waited_for_unless_it_is_ignored(
    is_ignored: bool, stuck: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal that is handled ends no wait that only fatal ones end, as those for NFS and FUSE."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN if is_ignored else signal.default_int_handler)
    try:
        outside = _sigint()
        monkeypatch.setattr(slow_lookups, "PATIENCE_S", 2.0)  # longer than a busy machine stands still
        with ToldIfSlow(str):
            soon = _sigint()
            _until_told(capfd)
            later = _sigint()
        assert (outside, soon, later) == (("SigIgn",) * 3 if is_ignored else ("SigCgt", "SigCgt", "default"))
        assert _sigint() == outside
    finally:
        signal.signal(signal.SIGINT, before)


def _sigint() -> str:
    """Return the line of proc_pid_status(5) that has SIGINT."""
    lines = Path("/proc/self/status").read_text().splitlines()
    masks = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith("Sig")}
    bit = 1 << (signal.SIGINT - 1)
    return next((name for name in ("SigIgn", "SigCgt") if int(masks[name], 16) & bit), "default")


def test_a_look_goes_on_where_nobody_can_tell_of_it(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_thread, "start_new_thread", refuse)
    with ToldIfSlow(str):
        pass
    assert capfd.readouterr().err == ""


@pytest.mark.usefixtures("impatient")
def test_a_line_that_nobody_reads_any_more_is_left(capfd: pytest.CaptureFixture[str]) -> None:
    told = threading.Event()

    def say(_: str) -> None:
        told.set()
        raise BrokenPipeError

    with ToldIfSlow(str, say):
        assert told.wait(10)
    assert capfd.readouterr().err == ""


def _until_told(capfd: pytest.CaptureFixture[str]) -> str:
    ends = time.monotonic() + 10
    while time.monotonic() < ends:
        if said := capfd.readouterr().err:
            return said
        time.sleep(0.01)
    return ""
