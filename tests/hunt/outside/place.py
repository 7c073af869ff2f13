"""Set up a user on the stage: a home, what else the user has running, and all that is looked at."""

from __future__ import annotations

import json
import os
import secrets
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hunt.outside import victim
from hunt.outside.stage import HOMES, Packets
from support.nono_run import SUPPORT, NonoRun
from support.ordinary_user import UNPRIVILEGED_ID, OrdinaryUser
from support.running.pace import PACE

TESTS = SUPPORT.parent
BOOT = (
    "import runpy, sys; sys.path.insert(0, sys.argv.pop(1));"
    "runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
)
PREFIX = "hunt-secret-"
PATIENCE_S = 5.0 * PACE


def module(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-B", "-c", BOOT, str(TESTS), name, *arguments]


@dataclass
class Place:
    """A user, what else that user has running, and the machine's way out."""

    sandbox: NonoRun
    packets: Packets
    facts: dict[str, Any] = field(default_factory=dict)
    stage: Sequence[str] = ()  # what confines nono on this host, before the user is changed to
    _process: subprocess.Popen[str] | None = None

    @property
    def process(self) -> subprocess.Popen[str]:
        assert self._process is not None
        return self._process

    def start(self) -> None:
        user = self.sandbox.user
        secret = PREFIX + secrets.token_hex(10)
        self._process = subprocess.Popen(
            user.command(module("hunt.outside.neighbour", str(user.home))),
            env={**user.environment(), "HUNT_SECRET": secret},
            cwd=user.home,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.facts = self._said()

    def end(self) -> None:
        """End the neighbour, and remove all it made."""
        self.process.send_signal(signal.SIGCONT)
        with suppress(OSError, subprocess.TimeoutExpired):
            self.process.communicate(timeout=PATIENCE_S)
        self.process.kill()
        self.process.wait()
        home = self.sandbox.user.home
        for path in (home / "canary", home / ".ssh", Path("/tmp/hunt-canary"), Path("/dev/shm/hunt-canary")):
            subprocess.run(["rm", "-rf", str(path)], check=False)
        for name, option in (("shm", "-m"), ("msg", "-q"), ("sem", "-s")):
            for line in Path(f"/proc/sysvipc/{name}").read_text().splitlines()[1:]:
                subprocess.run(["ipcrm", option, line.split()[1]], check=False, capture_output=True)

    def _said(self) -> dict[str, Any]:
        """Return what the neighbour says next; empty if it says nothing."""
        assert self.process.stdout is not None
        if not select.select([self.process.stdout], [], [], PATIENCE_S)[0]:
            return {}
        return dict(json.loads(self.process.stdout.readline() or "{}"))

    def ask(self) -> dict[str, Any]:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.write("look\n")
            self.process.stdin.flush()
            return self._said()
        return {}

    def look(self) -> dict[str, Any]:
        process = victim.scheduling(self.process.pid)
        neighbour = self.ask() if process["state"] == "alive" else {}
        return {
            "process": process,
            "neighbour": neighbour,
            "packets": self.packets.seen(),
            "left": {
                "processes": victim.left_processes({1, self.process.pid}),
                "files": victim.left_files(self.sandbox.user.home),
                "mounts": victim.mounts(),
                "listeners": victim.listeners(),
            },
        }

    def world(self, ports: dict[str, int]) -> dict[str, Any]:
        """Return what a program inside is told of the place."""
        project, home = self.sandbox.project, self.sandbox.user.home
        more = {
            "mine": str(project / "mine"),
            "mine-too": str(project / "mine-too"),
            "state": str(home / ".local/state/nono"),
            "profile": str(home / "profile.json"),
        }
        return {
            "paths": self.facts["paths"] | more,
            "pids": {"outside": self.facts["pid"]},
            "ids": self.facts["ids"],
            "ports": self.facts["ports"] | ports,
            "abstract": self.facts["abstract"],
            "prefix": PREFIX,
        }


@contextmanager
def settled(packets: Packets, *, as_root: bool, stage: Sequence[str] = ()) -> Iterator[Place]:
    """Yield a user with a home and the neighbour in it, removed at the end of the block."""
    is_root = os.geteuid() == 0
    uid = os.geteuid() if as_root or not is_root else UNPRIVILEGED_ID
    home = HOMES / f"home-{uid}-{secrets.token_hex(3)}"
    user = OrdinaryUser(uid, uid if is_root else os.getegid(), home)
    for directory in (home, home / "tmp", home / "run", home / "project"):
        directory.mkdir(mode=0o700)
        user.give(directory)
    place = Place(NonoRun(user, home / "project"), packets, stage=stage)
    try:
        place.start()
        yield place
    finally:
        place.end()
