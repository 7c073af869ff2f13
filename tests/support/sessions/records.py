"""Read the records of sessions as another program would, and ask nono about them."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

from support.nono_run import NONO, TIMEOUT_S, NonoRun
from support.ordinary_user import OrdinaryUser
from support.running import fork_server


def directory(user: OrdinaryUser) -> Path:
    return user.home / ".local/state/nono/sessions"


def records(user: OrdinaryUser) -> list[dict[str, Any]]:
    """Return the content of the files, the newest first."""
    found = [json.loads(path.read_text()) for path in directory(user).glob("*.json") if path.name[0] != "."]
    return sorted(found, key=lambda record: -record["started_unix_ms"])


def leftovers(user: OrdinaryUser) -> list[str]:
    """Return what exists besides the records."""
    return [path.name for path in directory(user).iterdir() if path.name[0] == "." or path.suffix != ".json"]


def record_of(user: OrdinaryUser, name: str) -> dict[str, Any]:
    """Return the newest record of that name, once there is one."""
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        if directory(user).exists():
            for record in records(user):
                if record["name"] == name:
                    return record
        time.sleep(0.01)
    raise AssertionError(f"there is no session {name}")


def nono(sandbox: NonoRun, *argv: str, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `nono ARGV` as the user of the sandbox."""
    return fork_server.run(
        sandbox.user.command([*NONO, *argv]),
        env=sandbox.user.environment(variables),
        cwd=sandbox.project,
        input=stdin,
        timeout=TIMEOUT_S,
    )
