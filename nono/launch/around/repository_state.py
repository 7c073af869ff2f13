"""Read what decides which programs git runs in a repository: its settings, hooks and submodules."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from posixpath import basename, dirname, join, normpath

from nono.launch.around.repository_files import Inode, RepositoryFiles, inode_of
from nono.named_tuple import NamedTuple
from nono.policy.git.repository import HOOK_NAMES, Repository, led_to
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
SMALL_CHARACTERS = 64 * 1024  # of settings, whose names cannot come to much
INDEX_MAX_BYTES = 64 * 1024 * 1024  # in all
SPARSE_MAX = 10_000  # directories in the index itself; each path may have 4 kB more than it takes there


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
    steps: dict[str, list[str]]  # commands that a rebase or cherry-pick goes on with, by the file of them
    unread: dict[str, Inode]  # files and directories of all kinds that are there, and were not read whole


NOTHING_SEEN = Seen({}, {}, {}, set(), {}, {})


def look(repository: Repository, before: Seen | None = None) -> Seen:
    """Read the settings and hooks of a repository, its worktrees and its submodules.

    Settings that these include are read too, and the hooks of a directory in the working tree that
    core.hooksPath names.

    before: The state that the result is compared with.
    """
    directory, top = repository
    outer = dirname(directory) if basename(directory) == ".git" else directory
    places = (top,) if is_within(directory, top) else (outer, top)
    with RepositoryFiles(places) as files:
        looking = _Look(repository, files, before)
        looking.at_everything()
        return looking.seen


class _Look:
    """One look at a repository."""

    def __init__(self, repository: Repository, files: RepositoryFiles, before: Seen | None) -> None:
        self._repository = repository
        self._files = files
        self._before = before
        self.seen = Seen({}, {}, {}, set(), {}, files.unread)
        self._settings: list[str] = []  # files that may hold some
        self._worktrees: list[str] = []  # the parts of the repository that belong to one
        self._count = 0
        self._left_bytes = INDEX_MAX_BYTES

    def at_everything(self) -> None:
        self._at_repository(self._repository.directory)
        if (own := join(self._repository.top, ".git")) != self._repository.directory:
            self._add_pointer(own)
        self._at_submodules()
        for path in self._before.pointers if self._before is not None else ():
            if basename(path) == ".git":  # of a submodule, to which nothing else may lead any more
                self._add_pointer(path)
        self._add_settings(self._settings)

    def _at_repository(self, first: str) -> None:
        """Look at a repository, at those of its submodules that lie in it, and at theirs."""
        left = [first]
        while left:
            directory = left.pop()
            if self._count == DIRECTORIES_MAX:
                self._files.leave(join(first, "modules"))
                return
            self._count += 1
            worktrees = self._within(join(directory, "worktrees"))
            self._worktrees += worktrees
            for each in (directory, *worktrees):
                # A worktree has no config and no hooks of its own, unless `commondir` leads to it.
                self._settings += (join(each, name) for name in _SETTINGS)
                self._add_hooks(join(each, "hooks"))
                self.seen.places.add(each)
                self._add_pointer(join(each, "commondir"))
                self._add_steps(each)
            for name in _REMOTES:
                self._add_remotes(join(directory, name))
            # A submodule may be called a/b.
            is_one = directory == first or self._files.own(join(directory, "HEAD")) is not None
            left += self._within(join(directory, "modules") if is_one else directory)

    def _within(self, directory: str) -> list[str]:
        """Return the directories in another one."""
        entries = self._files.listed(directory)
        if entries is None:
            return []
        own = self._files.own(directory)
        if own is not None and stat.S_ISLNK(own[0]):
            self._files.leave(directory)  # ".." in a pointer below leads elsewhere than its path says
        return sorted(join(directory, each.name) for each, own in entries if stat.S_ISDIR(own.st_mode))

    def _at_submodules(self) -> None:
        """Look at what git runs in the submodules that are checked out, and in theirs."""
        left, found = self._checked_out(), set[str]()
        while left:
            directory, top = left.pop()
            for name in self._gitlinks(directory, top):
                place = join(top, name)
                own = join(place, ".git")
                inode = self._files.own(own)
                if inode is None:
                    self._leave_link(place)
                if inode is None or own in found:
                    continue
                if len(found) == DIRECTORIES_MAX:  # by links, one submodule can have any number of paths
                    self._files.leave(join(directory, "index"))
                    return
                found.add(own)
                if stat.S_ISDIR(inode[0]):
                    self._at_repository(own)
                    left.append((own, place))
                    continue
                self._add_pointer(own)
                if (text := self.seen.pointers.get(own)) is not None:
                    left.append((led_to(own, text), place))

    def _leave_link(self, place: str) -> None:
        """Note a submodule that is a link out of the tree: git before 2.45.1 follows it."""
        inode = self._files.own(place)
        if inode is not None and stat.S_ISLNK(inode[0]):
            self._files.leave(place)

    def _checked_out(self) -> list[tuple[str, str]]:
        """Return the directories that hold the index of a working tree, each with the root of that."""
        directory, top = self._repository
        pointer = self.seen.pointers.get(own := join(top, ".git"))
        found = [(directory if pointer is None else led_to(own, pointer), top)]
        for worktree in self._worktrees:
            back = join(worktree, "gitdir")
            if (text := self._files.text(back)) is not None:
                found.append((worktree, dirname(led_to(back, text))))
        return found

    def _gitlinks(self, directory: str, top: str) -> Iterator[str]:
        """Yield the paths of submodules in the index of a working tree.

        Where a sparse index has a tree in place of files, git finds submodules in that, which is not read.
        """
        path = join(directory, "index")
        content = self._index(path) if self._files.target(path) is not None else None
        if content is None:
            return
        # Imported here: not every repository has files.
        from nono.policy.git.index import gitlinks_of, is_split, sparse_of

        contents = [content]
        if has_parts := is_split(content):
            names = [each.name for each, _ in self._files.listed(directory) or ()]
            shared = (join(directory, name) for name in names if name.startswith("sharedindex."))
            contents += filter(None, map(self._index, shared))
        is_end = self._before is not None  # an earlier run may have written what git does not
        found = set[bytes]()
        try:
            for link in (link for each in contents for link in gitlinks_of(each, every_mode=is_end)):
                if len(found) == DIRECTORIES_MAX or (has_parts and not link):
                    self._files.leave(path)
                    return
                if link not in found and _is_path(link):
                    found.add(link)
                    yield os.fsdecode(link)
            beginnings = (each for content in contents for each in sparse_of(content) if _is_path(each))
            sparse = set[bytes]()
            for each in beginnings:
                sparse.add(each)
                if len(sparse) > SPARSE_MAX:
                    break
        except ValueError:
            self._files.leave(path)
            return
        if len(sparse) > SPARSE_MAX or any(self._has(top, os.fsdecode(each)) for each in sparse):
            self._files.leave(path)

    def _has(self, top: str, beginning: str) -> bool:
        """Return True if something in a working tree has a path that begins so. Git follows no link there."""
        directory, _, name = beginning.rpartition("/")
        inode = self._files.own(join(top, directory))
        is_one = inode is not None and stat.S_ISDIR(inode[0])
        entries = self._files.listed(join(top, directory)) if is_one else None
        return any(entry.name.startswith(name) for entry, _ in entries or ())

    def _index(self, path: str) -> bytes | None:
        content = self._files.content(path, self._left_bytes)
        self._left_bytes -= len(content or b"")
        return content

    def _add_settings(self, places: list[str]) -> None:
        """Read the files at `places`, and those they include."""
        for path in places:  # which grows meanwhile
            if path in self.seen.settings:
                continue
            if (text := self._settings_at(path)) is None:
                continue
            self.seen.settings[path] = text
            lower = text.lower()
            if any(each in lower for each in ("include", "hookspath", "worktree")):
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
                    own = normpath(join(dirname(path), worktree, ".git"))
                    if own != dirname(path):
                        self._add_pointer(own)

    def _settings_at(self, path: str) -> str | None:
        """Return the text of settings; None if there are none, or more than is looked at."""
        if len(self.seen.settings) >= FILES_MAX:
            if self._files.own(path) is not None:
                self._files.leave(path)
            return None
        text = self._files.text(path)
        # Imported here, as below: most repositories have little to parse.
        if text is not None and len(text) > SMALL_CHARACTERS:
            from nono.policy.git.settings import is_too_large

            if is_too_large(text):
                self._files.leave(path)
                return None
        return text

    def _add_pointer(self, path: str) -> None:
        if path not in self.seen.pointers and (text := self._files.text(path)) is not None:
            self.seen.pointers[path] = text

    def _add_steps(self, directory: str) -> None:
        """Add what a rebase, a cherry-pick or a revert that has stopped runs once it goes on."""
        if (text := self._files.text(path := join(directory, _STEPS))) is not None:
            steps = [line.split(None, 1) for line in text.split("\n")]
            self.seen.steps[path] = [step[1].strip() for step in steps if len(step) > 1 and step[0] in _EXEC]
        if (text := self._files.text(path := join(directory, _STRATEGY))) is not None:
            self._add_strategies(path, [text])
        if (text := self._files.text(path := join(directory, _OPTIONS))) is not None:
            from nono.policy.git.settings import paths_of

            self._add_strategies(path, paths_of(text, "options", "strategy"))

    def _add_strategies(self, path: str, names: Iterable[str]) -> None:
        """Add the programs of strategies. git looks for one with a slash from the working tree."""
        self.seen.steps[path] = [f"git-merge-{name.strip()}" for name in names if "/" in name]

    def _add_remotes(self, directory: str) -> None:
        """Add the files in `directory`, each a remote of its name, as the settings they stand for."""
        for entry, _ in self._files.listed(directory) or ():
            path = join(directory, entry.name)
            if len(self.seen.settings) >= FILES_MAX:
                self._files.leave(directory)
                return
            if (text := self._files.text(path)) is not None:
                urls = [line.removeprefix("URL:").strip() for line in text.splitlines()]
                self.seen.settings[path] = "".join(
                    f"[remote {_quoted(entry.name)}]url={_quoted(url)}\n" for url in urls
                )

    def _add_hooks(self, directory: str, names: frozenset[str] | None = None) -> None:
        """Add the hooks in `directory`. names: anything else that is there is no hook."""
        entries = self._files.listed(directory)
        if entries is None:
            return
        found = self.seen.hooks[directory] = {}
        for entry, own in entries:
            is_hook = entry.name in names if names is not None else not entry.name.endswith(_SAMPLE)
            if is_hook and not stat.S_ISDIR(own.st_mode):
                is_link = stat.S_ISLNK(own.st_mode)
                target = self._files.target(join(directory, entry.name)) if is_link else None
                found[entry.name] = Hook(inode_of(own), target)


def _is_path(name: bytes) -> bool:
    """Check that a name of an index leads nowhere out of the working tree."""
    return bool(name) and b"\0" not in name and name[:1] != b"/" and b"/../" not in b"/%b/" % name


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
