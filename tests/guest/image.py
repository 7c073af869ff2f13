"""The file system of a guest: Python, the packages the tests need, this checkout, a few programs.

Everything lies where it lies on this machine, so that the virtual environment works as it does here. A
guest of this machine's own architecture has this machine's files (`_add_own`), another has its own
(`guest.foreign`).
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from shutil import which

from guest import foreign
from guest.architecture import Architecture
from guest.cpio import Archive
from guest.debian import Kernel
from guest.selection import MODULES, TASK, Task
from support.attack_programs import building

ROOT = Path(__file__).parents[2]
NEEDED = ("nono", "pytest", "pytest-timeout", "hypothesis", "trustme", "pyseccomp")  # and whatever these need
PROGRAMS_OF = (  # Debian packages: what a test runs is as often one of them as Python
    *("bash", "bsdutils", "coreutils", "dash", "diffutils", "findutils", "grep", "hostname", "iproute2"),
    *("libc-bin", "login", "mount", "procps", "sed", "tar", "util-linux"),
)
PYTHON3 = Path("/usr/bin/python3")  # by this name tests run a program that nono does not belong to
UNUSED = {"test", "idlelib", "tkinter", "turtledemo", "ensurepip", "dist-packages", "site-packages"}
ETC = {
    "passwd": "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n",
    "group": "root:x:0:\nuser:x:1000:\n",
    "hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
LOADED = ("libseccomp.so.2",)  # by name during a test, so that ldd(1) does not see it
LOADER_CACHE = Path("/etc/ld.so.cache")
CA_FILE = Path("/etc/ssl/certs/ca-certificates.crt")
BUILT = Path("/usr/lib/nono-attacks")  # where a guest finds them compiled; it has no compiler
INIT = """#!{python} -IS
import sys
sys.path.insert(0, {tests!r})
from guest.init import main
main()
"""


def build(target: Path, work: Path, architecture: Architecture, cache: Path) -> None:
    """Write the archive. Raises NoGuestError.

    work: an empty directory for what is compiled, the caller's to remove. cache: the architecture's own.
    """
    with Archive(target) as archive:
        for name, content in ETC.items():
            archive.text(f"/etc/{name}", content)
        for name in ("/proc", "/sys", "/dev", "/root", "/run", "/home", "/mnt"):
            archive.directory(name)
        for name in ("/tmp", "/var/tmp"):
            archive.directory(name, 0o1777)
        programs = list(_attack_programs(work, architecture))
        if architecture.name == platform.machine():
            python = _add_own(archive, programs)
        else:
            wheels = [f"{each.name}=={each.version}" for each in _distributions() if each.name != "nono"]
            python = foreign.add(archive, architecture, cache, packages=PROGRAMS_OF, wheels=sorted(wheels))
            for path in _files_of(metadata.distribution("nono")):
                archive.copy(path)
        archive.symlink(str(PYTHON3), str(python))
        for path in [*_checkout(), CA_FILE]:
            if path.exists():
                archive.copy(path)
        for program in programs:
            archive.copy(program, BUILT / program.name)
        archive.text("/init", INIT.format(python=python, tests=str(ROOT / "tests")), 0o755)


def _add_own(archive: Archive, built: Sequence[Path]) -> Path:
    """Add this machine's programs, the libraries of all of them, and Python, whose path is returned."""
    python = Path(sys.executable).resolve()
    files = [*_standard_library(), *_packages()]
    binaries = [python, *_programs(), *built, *(path for path in files if ".so" in path.suffixes)]
    for directory in (Path("/bin"), Path("/sbin"), Path("/lib"), Path("/lib64")):
        if directory.is_symlink():
            archive.symlink(str(directory), str(directory.readlink()))
    for path in [python, *_programs(), *_libraries(binaries), *files, LOADER_CACHE]:
        if path.exists():
            archive.copy(path)
    return python


def build_own(target: Path, kernel: Kernel, task: Task) -> None:
    """Write the archive of one guest, which is unpacked over the other: the modules and what to run."""
    with Archive(target) as archive:
        for number, module in enumerate(kernel.modules):
            archive.copy(module, MODULES / f"{number}-{module.name}")
        archive.text(str(TASK), task.to_json())


def _programs() -> Iterator[Path]:
    listed = _said(["dpkg-query", "--listfiles", *PROGRAMS_OF]).splitlines()
    for name in sorted({Path(line).name for line in listed if re.search(r"/s?bin/[^/]+$", line)}):
        if found := which(name, path="/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"):
            yield Path(found)


def _standard_library() -> Iterator[Path]:
    for folder in {Path(sysconfig.get_path("stdlib")), Path(sysconfig.get_path("platstdlib"))}:
        yield from _below(folder, UNUSED)


def _packages() -> Iterator[Path]:
    """List the files of all distributions, and of the virtual environment."""
    for distribution in _distributions():
        yield from _files_of(distribution)
    environment = Path(sys.prefix)
    yield environment / "pyvenv.cfg"
    yield from environment.glob("bin/python*")


def _distributions() -> Iterator[metadata.Distribution]:
    """List NEEDED and what they depend on."""
    waiting, seen = list(NEEDED), set[str]()
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in seen:
            continue
        seen.add(name)
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # for another platform or Python
        yield found
        wanted = [line for line in found.requires or [] if "extra ==" not in line]
        waiting += [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in wanted]


def _files_of(distribution: metadata.Distribution) -> Iterator[Path]:
    paths = [Path(str(distribution.locate_file(file))).resolve() for file in distribution.files or []]
    yield from (path for path in paths if path.exists() and path.is_relative_to(sys.prefix))
    for cached in {path.parent / "__pycache__" for path in paths if path.suffix == ".py"}:
        yield from cached.glob("*.pyc")


def _checkout() -> Iterator[Path]:
    for name in ("nono", "tests", "profiles"):
        yield from _below(ROOT / name, set())
    yield ROOT / "pyproject.toml"


def _below(folder: Path, unused: set[str]) -> Iterator[Path]:
    for directory, names, files in folder.walk():
        names[:] = [name for name in names if name not in unused and not name.startswith("config-3")]
        yield from (directory / file for file in files)


def _attack_programs(work: Path, architecture: Architecture) -> Iterator[Path]:
    compiler = which(architecture.compiler)
    if compiler is None:
        return
    for source in building.sources(architecture.name):
        program = work / source.stem
        subprocess.run(building.command(source, program, compiler), check=True, timeout=60)
        yield program


def _libraries(binaries: Sequence[Path]) -> list[Path]:
    """List the shared libraries of all of them, as ldd(1) finds them, and LOADED."""
    needed = _said(["ldd", *map(str, binaries)])
    known = _said(["ldconfig", "-p"])
    found = re.findall(r"(?:=> |^\s)(/\S+) \(0x", needed, re.MULTILINE)
    for name in LOADED:
        found += re.findall(rf"^\s+{re.escape(name)} .*x86-64.* => (/\S+)$", known, re.MULTILINE)
    return [Path(path) for path in sorted(set(found))]


def _said(command: Sequence[str]) -> str:
    environment = {**os.environ, "PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout
