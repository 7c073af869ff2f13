"""nono.supervisor.screen.started: the process that models a terminal takes no code from the project."""

from __future__ import annotations

import os
import subprocess
import sys
from os.path import dirname
from pathlib import Path

import pytest

import nono
from nono.sessions.wire import Size
from nono.supervisor.screen.started import PROGRAM, start

NO_LIBRARY = "/nonexistent/libghostty-vt.so"  # so that the process ends once it has imported its modules


@pytest.fixture
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Plant modules in the working directory. Returns the file that they make."""
    made = tmp_path / "ran"
    project = tmp_path / "project"
    project.mkdir()
    for module in ("ctypes", "struct", "typing"):
        (project / f"{module}.py").write_text(f"open({str(made)!r}, 'w').close()\n")
    monkeypatch.chdir(project)
    return made


def test_it_runs_no_module_of_the_working_directory(mark: Path) -> None:
    process = start(NO_LIBRARY, Size(5, 20))
    os.waitid(os.P_PIDFD, process.pidfd, os.WEXITED)
    os.close(process.pidfd)
    process.connection.close()
    assert not mark.exists()


def test_a_python_that_is_not_isolated_would_have_run_it(mark: Path) -> None:
    argv = [sys.executable, "-S", "-B", "-c", PROGRAM, dirname(dirname(nono.__file__)), NO_LIBRARY, "5", "20"]
    subprocess.run(argv, env={}, check=False, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert mark.exists()
