"""Real coding agents, got from their registry by name and kept, one version of each, for the next run."""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

LIMIT_S = 300.0
# How npm calls this machine.
ARCHITECTURE = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
# What the agents were tried with (docs/agents.md). Those that are one program are got without their wrapper
# of JavaScript, and without their programs for other machines.
NPM_PACKAGES = {
    "claude-code": f"@anthropic-ai/claude-code-linux-{ARCHITECTURE}@2.1.332",
    "codex": f"@openai/codex@0.169.0-linux-{ARCHITECTURE}",
    "gemini-cli": "@google/gemini-cli@0.61.0",
}


def npm_agent(name: str) -> Path:
    """The directory of the agent's package. Skips the test where its registry cannot be reached."""
    package = NPM_PACKAGES[name]
    folder, version = package.rsplit("@", 1)
    installed = _cache() / f"{name}-{version}"
    with open(_cache() / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another test run may be getting it
        if not installed.exists():
            _remove_other_versions(name)
            _install(package, installed)
    return installed / "node_modules" / folder


def _cache() -> Path:
    """Where every user may read and only this one may write; the agents are run by another."""
    cache = Path(f"/var/tmp/nono-agents-{os.geteuid()}")
    cache.mkdir(mode=0o755, exist_ok=True)
    found = cache.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise RuntimeError(f"{cache} may be written by somebody else; remove it")
    return cache


def _remove_other_versions(name: str) -> None:
    for other in _cache().glob(f"{name}-*"):
        shutil.rmtree(other)


def _install(package: str, target: Path) -> None:
    """No script of the package is run: that would be outside any sandbox, as root."""
    unfinished = target.with_name(f"{target.name}.part")
    unfinished.mkdir(mode=0o755)
    options = ("--ignore-scripts", "--no-save", "--no-audit", "--no-fund", "--no-update-notifier")
    try:
        ended = subprocess.run(
            ("npm", "install", *options, "--prefix", unfinished, package),
            cwd=unfinished,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        if ended.returncode == 0:
            unfinished.rename(target)
            return
        reason = ended.stderr.strip()
    except (FileNotFoundError, subprocess.TimeoutExpired) as failure:
        reason = str(failure)
    shutil.rmtree(unfinished)
    pytest.skip(f"{package} cannot be got: {reason}")
