"""Say which settings of coding agents a run has changed that make them run something outside the sandbox."""

from __future__ import annotations

import os
from collections.abc import Container, Iterator, Mapping
from posixpath import basename, join, split

from nono.launch.around.repository_files import Inode, LookError, RepositoryFiles
from nono.named_tuple import NamedTuple
from nono.policy.capability import CapabilitySet
from nono.policy.files.grants import accesses
from nono.policy.learning.agent_programs import (
    HOMES,
    IN_HOMES,
    IN_PROJECTS,
    differences,
    settings_files,
    state_directories,
)
from nono.policy.path_expansion import PathContext, ancestry
from nono.printable import shell_word

FILE_BYTES_MAX = 8 << 20  # Claude Code keeps its history beside its servers
NAMES_MAX = 20  # a command can name any number of them

_SET = "this run set {names} in {path}: an agent outside runs or obeys what it names"
_REMOVED = "this run removed {names} from {path}: an agent outside no longer runs or obeys what it named"
_UNREADABLE = "this run changed {path} so that nono cannot tell what an agent outside runs now: look at it"
_NOT_LOOKED = (
    "nono cannot tell whether this run changed settings of agents ({reason}): look at those in {paths}"
)


class Looked(NamedTuple):
    contents: Mapping[str, bytes]  # by path
    unread: Mapping[str, Inode]


def places_of(capabilities: CapabilitySet, paths: PathContext) -> dict[str, tuple[str, ...]]:
    """Return the directories in which the run may change an agent's settings, and the names of these there.

    An agent looks for those of a project in the directory where it is started, and some in those above. That
    is the working directory here, one above it, or another that a person has granted.
    """
    writing = [grant for grant in capabilities.grants if grant.access.writes]
    homes = [path for each in HOMES for path in state_directories(each, paths, os.path.realpath)]
    found: dict[str, tuple[str, ...]] = {
        path: IN_HOMES for path in homes if accesses(writing, path) is not None
    }
    for path in projects_of(capabilities, found):
        found[path] = (*found.get(path, ()), *IN_PROJECTS)
    for path in settings_files(paths, os.path.realpath):
        if accesses(writing, path) is not None:
            directory, name = split(path)
            found[directory] = (*found.get(directory, ()), name)
    return found


def projects_of(capabilities: CapabilitySet, states: Container[str]) -> list[str]:
    """Return the directories that the run may change and in which, or below, an agent may be started.

    states: Directories of agents, of which none is a project because it is granted.
    """
    writing = [grant for grant in capabilities.grants if grant.access.writes]
    named = [grant.path for grant in writing if grant.is_users and grant.is_dir and grant.path not in states]
    above = sorted(ancestry(capabilities.workdir), key=len, reverse=True)
    upward = [path for path in above if accesses(writing, path) is not None]
    return list(dict.fromkeys((*upward, *named)))


def look(places: Mapping[str, tuple[str, ...]]) -> Looked:
    """Read the settings. No link is followed out of the places."""
    contents: dict[str, bytes] = {}
    with RepositoryFiles(tuple(places)) as files:
        for place, names in places.items():
            for path in (join(place, name) for name in names):
                content = files.content(path, FILE_BYTES_MAX)
                if content is not None:
                    contents[path] = content
        return Looked(contents, files.unread)


def sentences(places: Mapping[str, tuple[str, ...]], before: Looked) -> Iterator[str]:
    """Yield what the run has changed since it was looked at before."""
    try:
        after = look(places)
    except LookError as error:
        yield _NOT_LOOKED.format(reason=error.reason, paths=" ".join(map(shell_word, places)))
        return
    for path, inode in after.unread.items():
        if before.unread.get(path) != inode:
            yield _UNREADABLE.format(path=shell_word(path))
    for path in dict.fromkeys((*before.contents, *after.contents)):
        was, now = before.contents.get(path, b""), after.contents.get(path, b"")
        if was == now or path in after.unread:
            continue
        try:
            found = differences(basename(path), was, now)
        except ValueError:
            yield _UNREADABLE.format(path=shell_word(path))
            continue
        for sentence, names in ((_SET, found.new), (_REMOVED, found.gone)):
            if names:
                yield sentence.format(names=_shown(names), path=shell_word(path))


def _shown(names: tuple[str, ...]) -> str:
    shown = ", ".join(map(shell_word, names[:NAMES_MAX]))
    more = len(names) - NAMES_MAX
    return f"{shown} and {more:,} more" if more > 0 else shown
