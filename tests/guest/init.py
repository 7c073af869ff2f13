"""Be the first process of a guest: set the machine up, run a selection of the tests as a user, switch off.

What it has to tell goes to the second serial port, a JSON object a line; the first is the console.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from guest.architecture import ARCHITECTURES
from guest.selection import MODULES, TASK

ROOT = Path(__file__).parents[2]
PYTHON = str(ROOT / ".venv/bin/python")
USER = 1000
IDS = {"user": USER, "root": 0}
HOMES = {"user": "/home/user", "root": "/root"}
TEST_LIMIT_S = 600  # instead of the two minutes of a machine that is not emulated
ARCHITECTURE = ARCHITECTURES[os.uname().machine]
REPORTS = f"{ARCHITECTURE.serial}1"
MOUNTS = (
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("cgroup2", "/sys/fs/cgroup"),
    ("devtmpfs", "/dev"),
    ("tmpfs", "/dev/shm"),
    ("devpts", "/dev/pts"),
)
RB_AUTOBOOT = 0x1234567  # reboot(2); the guest is started with -no-reboot
LANDLOCK_CREATE_RULESET, LANDLOCK_CREATE_RULESET_VERSION = 444, 1
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONPATH": str(ROOT / "tests"),
    "NONO_TEST_TRIES": "1000",
    "NONO_TEST_PACE": "6",
    "NONO_TEST_CGROUPS": "1",  # they are delegated, and tests of them need not be skipped
}
CGROUPS = Path("/sys/fs/cgroup")
MANAGER = "user.slice/user-{0}.slice/user@{0}.service"  # as systemd has it; of a user's id
DELEGATED = ("", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control")


def main() -> None:
    """Run to the end of the machine. Never returns: the machine ends with it, whatever happens."""
    try:
        task = json.loads(TASK.read_text())
        _prepare(task["user"])
        if (tests := os.fork()) == 0:
            _run(task)
            os._exit(0)
        while os.wait()[0] != tests:
            pass  # an orphan, whose exit code nobody else takes
    finally:
        sys.stderr.flush()
        ctypes.CDLL(None).reboot(RB_AUTOBOOT)


def _prepare(user: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    for kind, place in MOUNTS:
        os.makedirs(place, exist_ok=True)
        if libc.mount(kind.encode(), place.encode(), kind.encode(), 0, None) != 0:
            raise OSError(ctypes.get_errno(), f"mount {place}")
    for module in sorted(MODULES.iterdir(), key=lambda path: int(path.name.partition("-")[0])):
        with module.open("rb") as file:
            if libc.syscall(ARCHITECTURE.finit_module, file.fileno(), b"", 0) != 0:
                raise OSError(ctypes.get_errno(), f"load {module.name}")
    if not os.path.exists("/etc/ld.so.cache"):
        subprocess.run(["/usr/sbin/ldconfig"], check=True)
    for name, target in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        os.symlink(f"/proc/self/fd{target}", f"/dev/{name}")
    os.chmod("/dev/shm", 0o1777)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
    _delegate_cgroups(IDS[user])
    os.mkdir("/home/user", 0o700)
    os.chown("/home/user", USER, USER)
    os.chmod(REPORTS, 0o666)


def _delegate_cgroups(user: int) -> None:
    """Put this process and all that follow in a scope, as a login to a system with systemd does."""
    manager = CGROUPS / MANAGER.format(user)
    scope = manager / "tests.scope"
    scope.mkdir(parents=True)
    for directory in (CGROUPS, *reversed(manager.relative_to(CGROUPS).parents[:-1]), manager):
        (CGROUPS / directory / "cgroup.subtree_control").write_text("+memory +pids")
    for directory in (manager, scope):
        for name in DELEGATED:
            os.chown(directory / name, user, user)
    (scope / "cgroup.procs").write_text("0")


def _run(task: Mapping[str, Any]) -> None:
    """Run what guest.selection.Task says."""
    _tell({"kernel": os.uname().release, **_what_nono_finds(task["user"])})
    began = time.monotonic()
    pytest = [PYTHON, "-m", "pytest", "-p", "guest.reporting", "-p", "no:cacheprovider"]
    command = [*pytest, f"--timeout={TEST_LIMIT_S}", *task["arguments"]]
    environment = {**ENVIRONMENT, **task["environment"]}
    try:
        ended = _as_user(task["user"], command, environment, timeout_s=task["limit_s"]).returncode
    except subprocess.TimeoutExpired:
        ended = -1
    _tell({"ended": ended, "seconds": round(time.monotonic() - began, 1)})


def _what_nono_finds(user: str) -> dict[str, object]:
    # Asked of the kernel itself: nono knows no version above its own.
    abi = ctypes.CDLL(None).syscall(
        LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), LANDLOCK_CREATE_RULESET_VERSION
    )
    wanted = ("--allow-domain", "x.example", "--host", "x.example", "--json")
    command = [PYTHON, "-I", "-m", "nono", "why", *wanted]
    why = _as_user(user, command, ENVIRONMENT, timeout_s=120, captured=True)
    try:
        said = str(json.loads(why.stdout)["enforced_by"])
        rung = "refused" if said.startswith("nothing, the run is refused") else said.partition(":")[0]
    except (ValueError, KeyError):
        rung = "refused"
    return {"abi": max(abi, 0), "rung": rung, "said": why.stderr}


def _as_user(
    user: str,
    command: list[str],
    environment: Mapping[str, str],
    *,
    timeout_s: float,
    captured: bool = False,
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**environment, "HOME": HOMES[user]},
        user=IDS[user],
        group=IDS[user],
        extra_groups=[],
        stdin=subprocess.DEVNULL,
        capture_output=captured,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def _tell(told: Mapping[str, object]) -> None:
    with open(REPORTS, "w", encoding="utf-8") as reports:
        reports.write(json.dumps(told) + "\n")
