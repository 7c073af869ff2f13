"""Packages of Debian for any release and machine, fetched beside this machine's own apt.

Lists and settings are of our own, and nothing is taken for installed, so that nothing of the machine's
apt changes and all that a package needs comes with it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from shutil import which


class NoGuestError(Exception):
    """One sentence: what cannot be had and why."""


class Apt:
    """Apt for one suite and architecture (as dpkg spells it), with lists and downloads below folder."""

    def __init__(self, folder: Path, suite: str, architecture: str) -> None:
        """Raise NoGuestError where there is no apt."""
        if which("apt-get") is None or which("dpkg-deb") is None:
            raise NoGuestError("there is no apt here to fetch Debian's packages with")
        self._folder, self._suite = folder, suite
        for name in ("lists/partial", "archives/partial"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "sources.list").write_text(_source(suite))
        (folder / "status").touch()
        self._options = [
            *("-o", f"Dir::Etc::SourceList={folder}/sources.list"),
            *("-o", "Dir::Etc::SourceParts=/dev/null"),
            *("-o", f"Dir::State::Lists={folder}/lists"),
            *("-o", f"Dir::State::status={folder}/status"),
            *("-o", f"Dir::Cache={folder}"),
            *("-o", "APT::Sandbox::User="),  # its own user could not write here
            *("-o", f"APT::Architecture={architecture}"),
            *("-o", f"APT::Architectures={architecture}"),
        ]
        self._run("apt-get", "update", "--error-on=any", "-qq")

    def names(self, beginning: str) -> list[str]:
        return self._run("apt-cache", "pkgnames", beginning).split()

    def fetch(self, names: Sequence[str]) -> list[Path]:
        """Download these packages, which the caller removes."""
        before = set(self._folder.glob("*.deb"))
        self._run("apt-get", "download", "-qq", *names)
        return sorted(set(self._folder.glob("*.deb")) - before)

    def fetch_with_what_they_need(self, names: Sequence[str]) -> list[Path]:
        """Download these packages and all they depend on, which the caller removes."""
        wanted = ("install", "-qq", "--yes", "--download-only", "--no-install-recommends", *names)
        self._run("apt-get", *wanted)
        return sorted((self._folder / "archives").glob("*.deb"))

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
            raise NoGuestError(f"{program} {arguments[0]} for Debian {self._suite} failed: {said}")
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
    raise NoGuestError(
        "apt names no mirror of Debian here: a Debian is needed, and an `apt-get update` as root, once"
    )
