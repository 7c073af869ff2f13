"""A home directory on a disk that exists in memory only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from posixpath import basename, dirname, join, normpath

import pytest

from nono.policy.files.mount_table import MountTable
from nono.policy.path_expansion import Entry, Filesystem, Holder, Kind, parent_resolved
from nono.policy.resolve import Resolved, RunRequest, resolve
from nono.policy.schema.profile import Profile

HOME = "/home/ada"
DIRECTORIES = (
    f"{HOME}/work",
    f"{HOME}/.ssh",
    f"{HOME}/.config/gh",
    f"{HOME}/.cargo/bin",
    f"{HOME}/.local/state/nono",
    "/usr/lib",
    "/usr/share/locale",
    "/tmp",
    "/proc/77/fd",
    "/data/vault",
    "/etc",
)
FILES = (
    f"{HOME}/work/main.py",
    f"{HOME}/.ssh/id_rsa",
    f"{HOME}/.ssh/known_hosts",
    "/etc/hosts",
    "/etc/shadow",
    "/proc/77/status",
)


@dataclass(frozen=True)
class MemoryFilesystem:
    """Directories, files and symlinks (link -> absolute target) by absolute path."""

    directories: frozenset[str]
    files: frozenset[str]
    links: Mapping[str, str] = field(default_factory=dict)
    mounts: MountTable = field(default_factory=lambda: MountTable(""))
    texts: Mapping[str, str] = field(default_factory=dict)  # of some files
    foreign: frozenset[str] = frozenset()  # what belongs to somebody else
    private: frozenset[str] = frozenset()  # what not everybody may read

    def canonical(self, path: str) -> str | None:
        resolved = ""
        for name in path.split("/"):
            if name in ("", "."):
                continue
            resolved = resolved.rpartition("/")[0] if name == ".." else f"{resolved}/{name}"
            for _ in range(8):
                if resolved not in self.links:
                    break
                resolved = normpath(self.links[resolved])
        resolved = resolved or "/"
        return resolved if self._kind(resolved) else None

    def kind(self, path: str) -> Kind | None:
        canonical = self.canonical(path)
        return None if canonical is None else self._kind(canonical)

    def names(self, path: str) -> list[str]:
        everything = (*self.directories, *self.files, *self.links)
        return sorted(basename(each) for each in everything if dirname(each) == path)

    def links_in(self, path: str, at_most: int) -> list[str]:
        path = self.canonical(path) or path
        return [name for name in self.names(path)[:at_most] if join(path, name) in self.links]

    def entry(self, path: str) -> Entry | None:
        path = parent_resolved(path, self)
        if path in self.links:
            return Entry("link", 1, self.links[path], path not in self.foreign)
        kind = self._kind(path)
        is_own = path not in self.foreign
        is_public = path not in self.private
        return None if kind is None else Entry("dir" if kind == "dir" else "file", 1, None, is_own, is_public)

    def text(self, path: str) -> str | None:
        return self.texts.get(path)

    def aliases(self, path: str, *, of_tree: bool = False) -> tuple[str, ...]:
        return self.mounts.aliases_of_tree(path) if of_tree else self.mounts.aliases(path)

    def holder(self, path: str) -> Holder | None:
        return self.mounts.holder(path)

    def _kind(self, path: str) -> Kind | None:
        if path in self.files:
            if path.endswith(".sock"):
                return "socket"
            return "device" if path.startswith("/dev/") else "file"
        return "dir" if path in self.directories else None


MakeFilesystem = Callable[..., Filesystem]
Resolve = Callable[..., Resolved]


@pytest.fixture
def make_fs() -> MakeFilesystem:
    """make_fs(directories=(), files=(), links={}, ...) adds to the usual home; parents are made.

    texts: of files. foreign: what belongs to somebody else. private: what not everybody may read.
    """

    def make(
        directories: tuple[str, ...] = (),
        files: tuple[str, ...] = (),
        links: Mapping[str, str] | None = None,
        mountinfo: str = "",
        texts: Mapping[str, str] | None = None,
        foreign: tuple[str, ...] = (),
        private: tuple[str, ...] = (),
    ) -> Filesystem:
        all_links = {"/proc/self": "/proc/77", "/proc/77/root": "/", **(links or {})}
        everything = {"/", *DIRECTORIES, *directories}
        files = (*FILES, *files, *(texts or {}))
        for path in (*everything, *files, *all_links):
            while (path := dirname(path)) != "/":
                everything.add(path)
        return MemoryFilesystem(
            frozenset(everything - all_links.keys()),
            frozenset(files),
            all_links,
            MountTable(mountinfo),
            texts or {},
            frozenset(foreign),
            frozenset(private),
        )

    return make


@pytest.fixture
def fs(make_fs: MakeFilesystem) -> Filesystem:
    return make_fs()


@pytest.fixture
def run(fs: Filesystem) -> Resolve:
    """run(profile=None, environ={}, fs=fs, **flags) resolves a run started in ~/work."""

    def resolved(
        profile: Profile | None = None,
        environ: Mapping[str, str] | None = None,
        fs: Filesystem = fs,
        **flags: object,
    ) -> Resolved:
        request = RunRequest(**flags)  # type: ignore[arg-type]  # each test names real fields
        return resolve(request, profile, environ={"HOME": HOME, **(environ or {})}, cwd=f"{HOME}/work", fs=fs)

    return resolved
