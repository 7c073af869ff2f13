"""Report changes by a run in a git repository that make git run programs outside the sandbox."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from posixpath import join

from nono.audit import event
from nono.audit.event import Event
from nono.named_tuple import NamedTuple
from nono.policy.git.repository import Repository
from nono.policy.host_filesystem import HostFilesystem
from nono.printable import shell_word

_SETTINGS = ("config", "config.worktree")
_SAMPLE = ".sample"
NAMES_MAX = 50  # a command can create any number of hooks

_Hook = tuple[int, int, int, int]  # mode, size, time of the last change, inode


class Seen(NamedTuple):
    """The state of a repository at one time."""

    settings: tuple[str | None, ...]  # the texts of _SETTINGS
    hooks: dict[str, _Hook]


class Change(NamedTuple):
    """A file of a repository, or its hooks directory, by which git now runs something else."""

    path: str
    names: tuple[str, ...]  # names of settings or hooks
    are_hooks: bool

    @property
    def sentence(self) -> str:
        shown = ", ".join(map(shell_word, self.names[:NAMES_MAX]))
        if len(self.names) > NAMES_MAX:
            shown += f" and {len(self.names) - NAMES_MAX:,} more"
        if self.are_hooks:
            return f"this run changed hooks in {self.path}, which git runs outside as well: {shown}"
        return f"this run set {shown} in {self.path}: git outside runs what it names"

    @property
    def event(self) -> Event:
        return event.repository_changed(
            self.path, "hooks" if self.are_hooks else "settings", self.names[:NAMES_MAX], len(self.names)
        )


def look(repository: Repository) -> Seen:
    """Read the settings and the hooks of a repository."""
    fs = HostFilesystem()
    texts = tuple(fs.text(join(repository.directory, name)) for name in _SETTINGS)
    return Seen(texts, dict(_hooks(repository.hooks)))


def changes(repository: Repository, before: Seen) -> Iterator[Change]:
    """Yield each file that makes git run something else than before."""
    after = look(repository)
    for name, old, new in zip(_SETTINGS, before.settings, after.settings, strict=True):
        if old == new or new is None:
            continue
        # Imported here: most runs change nothing.
        from nono.policy.git.settings import newly_run

        if keys := newly_run(old or "", new):
            yield Change(join(repository.directory, name), tuple(keys), are_hooks=False)
    hooks = [name for name, hook in after.hooks.items() if before.hooks.get(name) != hook]
    if hooks:
        yield Change(repository.hooks, tuple(sorted(hooks)), are_hooks=True)


def _hooks(directory: str) -> Iterator[tuple[str, _Hook]]:
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                found = entry.stat(follow_symlinks=False)
                if not entry.name.endswith(_SAMPLE) and not stat.S_ISDIR(found.st_mode):
                    yield entry.name, (found.st_mode, found.st_size, found.st_ctime_ns, found.st_ino)
    except OSError:
        return
