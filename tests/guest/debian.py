"""Kernels as Debian packages them: found through this machine's apt, unpacked and never installed."""

from __future__ import annotations

import lzma
import re
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from guest.apt import Apt, NoGuestError
from guest.architecture import Architecture

# What other kernels have built in or load when it is asked for, each behind those that it needs.
MODULES = ("inet_diag", "tcp_diag", "udp_diag", "unix_diag", "netlink_diag", "veth", "dummy", "overlay")


@dataclass(frozen=True, slots=True)
class Release:
    """A kernel of a Debian release, with what nono is to make of it."""

    version: str  # of Linux; the newest package of it is taken
    suite: str
    abi: int  # of Landlock
    rung: str  # that a proxy-only run stands on by default; "refused" where there is none


RELEASES = (
    Release("5.10", "bullseye", 0, "refused"),
    Release("6.1", "bookworm", 2, "notify"),
    Release("6.12", "trixie", 6, "notify"),
    Release("6.16", "trixie-backports", 7, "notify"),
    Release("7.3", "trixie-backports", 11, "notify"),
)


@dataclass(frozen=True, slots=True)
class Kernel:
    """The files of a release: the bootable image, and the modules in the order in which to load them."""

    image: Path
    modules: tuple[Path, ...]


def kernel(release: Release, architecture: Architecture, cache: Path) -> Kernel:
    """Return the files from the cache, the architecture's own, or fetch them. Raises NoGuestError."""
    folder = cache / release.version
    if not folder.exists():
        unfinished = cache / f"{release.version}.part"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        for package in _newest(release, architecture, cache):
            _unpack(package, unfinished)
            package.unlink()
        if not (unfinished / "vmlinuz").exists():
            raise NoGuestError(f"Debian's packages of {release.version} hold no kernel")
        unfinished.rename(folder)
    modules = (folder / f"{name}.ko" for name in MODULES)
    return Kernel(folder / "vmlinuz", tuple(module for module in modules if module.exists()))


def _newest(release: Release, architecture: Architecture, cache: Path) -> list[Path]:
    """Download the packages of the newest kernel of this version."""
    flavour = f"cloud-{architecture.debian}"  # the smallest package; what it lacks are drivers
    apt = Apt(cache / "apt" / release.suite, release.suite, architecture.debian)
    # From 7.3 on linux-image is empty: linux-binary holds the image, linux-modules the modules.
    listed = apt.names("linux-")
    parts = r"linux-(?:binary|image|modules)"
    pattern = re.compile(rf"{parts}-({re.escape(release.version)}\.[\w.+-]*-{flavour})")
    versions = {match[1] for name in listed if (match := pattern.fullmatch(name))}
    if not versions:
        raise NoGuestError(f"Debian {release.suite} has no kernel {release.version} for {flavour}")
    newest = max(versions, key=lambda name: [int(number) for number in re.findall(r"\d+", name)])
    names = [f"linux-{part}-{newest}" for part in ("binary", "image", "modules")]
    return apt.fetch([name for name in names if name in listed])


def _unpack(package: Path, folder: Path) -> None:
    """Put the image and the modules of the package into the folder, by their bare names."""
    command = ["dpkg-deb", "--fsys-tarfile", str(package)]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE) as unpacking,
        tarfile.open(fileobj=unpacking.stdout, mode="r|") as archive,
    ):
        for member in archive:
            name = member.name.rpartition("/")[2]
            content = archive.extractfile(member) if member.isfile() else None
            if content is None:
                continue
            if name.startswith("vmlinuz"):
                (folder / "vmlinuz").write_bytes(content.read())
            elif name.removesuffix(".xz").removesuffix(".ko") in MODULES:
                unpack = lzma.decompress if name.endswith(".xz") else bytes
                (folder / name.removesuffix(".xz")).write_bytes(unpack(content.read()))
    if unpacking.returncode != 0:
        raise NoGuestError(f"{package.name} cannot be unpacked")
