"""Kernels as Debian packages them: found through this machine's apt, unpacked and never installed.

The releases that the machine does not use itself are asked for at the mirrors it uses, with lists and
settings of our own, so that nothing of the machine's apt changes.
"""

from __future__ import annotations

import lzma
import re
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from shutil import which

FLAVOUR = "cloud-amd64"  # the smallest package; what it lacks are drivers
# What other kernels have built in or load when it is asked for, each behind those that it needs.
MODULES = ("inet_diag", "tcp_diag", "udp_diag", "unix_diag", "netlink_diag", "veth", "dummy", "overlay")


class NoKernelError(Exception):
    """One sentence: what cannot be had and why."""


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


def kernel(release: Release, cache: Path) -> Kernel:
    """Return the files from the cache, or fetch them. Raises NoKernelError."""
    folder = cache / release.version
    if not folder.exists():
        if which("apt-get") is None or which("dpkg-deb") is None:
            raise NoKernelError("there is no apt here to fetch Debian's kernels with")
        unfinished = cache / f"{release.version}.part"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        for package in _Apt(cache / "apt" / release.suite, release.suite).newest(release.version):
            _unpack(package, unfinished)
            package.unlink()
        if not (unfinished / "vmlinuz").exists():
            raise NoKernelError(f"Debian's packages of {release.version} hold no kernel")
        unfinished.rename(folder)
    modules = (folder / f"{name}.ko" for name in MODULES)
    return Kernel(folder / "vmlinuz", tuple(module for module in modules if module.exists()))


class _Apt:
    """Apt for one suite, with lists and downloads below folder."""

    def __init__(self, folder: Path, suite: str) -> None:
        self._folder, self._suite = folder, suite
        for name in ("lists/partial", "archives/partial"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "sources.list").write_text(_source(suite))
        self._options = [
            *("-o", f"Dir::Etc::SourceList={folder}/sources.list"),
            *("-o", "Dir::Etc::SourceParts=/dev/null"),
            *("-o", f"Dir::State::Lists={folder}/lists"),
            *("-o", f"Dir::Cache={folder}"),
            *("-o", "APT::Sandbox::User="),  # its own user could not write here
            *("-o", "APT::Architecture=amd64"),
        ]

    def newest(self, version: str) -> list[Path]:
        """Download the packages of the newest kernel of this version."""
        self._run("apt-get", "update", "--error-on=any", "-qq")
        # From 7.3 on linux-image is empty: linux-binary holds the image, linux-modules the modules.
        listed = self._run("apt-cache", "pkgnames", "linux-").split()
        pattern = re.compile(rf"linux-(?:binary|image|modules)-({re.escape(version)}\.[\w.+-]*-{FLAVOUR})")
        releases = {match[1] for name in listed if (match := pattern.fullmatch(name))}
        if not releases:
            raise NoKernelError(f"Debian {self._suite} has no kernel {version} for {FLAVOUR}")
        newest = max(releases, key=lambda name: [int(number) for number in re.findall(r"\d+", name)])
        names = [f"linux-{part}-{newest}" for part in ("binary", "image", "modules")]
        before = set(self._folder.glob("*.deb"))
        self._run("apt-get", "download", "-qq", *(name for name in names if name in listed))
        return sorted(set(self._folder.glob("*.deb")) - before)

    def _run(self, program: str, *arguments: str) -> str:
        done = subprocess.run(
            [program, *self._options, *arguments],
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if done.returncode != 0:
            said = (done.stderr.strip().splitlines() or ["it did not say why"])[-1]
            raise NoKernelError(f"{program} {arguments[0]} for Debian {self._suite} failed: {said}")
        return done.stdout


def _source(suite: str) -> str:
    """Return the line of sources.list with the mirror and the keys that this machine takes Debian from."""
    form = "$(ORIGIN)\t$(COMPONENT)\t$(REPO_URI)\t$(SIGNED_BY)"
    command = ["apt-get", "indextargets", "--format", form, "Created-By: Packages"]
    listed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
    for line in listed.splitlines():
        origin, component, mirror, keys = line.split("\t")
        if (origin, component) == ("Debian", "main") and "security" not in mirror:
            option = f"[signed-by={keys}] " if keys.startswith("/") else ""
            return f"deb {option}{mirror} {suite} main\n"
    raise NoKernelError(
        "apt names no mirror of Debian here: a Debian is needed, and an `apt-get update` as root, once"
    )


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
        raise NoKernelError(f"{package.name} cannot be unpacked")
