"""Read what decides which programs git runs in a repository: its settings and its hooks."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from posixpath import basename, dirname, join, normpath, relpath

from nono.disk.regular_file import read_at_most
from nono.kernel import open_path
from nono.kernel.uapi.open import RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS
from nono.named_tuple import NamedTuple
from nono.policy.git.repository import HOOK_NAMES, Repository
from nono.policy.path_expansion import is_within

_SETTINGS = ("config", "config.worktree")
_REMOTES = ("branches", "remotes")  # as files (gitrepository-layout(5)); git 3 reads them no longer
_STEPS = "rebase-merge/git-rebase-todo"
_STRATEGY = "rebase-merge/strategy"
_OPTIONS = "sequencer/opts"  # of a cherry-pick or a revert, as settings
_EXEC = ("exec", "x")
_SAMPLE = ".sample"
# A command can create any number of anything.
DIRECTORIES_MAX = 1_000
FILES_MAX = 1_000
HOOKS_MAX = 1_000  # in one directory
SETTINGS_MAX_BYTES = 1024 * 1024  # in all; a second to read
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY
_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY

Inode = tuple[int, int, int, int]  # mode, size, time of the last change, number
_NOTHING: Inode = (0, 0, 0, 0)


class Hook(NamedTuple):
    """A file in a directory of hooks. target: what a link leads to; None if that is out of the tree."""

    own: Inode
    target: Inode | None

    @property
    def does_something(self) -> bool:
        mode, size, *_ = self.target or self.own
        return stat.S_ISLNK(mode) or (stat.S_ISREG(mode) and bool(mode & 0o111) and size > 0)


class Seen(NamedTuple):
    """The state of a repository at one time."""

    settings: dict[str, str]  # text, by path
    hooks: dict[str, dict[str, Hook]]  # by directory and name
    pointers: dict[str, str]  # text by path, of files that lead to a repository or to its common part
    places: set[str]  # repositories, and what belongs to one worktree: where pointers may lead
    steps: dict[
        str, list[str]
    ]  # commands that a rebase or cherry-pick goes on with, by the file that says so
    unread: dict[str, Inode]  # files and directories of both kinds that are there, and were not read whole


NOTHING_SEEN = Seen({}, {}, {}, set(), {}, {})


def look(repository: Repository) -> Seen:
    """Read the settings and hooks of a repository, its worktrees and its submodules.

    Settings that these include are read too, and the hooks of a directory in the working tree that
    core.hooksPath names.
    """
    with _Look(repository) as looking:
        looking.at_everything()
        return looking.seen


class _Look:
    """One look at a repository.

    No link is followed out of it: a command may have laid it, and it may lead to a mount that never answers.
    """

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self.seen = Seen({}, {}, {}, set(), {}, {})
        self._left_bytes = SETTINGS_MAX_BYTES
        directory, top = repository
        outer = dirname(directory) if basename(directory) == ".git" else directory
        self._places = (top,) if is_within(directory, top) else (outer, top)
        self._roots: dict[str, int] = {}

    def __enter__(self) -> _Look:
        for place in self._places:
            with suppress(OSError):  # the command has removed it
                self._roots[place] = os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self._roots.values():
            os.close(descriptor)

    def at_everything(self) -> None:
        places: list[str] = []  # of settings
        for count, directory in enumerate(self._repositories()):
            if count == DIRECTORIES_MAX:
                self._leave(join(self._repository.directory, "modules"))
                break
            worktrees = self._within(join(directory, "worktrees"))
            places += (join(directory, name) for name in _SETTINGS)
            places += (join(each, "config.worktree") for each in worktrees)
            self._add_hooks(join(directory, "hooks"))
            self.seen.places.update((directory, *worktrees))
            for each in (directory, *worktrees):
                self._add_pointer(join(each, "commondir"))
                self._add_steps(each)
            for name in _REMOTES:
                self._add_remotes(join(directory, name))
        self._add_settings(places)
        if (own := join(self._repository.top, ".git")) != self._repository.directory:
            self._add_pointer(own)

    def _repositories(self) -> Iterator[str]:
        """Yield the repository, and those of its submodules and of theirs."""
        left = [self._repository.directory]
        while left:
            directory = left.pop()
            yield directory
            # A submodule may be called a/b.
            is_one = directory == self._repository.directory or self._is_there(join(directory, "HEAD"))
            left += self._within(join(directory, "modules") if is_one else directory)

    def _within(self, directory: str) -> list[str]:
        """Return the directories in another one."""
        try:
            entries = self._entries(directory)
        except FileNotFoundError:
            return []
        except OSError:
            entries = None
        if entries is None:
            self._leave(directory)
        return sorted(join(directory, each.name) for each, own in entries or () if stat.S_ISDIR(own.st_mode))

    def _add_settings(self, places: list[str]) -> None:
        """Read the files at `places`, and those they include."""
        for path in places:  # which grows meanwhile
            if path in self.seen.settings:
                continue
            text = self._text(path) if len(self.seen.settings) < FILES_MAX else None
            if text is None:
                continue
            self.seen.settings[path] = text
            lower = text.lower()
            if any(each in lower for each in ("include", "hookspath", "worktree")):
                # Imported here: most repositories have none of them.
                from nono.policy.git.settings import paths_of

                for section in ("include", "includeif"):
                    places += (
                        normpath(join(dirname(path), each)) for each in paths_of(text, section, "path")
                    )
                for directory in paths_of(text, "core", "hookspath"):
                    place = normpath(join(self._repository.top, directory))
                    if place not in self.seen.hooks:
                        self._add_hooks(place, HOOK_NAMES)
                for worktree in paths_of(text, "core", "worktree"):  # of a submodule
                    self._add_pointer(normpath(join(dirname(path), worktree, ".git")))

    def _add_pointer(self, path: str) -> None:
        if (text := self._text(path)) is not None:
            self.seen.pointers[path] = text

    def _add_steps(self, directory: str) -> None:
        """Add what a rebase, a cherry-pick or a revert that has stopped runs once it goes on."""
        if (text := self._text(path := join(directory, _STEPS))) is not None:
            steps = [line.split(None, 1) for line in text.split("\n")]
            self.seen.steps[path] = [step[1].strip() for step in steps if len(step) > 1 and step[0] in _EXEC]
        if (text := self._text(path := join(directory, _STRATEGY))) is not None:
            self._add_strategies(path, [text])
        if (text := self._text(path := join(directory, _OPTIONS))) is not None:
            from nono.policy.git.settings import paths_of

            self._add_strategies(path, paths_of(text, "options", "strategy"))

    def _add_strategies(self, path: str, names: Iterable[str]) -> None:
        """Add the programs of strategies. git looks for one with a slash from the working tree."""
        self.seen.steps[path] = [f"git-merge-{name.strip()}" for name in names if "/" in name]

    def _add_remotes(self, directory: str) -> None:
        """Add the files in `directory`, each a remote of its name, as the settings they stand for."""
        for entry, _ in self._listed(directory) or ():
            path = join(directory, entry.name)
            if len(self.seen.settings) < FILES_MAX and (text := self._text(path)) is not None:
                urls = [line.removeprefix("URL:").strip() for line in text.splitlines()]
                self.seen.settings[path] = "".join(
                    f"[remote {_quoted(entry.name)}]url={_quoted(url)}\n" for url in urls
                )

    def _text(self, path: str) -> str | None:
        try:
            descriptor = self._open(path, _FILE)
        except FileNotFoundError:
            return None
        except OSError:
            self._leave(path)
            return None
        try:
            content = b""
            if is_file := stat.S_ISREG(os.fstat(descriptor).st_mode):
                content = read_at_most(descriptor, self._left_bytes + 1)
        except OSError:
            is_file = False
        finally:
            os.close(descriptor)
        if not is_file or len(content) > self._left_bytes:
            self._leave(path)
            return None
        self._left_bytes -= len(content)
        return os.fsdecode(content)

    def _add_hooks(self, directory: str, names: frozenset[str] | None = None) -> None:
        """Add the hooks in `directory`. names: anything else that is there is no hook."""
        entries = self._listed(directory)
        if entries is None:
            return
        found = self.seen.hooks[directory] = {}
        for entry, own in entries:
            is_hook = entry.name in names if names is not None else not entry.name.endswith(_SAMPLE)
            if is_hook and not stat.S_ISDIR(own.st_mode):
                is_link = stat.S_ISLNK(own.st_mode)
                target = self._target(join(directory, entry.name)) if is_link else None
                found[entry.name] = Hook(_inode_of(own), target)

    def _listed(self, directory: str) -> list[tuple[os.DirEntry[str], os.stat_result]] | None:
        """Return what is in a directory; None if it is not there, or is left out."""
        try:
            entries = self._entries(directory)
        except FileNotFoundError:
            return None
        except OSError:
            entries = None
        if entries is None:
            self._leave(directory)
        return entries

    def _entries(self, directory: str) -> list[tuple[os.DirEntry[str], os.stat_result]] | None:
        """Return what is in a directory; None if that is too much. OSError: it cannot be read."""
        descriptor = self._open(directory, _DIRECTORY)
        try:
            with os.scandir(descriptor) as entries:
                found: list[tuple[os.DirEntry[str], os.stat_result]] = []
                for entry in entries:
                    if len(found) == HOOKS_MAX:
                        return None
                    found.append((entry, entry.stat(follow_symlinks=False)))
                return found
        finally:
            os.close(descriptor)

    def _leave(self, path: str) -> None:
        """Note that what is at `path` was not read."""
        self.seen.unread[path] = _NOTHING
        with suppress(OSError):
            self.seen.unread[path] = self._inode(path, os.O_NOFOLLOW)

    def _is_there(self, path: str) -> bool:
        try:
            return bool(self._inode(path, os.O_NOFOLLOW))
        except OSError:
            return False

    def _target(self, link: str) -> Inode | None:
        try:
            return self._inode(link)
        except FileNotFoundError:
            return _NOTHING
        except OSError:
            return None

    def _inode(self, path: str, flags: int = 0) -> Inode:
        descriptor = self._open(path, os.O_PATH | flags)
        try:
            return _inode_of(os.fstat(descriptor))
        finally:
            os.close(descriptor)

    def _open(self, path: str, flags: int) -> int:
        """Open what `path` leads to. OSError: it is not there, not in the repository, or cannot be opened."""
        for root, descriptor in self._roots.items():
            if is_within(path, root):
                name = os.fsencode(relpath(path, root))
                return open_path.open_at(descriptor, name, flags, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS)
        raise FileNotFoundError(errno.ENOENT, "it is outside", path)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _inode_of(found: os.stat_result) -> Inode:
    return found.st_mode, found.st_size, found.st_ctime_ns, found.st_ino
