"""Watch the repositories that git finds from a directory, before and after a run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from posixpath import dirname, join, normpath

from nono.named_tuple import NamedTuple
from nono.policy.files.grants import accesses
from nono.policy.git.repository import GITFILE, Repository, led_to, may_be_repository
from nono.policy.host_filesystem import HostFilesystem
from nono.policy.learning.agent_programs import SNAPSHOTS, state_directories
from nono.policy.path_expansion import PathContext, is_within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nono.launch.around.repository_state import Seen
    from nono.launch.around.repository_watch import Change
    from nono.policy.capability import Grant


class Found(NamedTuple):
    """What git finds from a working directory. pointer: the text of a gitfile or of a link there."""

    repository: Repository | None
    pointer: str | None


def find(workdir: str, *, above: bool) -> Found:
    """Find the repository of a canonical `workdir`, as it is now. No link is followed.

    above: look in the directories above too, as git does. It takes 0.1 ms.
    """
    fs, own = HostFilesystem(), join(workdir, ".git")
    entry = fs.entry(own)
    if entry is None or entry.kind == "dir":
        return Found(_around(workdir, fs, above=above), None)
    if entry.kind == "link":
        return Found(None, entry.target)
    pointer = fs.text(own)
    if pointer is None:
        return Found(None, "")  # for one too long to be read; git cuts empty lines off
    if not pointer.startswith(GITFILE):
        return Found(None, None)  # git refuses it
    inside = led_to(own, pointer)
    is_inside = inside != workdir and is_within(inside, workdir) and inside == normpath(inside)
    return Found(Repository(inside, workdir) if is_inside else None, pointer)


def _around(workdir: str, fs: HostFilesystem, *, above: bool) -> Repository | None:
    top = workdir
    while top != "/":
        for directory in (join(top, ".git"), top):
            entry = fs.entry(directory)
            if entry is not None and entry.kind == "dir" and may_be_repository(directory, fs):
                return Repository(directory, top)
        if not above:
            break
        top = dirname(top)
    return None


def places_of(workdir: str, grants: Sequence[Grant]) -> list[str]:
    """Return the working directory, unless it is not granted, and others that a person has granted."""
    here = [workdir] if accesses(grants, workdir) is not None else []
    named = [each.path for each in grants if each.is_users and each.access.writes and each.is_dir]
    return [place for place in dict.fromkeys((*here, *named)) if place != "/"]


class SnapshotPlace(NamedTuple):
    """A directory of repositories in which an agent keeps what a project held."""

    path: str
    around: str  # the state directory of the agent
    levels: int  # down to a repository


def snapshots_of(grants: Sequence[Grant], paths: PathContext) -> Iterator[SnapshotPlace]:
    """Yield the directories of agents' repositories that the run may change."""
    writing = [grant for grant in grants if grant.access.writes]
    for state, names in SNAPSHOTS.items():
        for around in state_directories(state, paths, os.path.realpath):
            for name, levels in names:
                path = join(around, name)
                if accesses(writing, around) is not None or accesses(writing, path) is not None:
                    yield SnapshotPlace(path, around, levels)


class Watched:
    """What git runs in the repository that it finds from a directory, at the start of a run."""

    def __init__(self, place: str, repository: Repository | None = None, *, above: bool = False) -> None:
        """repository: One that lies elsewhere, if git finds that from `place`. above: as for find()."""
        self.place = place
        self._above = above
        self._found = find(place, above=above)
        found = self._found.repository
        self.repository = repository or (found if found and is_within(found.directory, place) else None)
        self._before: Seen | None = None
        if self.repository is not None:
            # Imported here, as below: many directories are in no repository.
            from nono.launch.around.repository_state import look

            self._before = look(self.repository)

    def changes(self) -> Iterator[Change]:
        """Yield what git runs now and did not before, in this repository or in another that it finds."""
        now = find(self.place, above=self._above)
        if now.repository is not None and now.repository != self._found.repository:
            # Imported here, as below: most runs change nothing.
            from nono.launch.around.repository_state import NOTHING_SEEN, look
            from nono.launch.around.repository_watch import changes

            yield from changes(now.repository, NOTHING_SEEN, look(now.repository, NOTHING_SEEN))
        elif now.repository is None and now.pointer is not None and self._is_new(now.pointer):
            from nono.launch.around.repository_watch import Change

            yield Change(join(self.place, ".git"), "redirected")
        if self.repository is not None and self._before is not None:
            from nono.launch.around.repository_state import look

            after = look(self.repository, self._before)
            if after != self._before:
                from nono.launch.around.repository_watch import changes

                yield from changes(self.repository, self._before, after)

    def _is_new(self, pointer: str) -> bool:
        """Return True unless the pointer was there, or is one of a repository whose look tells of it."""
        was = self._found.pointer
        return pointer != was and (was is None or self.repository is None)
