"""What the machine offers a measurement: CPUs to keep apart, tools, the facts for the head of the page."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BENCH_DIR = ROOT / ".bench"  # git-ignored
PROGRAMS = Path(__file__).resolve().parent / "programs"
TOOLS = ("cc", "wrk", "nginx")


@dataclass(frozen=True, slots=True)
class Cpus:
    """Where the proxy runs, and where its load and its upstream do; one number twice on a single CPU."""

    proxy: int
    load: int


def cpus() -> Cpus:
    usable = sorted(os.sched_getaffinity(0))
    return Cpus(proxy=usable[-1], load=usable[0])


def tool(name: str) -> str | None:
    """Return the path of a program. Debian keeps servers where an ordinary user's PATH does not lead."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def compiled(target: Path, source: str, *libraries: str) -> str | None:
    """Build a C program and return its path; None if it cannot be built."""
    compiler = tool("cc")
    if compiler is None:
        return None
    argv = [compiler, "-O2", "-o", str(target), str(PROGRAMS / source), *libraries]
    built = subprocess.run(argv, check=not libraries, capture_output=bool(libraries), timeout=60)
    return None if built.returncode else str(target)


def facts() -> dict[str, str]:
    found = cpus()
    apart = (
        "proxy and load on one of their own"
        if found.proxy != found.load
        else "only one: nothing is kept apart"
    )
    missing = [name for name in TOOLS if tool(name) is None]
    described = {
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "CPUs": f"{len(os.sched_getaffinity(0))} ({_cpu_model()}); {apart}",
        "Python": platform.python_version(),
        "load average at the start": f"{os.getloadavg()[0]:.2f}",
        "user": "root" if os.geteuid() == 0 else "ordinary",
    }
    for name in TOOLS:
        described[name] = _version(name)
    if missing:
        packages = {"cc": "gcc libc6-dev"}
        wanted = " ".join(packages.get(name, name) for name in missing)
        described["to measure with all of them"] = f"`apt-get install {wanted}`"
    return described


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return "unknown"
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )


def _version(name: str) -> str:
    program = tool(name)
    if program is None:
        return "not installed"
    flag = "--version" if name == "cc" else "-v"
    said = subprocess.run([program, flag], capture_output=True, text=True, timeout=10, check=False)
    return (said.stdout or said.stderr).splitlines()[0]
