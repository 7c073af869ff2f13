"""A nono without frozen seccomp programs holds its command with built ones, or refuses in a sentence."""

from __future__ import annotations

import subprocess
import sys

import pytest

from support.ladder.launch import PYTHON, Place

# nono, with its programs and perhaps libseccomp out of reach, as in a package that ships no binary files.
PROGRAM = """
import sys
from nono.kernel import filters
from nono.kernel.filters import build
filters.DIRECTORY = "/nonexistent"
build.LIBRARY = sys.argv.pop(1)
from nono.__main__ import main
main()
"""
IOCTL_TIOCSTI = """
import fcntl, os, termios
fd = os.open("/dev/null", os.O_RDWR)
try:
    fcntl.ioctl(fd, termios.TIOCSTI, b"x")
except OSError as error:
    print(error.errno)
"""
EPERM, ENOTTY = "1\n", "25\n"
MODES = {
    "wrap": ("wrap", "-s", "--allow-cwd"),
    "run": ("run", "-s", "--allow-cwd"),
    "proxied": ("run", "-s", "--allow-cwd", "--allow-domain", "example.invalid"),
}


def run(here: Place, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        here.user.command(command),
        capture_output=True,
        text=True,
        timeout=60,
        cwd=here.project,
        env=here.user.environment(),
        check=False,
    )


def typed(here: Place, library: str, mode: str) -> subprocess.CompletedProcess[str]:
    """Run nono in that mode, with a command that tries to type into a terminal and prints the outcome."""
    nono = [sys.executable, "-I", "-c", PROGRAM, library, *MODES[mode]]
    return run(here, *nono, "--", *PYTHON, IOCTL_TIOCSTI)


@pytest.mark.parametrize("mode", MODES)
def test_a_command_is_held_by_programs_that_were_built(here: Place, mode: str) -> None:
    done = typed(here, "libseccomp.so.2", mode)
    assert (done.returncode, done.stdout, done.stderr) == (0, EPERM, "")


@pytest.mark.parametrize(("mode", "status"), [("wrap", 1), ("run", 126), ("proxied", 126)])
def test_without_libseccomp_nothing_is_started(here: Place, mode: str, status: int) -> None:
    done = typed(here, "libseccomp.so.none", mode)
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.startswith("nono: Sandbox initialization failed: no seccomp filter for ")
    assert done.stderr.endswith("libseccomp is not installed (Debian, Ubuntu: apt install libseccomp2).\n")
    assert done.stderr.count("\n") == 1


def test_typing_is_not_refused_by_the_file_itself(here: Place) -> None:
    assert run(here, *PYTHON, IOCTL_TIOCSTI).stdout == ENOTTY
