"""Fetch real coding agents by name from their registries and keep one version of each for later runs.

`python -m support.agents.programs` fetches all of them.
"""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from support.nono_run import NONO

LIMIT_S = 300.0
# The name that npm uses for this machine's architecture.
ARCHITECTURE = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
OPENCODE = f"opencode-linux-{ARCHITECTURE}{'-baseline' if ARCHITECTURE == 'x64' else ''}"
# The versions that the agents were tried with (docs/agents.md). Agents that are a single program are fetched
# without their JavaScript wrapper and without the programs for other machines.
NPM_PACKAGES = {
    "claude-code": f"@anthropic-ai/claude-code-linux-{ARCHITECTURE}@2.1.332",
    "codex": f"@openai/codex@0.171.0-linux-{ARCHITECTURE}",
    "gemini-cli": "@google/gemini-cli@0.61.0",
    "openclaw": "openclaw@2026.9.6",
    "opencode": f"{OPENCODE}@1.18.33",
    "qwen-code": "@qwen-code/qwen-code@0.24.4",
    "copilot-cli": f"@github/copilot-linux-{ARCHITECTURE}@1.0.102",
    "goose": f"@aaif/goose-binary-linux-{ARCHITECTURE}@1.52.0",
    "xterm": "@xterm/headless@6.0.0",  # not an agent but a terminal
    "pnpm": "pnpm@9.15.9",  # nor are these: package managers
    "native-pnpm": f"@pnpm/exe.linux-{ARCHITECTURE}@12.21.0",  # from version 12 on it is no program of Node
    "yarn": "yarn@1.22.22",
    "yarn-berry": "@yarnpkg/cli-dist@4.18.1",
}
# Where an agent is in node_modules, if not in the directory of its package: its libraries are next to it.
INSIDE = {"opencode": f"{OPENCODE}/bin", "openclaw": "", "qwen-code": ""}
# These need a newer Node than the tests do.
NODE_24 = (f"node-linux-{ARCHITECTURE}@24.21.0",)
BESIDE = {"openclaw": NODE_24, "qwen-code": NODE_24}
# Scripts of a package that have to be run. They run where they can write only to the package itself.
SCRIPTS = {
    "openclaw": [
        (
            *(*NONO, "wrap", "--silent", "--allow", ".", "--block-net", "--"),
            f"node_modules/node-linux-{ARCHITECTURE}/bin/node",
            "node_modules/openclaw/scripts/postinstall-bundled-plugins.mjs",
        )
    ]
}
PYTHON_PACKAGES = {"aider": "aider-chat==0.86.2"}
PYTHONS = ("python3.12", "python3.11", "python3.10")  # versions that aider runs on


def installed(name: str) -> Path:
    """Return the directory of the agent's package. Skips the test if its registry cannot be reached."""
    if name in NPM_PACKAGES:
        folder, version = NPM_PACKAGES[name].rsplit("@", 1)
        commands = [_npm(NPM_PACKAGES[name], *BESIDE.get(name, ())), *SCRIPTS.get(name, ())]
        return _kept(name, version, commands) / "node_modules" / INSIDE.get(name, folder)
    package = PYTHON_PACKAGES[name]
    return _kept(name, package.rpartition("=")[2], _uv(package))


def _kept(name: str, version: str, commands: Sequence[Sequence[str]]) -> Path:
    target = _cache() / f"{name}-{version}"
    with open(_cache() / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another test run may be fetching it
        if not target.exists():
            for other in _cache().glob(f"{name}-*"):
                shutil.rmtree(other)
            _install(commands, target)
    return target


def _cache() -> Path:
    """Return a directory that all may read and only this user may write: another user runs the agents."""
    cache = Path(f"/var/tmp/nono-agents-{os.geteuid()}")
    cache.mkdir(mode=0o755, exist_ok=True)
    found = cache.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise RuntimeError(f"{cache} may be written by somebody else; remove it")
    return cache


def _npm(*packages: str) -> Sequence[str]:
    """Return the command to install packages without their scripts, which would run unconfined as root."""
    options = ("--ignore-scripts", "--no-save", "--no-audit", "--no-fund", "--no-update-notifier")
    return ("npm", "install", *options, "--prefix", ".", *packages)


def _uv(package: str) -> Sequence[Sequence[str]]:
    """Return the commands to install a package from wheels only, for the same reason."""
    python = next(
        filter(None, (shutil.which(name, path="/usr/local/bin:/usr/bin") for name in PYTHONS)), None
    )
    if python is None:
        pytest.skip(f"none of {', '.join(PYTHONS)} is installed")
    uv = str(Path(sys.prefix, "bin/uv"))
    install = ("pip", "install", "--quiet", "--only-binary", ":all:", "--link-mode", "copy")
    return [
        (uv, "venv", "--quiet", "--relocatable", "--allow-existing", "--python", python, "."),
        (uv, *install, "--python", "bin/python", package),
    ]


def _install(commands: Sequence[Sequence[str]], target: Path) -> None:
    unfinished = target.with_name(f"{target.name}.part")
    unfinished.mkdir(mode=0o755)
    try:
        for command in commands:
            subprocess.run(
                command,
                cwd=unfinished,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=LIMIT_S,
                check=True,
            )
        unfinished.rename(target)
    except (OSError, subprocess.SubprocessError) as failure:
        shutil.rmtree(unfinished)
        said = getattr(failure, "stderr", None) or ""
        pytest.skip(f"{target.name} cannot be got: {failure} {said}")


def fetch_all() -> None:
    for name in (*NPM_PACKAGES, *PYTHON_PACKAGES):
        try:
            installed(name)
        except pytest.skip.Exception as why:
            print(why)


if __name__ == "__main__":
    fetch_all()
