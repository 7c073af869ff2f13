"""Process 1 of a command's namespaces is small and holds no key, although nobody inside can look into it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from support.nono_run import NonoRun

KEY = "sk-canary-" + "7f3a91c2d4e5" * 3
OWN_KIB_MAX = 8 * 1024
PROFILE = {
    "network": {
        "custom_credentials": {"svc": {"upstream": "https://localhost:1", "credential_key": "env://SVC_KEY"}},
        "credentials": ["svc"],
    }
}

pytestmark = pytest.mark.root  # to look into processes that are not dumpable


@contextmanager
def held(sandbox: NonoRun) -> Iterator[tuple[int, int]]:
    """Yield the pids of nono and of its command's init, while a key from nono's environment is loaded."""
    process = subprocess.Popen(
        sandbox.argv(["sh", "-c", "echo up; read x"], profile=PROFILE, flags=["--namespaces=require"]),
        env=sandbox.user.environment({"SVC_KEY": KEY}),
        cwd=sandbox.project,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "up\n"
            yield process.pid, init_of(process.pid)
        finally:
            process.kill()


def init_of(nono: int) -> int:
    """Return the child of nono that is process 1 of a PID namespace."""
    for status in Path("/proc").glob("[0-9]*/status"):
        with suppress(OSError):  # it has ended
            text = status.read_text()
            numbers = re.search(r"^NSpid:\t(\d+)\t1$", text, re.MULTILINE)
            if numbers and f"\nPPid:\t{nono}\n" in text:
                return int(numbers[1])
    raise AssertionError("there is no init")


def copies(pid: int, text: bytes) -> int:
    """Count the occurrences of a text in the memory of a process."""
    count = 0
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            if line.endswith("[vsyscall]"):
                continue
            start, end = (int(number, 16) for number in line.split()[0].split("-"))
            memory.seek(start)
            with suppress(OSError):  # not readable, as [vvar]
                count += memory.read(end - start).count(text)
    return count


def test_the_init_of_the_namespaces_takes_little_memory(sandbox: NonoRun) -> None:
    with held(sandbox) as (_, init):
        rollup = Path(f"/proc/{init}/smaps_rollup").read_text()
    own = [int(size) for size in re.findall(r"^Private_(?:Clean|Dirty):\s+(\d+) kB$", rollup, re.MULTILINE)]
    assert len(own) == 2
    assert sum(own) <= OWN_KIB_MAX


def test_the_init_of_the_namespaces_holds_no_key(sandbox: NonoRun) -> None:
    with held(sandbox) as (nono, init):
        assert copies(nono, KEY.encode()) > 0
        assert copies(init, KEY.encode()) == 0
