"""The files of a guest of another architecture than this machine's: Debian's packages and wheels for it.

Python is the package's, so the virtual environment here must be of the same version: what is compiled
here is run there.
"""

from __future__ import annotations

import compileall
import platform
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Sequence
from pathlib import Path

from guest.apt import Apt, NoGuestError
from guest.architecture import Architecture
from guest.cpio import Archive

SUITE = "trixie"
PYTHON = "3.13"  # of SUITE
GLIBC = "2_40"  # the newest that uv knows; SUITE has 2.41
LIBRARIES = ("libseccomp2", "libstdc++6")  # loaded by name, and for the wheels
UNUSED = ("usr/share/doc", "usr/share/info", "usr/share/locale", "usr/share/man", "boot")
SITE = Path(sysconfig.get_path("purelib"))


def add(
    archive: Archive,
    architecture: Architecture,
    cache: Path,
    *,
    packages: Sequence[str],
    wheels: Sequence[str],
) -> Path:
    """Add Debian's packages, the wheels ("name==version") and a virtual environment; return Python's path.

    What was fetched is kept in the cache, which is the architecture's own. Raises NoGuestError.
    """
    if (here := ".".join(platform.python_version_tuple()[:2])) != PYTHON:
        raise NoGuestError(f"Debian {SUITE} has Python {PYTHON}, and this is {here}")
    wanted = [f"python{PYTHON}", *LIBRARIES, *packages]
    archive.tree(_kept(cache / "root", wanted, lambda folder: _unpack(folder, wanted, architecture, cache)))
    archive.tree(_kept(cache / "site", wheels, lambda folder: _install(folder, wheels, architecture)), SITE)
    interpreter = Path(f"/usr/bin/python{PYTHON}")
    for name in ("python", "python3", interpreter.name):
        archive.symlink(f"{sys.prefix}/bin/{name}", str(interpreter))
    archive.text(f"{sys.prefix}/pyvenv.cfg", f"home = /usr/bin\nversion = {PYTHON}\n")
    return interpreter


def _kept(folder: Path, wanted: Sequence[str], fill: Callable[[Path], None]) -> Path:
    """Return the folder if it was filled for what is wanted now, else after filling it anew."""
    note, text = folder.with_suffix(".txt"), "\n".join(wanted)
    if not note.exists() or note.read_text() != text:
        note.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        fill(folder)
        note.write_text(text)
    return folder


def _unpack(folder: Path, wanted: Sequence[str], architecture: Architecture, cache: Path) -> None:
    apt = Apt(cache / "apt" / SUITE, SUITE, architecture.debian)
    for package in apt.fetch_with_what_they_need(wanted):
        unpacking = ["dpkg-deb", "--extract", str(package), str(folder)]
        if subprocess.run(unpacking, check=False).returncode != 0:
            raise NoGuestError(f"{package.name} cannot be unpacked")
        package.unlink()
    for name in UNUSED:
        shutil.rmtree(folder / name, ignore_errors=True)
    _compile(folder / "usr/lib" / f"python{PYTHON}", Path("/usr/lib") / f"python{PYTHON}")


def _install(folder: Path, wheels: Sequence[str], architecture: Architecture) -> None:
    command = [
        *(sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--system-certs"),
        *("--target", str(folder), "--only-binary", ":all:", "--python-version", PYTHON),
        *("--python-platform", f"{architecture.name}-manylinux_{GLIBC}"),
        *wheels,
    ]
    if subprocess.run(command, check=False).returncode != 0:
        raise NoGuestError(f"the wheels for {architecture.name} cannot be had")
    _compile(folder, SITE)


def _compile(folder: Path, place: Path) -> None:
    """Compile what is in the folder for where it lies in the guest."""
    compileall.compile_dir(folder, stripdir=str(folder), prependdir=str(place), quiet=2, workers=0)
