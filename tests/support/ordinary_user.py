"""Run commands as an ordinary user with a fresh account, even if the test suite itself runs as root.

The user has no passwd entry, no group but its own and an empty home directory, and reads what everybody may
read: the checkout and the virtual environment must be world-readable, and every directory above them
searchable, or nothing in either can be executed. If the suite is not run by root, the user is whoever runs
it, in an equally fresh home and environment.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from support.running import fork_server
from support.running.pace import PACE

TIMEOUT_S = 60.0 * PACE
UNPRIVILEGED_ID = 62000  # unused by distributions; 65534 is what foreign ids look like in a user namespace

# Python ignores two signals from its start, and execve(2) would pass that on.
_BECOME = (
    "import os, signal, sys;"
    "signal.signal(signal.SIGPIPE, signal.SIG_DFL);"
    "signal.signal(signal.SIGXFSZ, signal.SIG_DFL);"
    "os.setgroups([]);"
    "os.setresgid(*[int(sys.argv[1])] * 3);"
    "os.setresuid(*[int(sys.argv[1])] * 3);"
    "os.execvp(sys.argv[2], sys.argv[2:])"
)


def become(uid: int) -> list[str]:
    """Return the beginning of an argv: root becomes this user, with only its own group, and runs the rest."""
    if program := _setpriv():
        return [program, f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--"]
    return become_by_python(uid)


def become_by_python(uid: int) -> list[str]:
    """Return the same where only Python is available, which takes ten times as long to start."""
    return [sys.executable, "-I", "-S", "-c", _BECOME, str(uid)]


@cache
def _setpriv() -> str | None:
    """Return the path of util-linux's setpriv. Busybox has one as well, which cannot change ids."""
    program = shutil.which("setpriv")
    if program is None:
        return None
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    return program if "util-linux" in told.stdout else None


@dataclass(frozen=True, slots=True)
class OrdinaryUser:
    """An ordinary user. Valid inside the `ordinary_user` block that yielded it."""

    uid: int
    gid: int
    home: Path

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return the argv that runs `argv` as this user; the process itself becomes the user's."""
        if os.geteuid() == self.uid:
            return list(argv)
        return [*become(self.uid), *argv]

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the user's whole environment: the usable part of PATH, its own directories, then `more`."""
        directories = os.environ.get("PATH", os.defpath).split(os.pathsep)
        return {
            "PATH": os.pathsep.join(directory for directory in directories if self.reaches(Path(directory))),
            "LANG": "C.UTF-8",
            "HOME": str(self.home),
            "TMPDIR": str(self.home / "tmp"),
            "XDG_CONFIG_HOME": str(self.home / ".config"),
            "XDG_DATA_HOME": str(self.home / ".local/share"),
            "XDG_STATE_HOME": str(self.home / ".local/state"),
            "XDG_CACHE_HOME": str(self.home / ".cache"),
            "XDG_RUNTIME_DIR": str(self.home / "run"),
            **(more or {}),
        }

    def reaches(self, path: Path) -> bool:
        """Return True if the user can reach an existing `path`, judged by the mode bits and the owners."""
        if os.geteuid() == self.uid:
            return os.path.exists(path)  # Path.exists() raises if a directory above cannot be searched
        steps = [path, *path.parents, path.resolve(), *path.resolve().parents]
        return path.is_absolute() and all(
            os.path.exists(step) and step.stat().st_mode & 0o001 for step in steps
        )

    def give(self, path: Path) -> Path:
        """Give `path`, which the test created, to the user, and return it."""
        os.chown(path, self.uid, self.gid)
        return path

    def run(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: str = "",
        timeout_s: float = TIMEOUT_S,
    ) -> subprocess.CompletedProcess[str]:
        """Run to the end, output captured. `environment` is laid over the user's; `cwd` is home if None."""
        return fork_server.run(
            self.command(argv),
            env=self.environment(environment),
            cwd=cwd or self.home,
            input=stdin,
            timeout=timeout_s,
        )


@contextmanager
def ordinary_user() -> Iterator[OrdinaryUser]:
    """Yield an ordinary user with an empty home, removed at the end. RuntimeError: it cannot run Python.

    The home is not in pytest's tmp_path, which is closed to everyone but the user who runs the suite.
    """
    as_root = os.geteuid() == 0
    uid, gid = (UNPRIVILEGED_ID, UNPRIVILEGED_ID) if as_root else (os.geteuid(), os.getegid())
    home = Path(tempfile.mkdtemp(prefix="nono-user-"))
    try:
        user = OrdinaryUser(uid, gid, home.resolve())
        for needed in (home.parent, Path(sys.executable), Path(__file__).parent):
            if not user.reaches(needed):
                raise RuntimeError(f"uid {uid} cannot reach {needed}; it is not world-readable")
        for directory in (home, home / "tmp", home / "run"):
            directory.mkdir(mode=0o700, exist_ok=True)
            user.give(directory)
        yield user
    finally:
        remove_home(home)


def remove_home(home: Path) -> None:
    """Remove a home, and what its killed supervisors left in /tmp, which `nono ps` of it would have found."""
    for record in home.glob(".local/state/nono/sessions/*.json"):
        shutil.rmtree(f"/tmp/nono-{record.stem}", ignore_errors=True)
    shutil.rmtree(home)


def as_ordinary_user(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    stdin: str = "",
    timeout_s: float = TIMEOUT_S,
) -> subprocess.CompletedProcess[str]:
    """Run one command as an ordinary user, in a home that is removed afterwards."""
    with ordinary_user() as user:
        return user.run(argv, environment=environment, stdin=stdin, timeout_s=timeout_s)
