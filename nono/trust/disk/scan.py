"""Find the instruction files of a project before a run."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from itertools import islice
from posixpath import join

from nono.named_tuple import NamedTuple
from nono.trust.disk.evidence import SIDECAR
from nono.trust.policy import TrustPolicy

DEPTH_MAX = 16
ENTRIES_MAX = 500_000
LINKS_MAX = 10_000  # a few links to one another lead to any number of paths
UNSEARCHED_MAX = 20  # places named that were not searched
SKIPPED = frozenset(
    {".cache", ".git", ".gradle", ".hg", ".mypy_cache", ".next", ".nuxt", ".pytest_cache", ".ruff_cache"}
    | {".svn", ".terraform", ".tox", ".venv", "__pycache__", "dist", "node_modules", "target", "vendor"}
    | {"venv"}
)


class Scan(NamedTuple):
    """The instruction files of a project, and the directories that were not searched."""

    paths: tuple[str, ...]  # relative to the root, sorted
    unsearched: tuple[str, ...]  # sentences


def scan(root: str, policy: TrustPolicy, skipped: Collection[str] = ()) -> Scan:
    """Search the root without leaving it. A file may be a link; then its target's content counts.

    skipped: Names of directories to skip, besides SKIPPED.
    """
    search = _Search(root, policy, SKIPPED.union(skipped))
    found = sorted(search.below("", (_identity(root),))) if policy.includes else []
    return Scan(tuple(found), tuple(search.unsearched()))


class _Search:
    def __init__(self, root: str, policy: TrustPolicy, skipped: Collection[str]) -> None:
        self._root = root
        self._canonical = os.path.realpath(root)
        self._policy = policy
        self._skipped = skipped
        self._entries = self._links = 0
        self._unsearched: list[str] = []
        self._more = 0  # places not searched, but not named

    def unsearched(self) -> Iterator[str]:
        yield from self._unsearched
        if self._more:
            yield f"{self._more} other places were not searched"
        if self._entries > ENTRIES_MAX:
            yield f"only the first {ENTRIES_MAX} names were looked at"

    def _leave(self, why: str) -> None:
        """Note a place that is not searched, of which a command can make any number."""
        if len(self._unsearched) < UNSEARCHED_MAX:
            self._unsearched.append(why)
        else:
            self._more += 1

    def below(self, directory: str, above: tuple[tuple[int, int], ...]) -> Iterator[str]:
        """Yield matching paths.

        above: The directories above this one, which links must not lead back to.
        """
        try:
            with os.scandir(join(self._root, directory)) as entries:
                # One too many is said; the rest of a directory with any number of names is not read.
                some = islice(entries, ENTRIES_MAX + 1 - self._entries)
                listed = sorted(some, key=lambda entry: entry.name)
        except OSError as error:
            self._leave(f"{directory or '.'} cannot be searched: {error.strerror}")
            return
        for entry in listed:
            self._entries += 1
            if self._entries > ENTRIES_MAX:
                return
            path = join(directory, entry.name)
            if not _is_directory(entry):
                if not entry.name.endswith(SIDECAR) and self._policy.includes_path(path):
                    yield path
            elif entry.name not in self._skipped:
                yield from self._into(path, entry, above)

    def _into(self, path: str, entry: os.DirEntry[str], above: tuple[tuple[int, int], ...]) -> Iterator[str]:
        if len(above) > DEPTH_MAX:
            self._leave(f"{path} lies deeper than {DEPTH_MAX} directories and was not searched")
            return
        if entry.is_symlink():
            self._links += 1
            if self._links > LINKS_MAX:
                self._leave(f"{path} lies behind the first {LINKS_MAX} links and was not searched")
                return
            target = os.path.realpath(join(self._root, path))
            if target != self._canonical and not target.startswith(self._canonical.rstrip("/") + "/"):
                self._leave(f"{path} leads out of the project, to {target}, and was not searched")
                return
        identity = _identity(join(self._root, path))
        if identity not in above:
            yield from self.below(path, (*above, identity))


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a circular link
        return False


def _identity(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return (0, 0)  # removed; searching it reports that
    return found.st_dev, found.st_ino
