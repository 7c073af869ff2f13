"""Say which programs a run has changed that coding agents find beside their settings, and obey outside."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from posixpath import basename, dirname, join, relpath

from nono.launch.around.left.agent_settings import projects_of
from nono.launch.around.repository_files import Inode, LookError, RepositoryFiles, inode_of
from nono.named_tuple import NamedTuple
from nono.policy.capability import CapabilitySet
from nono.policy.files.grants import accesses
from nono.policy.learning.agent_programs import CLONES, INSTALLED, INSTALLED_IN_PROJECTS, state_directories
from nono.policy.path_expansion import PathContext
from nono.printable import enumerated, shell_word

ENTRIES_MAX = 10_000  # in one place; directories count, because a command can make any number of them
NAMES_MAX = 3

_CHANGED = "this run changed {names} in {path}: an agent outside runs or obeys what is there"
_UNREADABLE = (
    "nono cannot tell whether this run changed programs in {path}: look there, an agent outside obeys it"
)
_NOT_LOOKED = (
    "nono cannot tell whether this run changed programs of agents ({reason}): look at those in {paths}"
)


class Looked(NamedTuple):
    files: Mapping[str, Inode]  # by path
    unread: Mapping[str, Inode]


def places_of(capabilities: CapabilitySet, paths: PathContext) -> dict[str, str]:
    """Return the directories of programs that the run may change, each with the one around it to look in."""
    writing = [grant for grant in capabilities.grants if grant.access.writes]
    found: dict[str, str] = {}
    for state, names in INSTALLED.items():
        for around in state_directories(state, paths, os.path.realpath):
            for path in (join(around, name) for name in names):
                if accesses(writing, around) is not None or accesses(writing, path) is not None:
                    found[path] = around
    for project in projects_of(capabilities, set(found.values())):
        found |= {join(project, name): project for name in INSTALLED_IN_PROJECTS}
    return found


def look(places: Mapping[str, str]) -> Looked:
    """Identify each file and link in the places. No link is followed out of the directories around these."""
    found: dict[str, Inode] = {}
    with RepositoryFiles(tuple(places.values())) as files:
        for place in places:
            found.update(_files(files, place))
        return Looked(found, files.unread)


def _files(files: RepositoryFiles, place: str) -> dict[str, Inode]:
    found: dict[str, Inode] = {}
    directories, count = [place], 0
    while directories:
        directory = directories.pop()
        entries = files.listed(directory) or ()
        count += len(entries)
        if count > ENTRIES_MAX:
            files.leave(place)
            return {}
        for entry, status in entries:
            path = join(directory, entry.name)
            if _is_gits_own(path, place):
                continue
            if stat.S_ISDIR(status.st_mode):
                directories.append(path)
            elif status.st_size:  # locks are empty
                found[path] = inode_of(status)
    return found


def _is_gits_own(path: str, place: str) -> bool:
    """Return True for a clone's .git, which each look for news changes.

    That of Claude Code is told of as repositories are; in that of Codex git runs nothing.
    """
    return basename(place) == CLONES and dirname(dirname(path)) == place and basename(path) == ".git"


def sentences(places: Mapping[str, str], before: Looked) -> Iterator[str]:
    """Yield what the run has changed since it was looked at before."""
    try:
        after = look(places)
    except LookError as error:
        yield _NOT_LOOKED.format(reason=error.reason, paths=" ".join(map(shell_word, places)))
        return
    for place in places:
        inside = f"{place}/"
        unread = {path: inode for path, inode in after.unread.items() if f"{path}/".startswith(inside)}
        # A link that was there leads where the run may not write; a directory looks alike whatever is in it.
        if any(before.unread.get(path) != inode or stat.S_ISDIR(inode[0]) for path, inode in unread.items()):
            yield _UNREADABLE.format(path=shell_word(place))
            continue
        inodes = {**before.files, **after.files}
        paths = [path for path in inodes if path.startswith(inside)]
        changed = [path for path in paths if before.files.get(path) != after.files.get(path)]
        if changed:
            changed.sort(key=lambda path: not inodes[path][0] & stat.S_IXUSR)  # programs and links first
            names = [relpath(path, place) for path in changed]
            yield _CHANGED.format(names=enumerated(names, NAMES_MAX, shell_word), path=shell_word(place))
