"""The process that parses what a command writes to its terminal: what code of the command has there."""

from __future__ import annotations

import errno
import json
import mmap
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from nono.supervisor.screen.library import library_path
from nono.supervisor.screen.model.confine import confine
from support.nono_run import NonoRun, nono_run
from support.sessions.detached import attached, detached, wait_until

RWX = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
ATTEMPTS: dict[str, Callable[[], object]] = {
    "read a file": lambda: os.open("/etc/passwd", os.O_RDONLY),
    "look at a file": lambda: os.stat("/etc/passwd"),
    "list a directory": lambda: os.listdir("/"),
    "read another process": lambda: os.open(f"/proc/{os.getppid()}/status", os.O_RDONLY),
    "open a socket": lambda: socket.socket(socket.AF_UNIX),
    "fork": lambda: os.waitpid(os.fork() or os._exit(0), 0),
    "signal another process": lambda: os.kill(os.getppid(), 0),
    "make code": lambda: mmap.mmap(-1, 4096, prot=RWX),
    "copy a descriptor": lambda: os.dup(0),
}


def outcomes(*, confined: bool) -> dict[str, str | None]:
    """Map each attempt in a process of this test to an errno, or None if it worked."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            if confined:
                confine(theirs.fileno())
            found = {name: outcome(attempt) for name, attempt in ATTEMPTS.items()}
            os.write(theirs.fileno(), json.dumps(found).encode())
            code = 0
        finally:
            os._exit(code)
    theirs.close()
    with ours:
        said = ours.makefile("rb").read()
    assert os.waitpid(pid, 0)[1] == 0
    answer: dict[str, str | None] = json.loads(said)
    return answer


def outcome(attempt: Callable[[], object]) -> str | None:
    try:
        attempt()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return None


def test_it_can_do_nothing_but_answer() -> None:
    assert outcomes(confined=True) == dict.fromkeys(ATTEMPTS, "EPERM")


def test_a_model_without_its_confinement_can_do_each_of_these() -> None:
    assert outcomes(confined=False) == dict.fromkeys(ATTEMPTS)


needs_library = pytest.mark.skipif(library_path() is None, reason="there is no libghostty-vt")


def model_of(supervisor: int) -> int:
    """Return the process that models the terminal of a session."""
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    (found,) = (int(pid) for pid in children if b"screen.model" in Path(f"/proc/{pid}/cmdline").read_bytes())
    return found


@needs_library
@pytest.mark.root
@pytest.mark.needs("CAP_SYS_PTRACE", suite=True)  # whose process is closed to the same user
def test_it_has_neither_a_variable_nor_a_file_of_the_supervisor() -> None:
    with nono_run() as sandbox, detached(sandbox, ["sleep", "987"]) as record, attached(sandbox) as viewer:
        viewer.wait_for(b"\x1b[H")  # it has drawn something, so it has read something
        pid = model_of(record["supervisor_pid"])
        status = Path(f"/proc/{pid}/status").read_text()
        assert "Seccomp:\t2" in status
        assert Path(f"/proc/{pid}/environ").read_bytes() == b""
        assert [os.readlink(each)[:7] for each in Path(f"/proc/{pid}/fd").iterdir()] == ["socket:"]


@needs_library
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["crash", "hang"])
def test_its_end_leaves_the_session_as_it_was(number: signal.Signals) -> None:
    with nono_run() as sandbox, detached(sandbox, ["bash", "--norc"]) as record:
        with attached(sandbox) as viewer:
            viewer.type(b"echo first=$((1+1))\r")
            viewer.wait_for(b"first=2")
            viewer.wait_for(b"\x1b[H")
            os.kill(model_of(record["supervisor_pid"]), number)
        with attached(sandbox) as viewer:
            viewer.type(b"echo second=$((1+1))\r")
            viewer.wait_for(b"second=2")
        assert_drawn_again(sandbox)


def assert_drawn_again(sandbox: NonoRun) -> None:
    with attached(sandbox) as viewer:
        wait_until(lambda: viewer.read(0.05) and b"second=2" in viewer.shown, "it is not drawn")
