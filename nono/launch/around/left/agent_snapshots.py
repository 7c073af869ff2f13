"""Watch the repositories in which coding agents keep what a project held; outside they call git there too."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from posixpath import join

from nono.launch.around.granted_repositories import SnapshotPlace, Watched, find
from nono.launch.around.repository_files import Inode, RepositoryFiles, inode_of
from nono.launch.around.repository_state import NOTHING_SEEN, look
from nono.launch.around.repository_watch import Change, changes
from nono.named_tuple import NamedTuple

PLACES_MAX = 500  # of one agent, directories on the way to them included


class _Listed(NamedTuple):
    places: tuple[str, ...]
    links: Mapping[str, Inode]
    unread: Mapping[str, Inode]


class Snapshots:
    """What git runs in the repositories of one agent, at the start of a run."""

    def __init__(self, root: SnapshotPlace) -> None:
        self.place = root.path
        self._root = root
        self._listed = _list(root)
        self._watched = {place: Watched(place) for place in self._listed.places}

    def changes(self) -> Iterator[Change]:
        """Yield what git runs now and did not before."""
        now = _list(self._root)
        for path, inode in now.links.items():
            if self._listed.links.get(path) != inode:
                yield Change(path, "redirected")
        for path, inode in now.unread.items():
            # A directory looks alike whatever is in those below it.
            if stat.S_ISDIR(inode[0]) or self._listed.unread.get(path) != inode:
                yield Change(path, "unreadable")
        for place in now.places:
            watched = self._watched.get(place)
            if watched is not None:
                yield from watched.changes()
                continue
            repository = find(place, above=False).repository
            if repository is not None:
                made = changes(repository, NOTHING_SEEN, look(repository, NOTHING_SEEN))
                # An agent makes one for a working tree elsewhere, and names that to git each time.
                yield from (change for change in made if change.what != "worktree")


def _list(root: SnapshotPlace) -> _Listed:
    """List the directories in which git finds a repository. No link is followed."""
    links: dict[str, Inode] = {}
    with RepositoryFiles((root.around,)) as files:
        places, count = [root.path], 0
        for _ in range(root.levels):
            above, places = places, []
            for directory in above:
                places += _directories_in(directory, files, links)
            count += len(places)
            if count > PLACES_MAX:
                files.leave(root.path)
                return _Listed((), links, files.unread)
        own = files.own(root.path)
        if own is not None and stat.S_ISLNK(own[0]):
            links[root.path] = own
        return _Listed(tuple(sorted(places)), links, files.unread)


def _directories_in(directory: str, files: RepositoryFiles, links: dict[str, Inode]) -> Iterator[str]:
    """Yield the directories in a directory, and add the links in it to `links`."""
    for entry, status in files.listed(directory) or ():
        path = join(directory, entry.name)
        if stat.S_ISLNK(status.st_mode):
            links[path] = inode_of(status)
        elif stat.S_ISDIR(status.st_mode):
            yield path
