"""A start that waits for a file system says so, and says nothing where it does not."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from nono.cli import slow_lookups
from nono.cli.slow_lookups import ToldIfSlow
from nono.policy.host_filesystem import HostFilesystem


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow_lookups, "PATIENCE_S", 0.2)


@pytest.fixture
def stuck(tmp_path: Path) -> Path:
    """Make a FIFO, which stands for a file whose file system does not answer: to open it waits."""
    os.mkfifo(tmp_path / "stuck\x1b[2J")
    return tmp_path / "stuck\x1b[2J"


def test_the_path_that_is_waited_for_is_named(stuck: Path, capfd: pytest.CaptureFixture[str]) -> None:
    fs = HostFilesystem()
    with ToldIfSlow(fs):
        fs.kind(str(stuck))
        said = _until_told(capfd)
    assert said == f"nono: still looking at {stuck.parent}/stuck\\x1b[2J: its file system does not answer\n"


def test_nothing_is_said_of_what_ends_in_time(stuck: Path, capfd: pytest.CaptureFixture[str]) -> None:
    fs = HostFilesystem()
    with ToldIfSlow(fs):
        fs.kind(str(stuck))
    assert capfd.readouterr().err == ""


def test_no_thread_is_left() -> None:
    """One would keep the process from entering namespaces."""
    before = {*os.listdir("/proc/self/task")}
    with ToldIfSlow(HostFilesystem()):
        [ours] = {*os.listdir("/proc/self/task")} - before
    ends = time.monotonic() + 5
    while os.path.exists(f"/proc/self/task/{ours}") and time.monotonic() < ends:
        time.sleep(0.001)
    assert not os.path.exists(f"/proc/self/task/{ours}")


def _until_told(capfd: pytest.CaptureFixture[str]) -> str:
    ends = time.monotonic() + 10
    while time.monotonic() < ends:
        if said := capfd.readouterr().err:
            return said
        time.sleep(0.01)
    return ""
