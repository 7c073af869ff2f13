"""Installs the peers into .bench and says how each is started; one that does not install is told as such."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import BENCH_DIR, tool
from benchmarks.samples import Absent, CannotRunError

INSTALL_S = 180.0
PYTHON_PEERS = {"nono-py": "0.16.0", "sandlock": "0.9.0"}
NODE_PEERS = {"@openai/codex": "0.171.0", "@anthropic-ai/sandbox-runtime": "0.0.83"}


@dataclass(frozen=True, slots=True)
class Peer:
    """command: what stands before a program and its arguments; tools: a folder that its PATH needs."""

    version: str
    command: tuple[str, ...]
    tools: Path | None = None


@dataclass(frozen=True, slots=True)
class Peers:
    nono_py: Peer | Absent  # its command is the Python that can import it
    sandlock: Peer | Absent  # the same
    codex: Peer | Absent
    srt: Peer | Absent
    bwrap: Peer | Absent

    def versions(self) -> dict[str, str]:
        named = {
            "nono-py": self.nono_py,
            "sandlock": self.sandlock,
            "@openai/codex": self.codex,
            "@anthropic-ai/sandbox-runtime (srt)": self.srt,
            "bubblewrap": self.bwrap,
        }
        return {
            name: peer.version if isinstance(peer, Peer) else f"absent: {peer.reason}"
            for name, peer in named.items()
        }


def find_peers() -> Peers:
    """Find the peers, and install those that are missing."""
    BENCH_DIR.mkdir(exist_ok=True)
    return Peers(
        nono_py=_or_absent(lambda: _python_peer("nono-py")),
        sandlock=_or_absent(lambda: _python_peer("sandlock")),
        codex=_or_absent(_codex),
        srt=_or_absent(_srt),
        bwrap=_or_absent(_bwrap),
    )


def _or_absent(find: Callable[[], Peer]) -> Peer | Absent:
    try:
        return find()
    except CannotRunError as error:
        return Absent(str(error))


def _python_peer(name: str) -> Peer:
    version = PYTHON_PEERS[name]
    environment = BENCH_DIR / "python"
    python = environment / "bin/python"
    if not python.exists():
        _run("a virtual environment", [sys.executable, "-m", "venv", str(environment)])
    marker = environment / f"{name}-{version}.installed"
    if not marker.exists():
        _run(name, [str(python), "-m", "pip", "install", "--quiet", f"{name}=={version}"])
        marker.touch()
    return Peer(version, (str(python),))


def _node_modules(name: str) -> Path:
    return node_package(name, NODE_PEERS[name])


def node_package(name: str, version: str) -> Path:
    """Install a package, and return the folder of the packages."""
    npm = tool("npm")
    if npm is None:
        raise CannotRunError("npm is not installed")
    prefix = BENCH_DIR / "node"
    prefix.mkdir(exist_ok=True)
    marker = prefix / f"{name.replace('/', '-')}-{version}.installed"
    if not marker.exists():
        flags = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error", f"--prefix={prefix}"]
        _run(name, [npm, "install", *flags, f"{name}@{version}"])
        marker.touch()
    return prefix / "node_modules"


def _codex() -> Peer:
    """Return the native binary: its node shim would be measured as well."""
    folders = sorted(_node_modules("@openai/codex").glob("@openai/codex-*/vendor/*/bin/codex"))
    if not folders:
        raise CannotRunError(f"no native binary for {platform.machine()}")
    return Peer(NODE_PEERS["@openai/codex"], (str(folders[0]), "sandbox", "--"))


def _srt() -> Peer:
    name = "@anthropic-ai/sandbox-runtime"
    modules = _node_modules(name)
    node = tool("node")
    if node is None:
        raise CannotRunError("node is not installed")
    # It wants ripgrep, of which codex brings one along.
    ripgreps = sorted(modules.glob("@openai/codex-*/vendor/*/codex-path"))
    command = (node, str(modules / name / "dist/cli.js"), "--settings", str(_srt_settings()))
    return Peer(NODE_PEERS[name], command, ripgreps[0] if ripgreps else None)


def _srt_settings() -> Path:
    settings = BENCH_DIR / "srt.json"
    settings.write_text(
        '{"network": {"allowedDomains": ["example.com"], "deniedDomains": []},'
        ' "filesystem": {"denyRead": [], "allowWrite": ["/tmp"], "denyWrite": []}}\n'
    )
    return settings


def _bwrap() -> Peer:
    program = tool("bwrap")
    if program is None:
        raise CannotRunError("not installed")
    said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=False)
    flags = ("--ro-bind", "/", "/", "--dev", "/dev", "--unshare-pid", "--proc", "/proc")
    return Peer(said.stdout.split()[-1], (program, *flags, "--"))


def _run(what: str, argv: Sequence[str]) -> None:
    """Run argv. Raises CannotRunError with the last line of its output if it fails or takes too long."""
    print(f"installing {what} into .bench", file=sys.stderr)
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotRunError(f"not installable here: {error}") from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "no word").splitlines()[-1]
        raise CannotRunError(f"not installable here: {said[:160]}")
