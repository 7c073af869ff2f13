"""Say which settings of coding agents a run has changed that make them run something outside the sandbox."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Container, Iterator, Mapping
from posixpath import basename, join, split

from nono.launch.around.repository_files import Inode, LookError, RepositoryFiles
from nono.named_tuple import NamedTuple
from nono.policy.capability import CapabilitySet
from nono.policy.files.grants import accesses
from nono.policy.learning.agent_programs import (
    HOMES,
    IN_HOMES,
    IN_ONE_HOME,
    IN_PROJECTS,
    settings_files,
    state_directories,
)
from nono.policy.path_expansion import PathContext, ancestry
from nono.printable import enumerated, shell_word

_EACH, _ENDING = "/*/", "/*."
FILE_BYTES_MAX = 8 << 20  # Claude Code keeps its history beside its servers
ALL_BYTES_MAX = 64 << 20  # of all files, of which there may be a thousand of one kind
STEPS_MAX = 40_000_000  # of reading what has changed: two seconds
NAMES_MAX = 20  # a command can name any number of them

_SET = "this run set {names} in {path}: an agent outside runs or obeys what it names"
_REMOVED = "this run removed {names} from {path}: an agent outside no longer runs or obeys what it named"
_ALSO = "this run set or removed such names in {path} too: an agent outside runs or obeys what they name"
_UNREADABLE = "this run changed {path} so that nono cannot tell what an agent outside runs now: look there"
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
    found: dict[str, tuple[str, ...]] = {
        path: (*IN_HOMES, *IN_ONE_HOME.get(each, ()))
        for each in HOMES
        for path in state_directories(each, paths, os.path.realpath)
        if accesses(writing, path) is not None
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
    left_bytes = ALL_BYTES_MAX
    with RepositoryFiles(tuple(places)) as files:
        for place, names in places.items():
            for path in (path for name in names for path in _spelled_out(files, join(place, name))):
                content = files.content(path, min(FILE_BYTES_MAX, left_bytes))
                if content is not None:
                    contents[path] = content
                    left_bytes -= len(content)
        return Looked(contents, files.unread)


def _spelled_out(files: RepositoryFiles, path: str) -> Iterator[str]:
    """Yield the path; where it has an asterisk, one for each directory there, or for each file so called."""
    directory, asterisk, name = path.partition(_EACH)
    if asterisk:
        for entry, status in files.listed(directory) or ():
            if not stat.S_ISREG(status.st_mode):  # a link is left, and told of
                yield join(directory, entry.name, name)
        return
    directory, asterisk, ending = path.partition(_ENDING)
    if asterisk:
        names = (entry.name for entry, _ in files.listed(directory) or ())
        yield from (join(directory, name) for name in names if name.endswith(f".{ending}"))
        return
    yield path


def sentences(places: Mapping[str, tuple[str, ...]], before: Looked) -> Iterator[str]:
    """Yield what the run has changed since it was looked at before."""
    try:
        after = look(places)
    except LookError as error:
        yield _NOT_LOOKED.format(reason=error.reason, paths=" ".join(map(shell_word, places)))
        return
    named = [join(place, name) for place, names in places.items() for name in names]
    listed = {path.partition(asterisk)[0] for path in named for asterisk in (_EACH, _ENDING)}
    unreadable = [
        path
        for path, inode in after.unread.items()
        # Too many entries: a directory looks alike whatever is further below.
        if before.unread.get(path) != inode or (path in listed and stat.S_ISDIR(inode[0]))
    ]
    left_steps = STEPS_MAX
    also = list[str]()
    told = Counter[str]()  # by the directory whose files are listed: there may be a thousand
    for path in dict.fromkeys((*before.contents, *after.contents)):
        was, now = before.contents.get(path, b""), after.contents.get(path, b"")
        if was == now or path in after.unread:
            continue
        # Imported here: few runs change such a file.
        from nono.policy.learning.agent_settings import differences, steps_of

        name = basename(path)
        left_steps -= steps_of(name, was) + steps_of(name, now)
        try:
            if left_steps < 0:
                raise ValueError("too much to read")
            found = differences(name, was, now)
        except ValueError:
            unreadable.append(path)
            continue
        if path not in named and (found.new or found.gone):
            directory = max((each for each in listed if path.startswith(f"{each}/")), key=len)
            told[directory] += 1
            if told[directory] > NAMES_MAX:
                also.append(path)
                continue
        for sentence, names in ((_SET, found.new), (_REMOVED, found.gone)):
            if names:
                yield sentence.format(names=enumerated(names, NAMES_MAX, shell_word), path=shell_word(path))
    if also:
        yield _ALSO.format(path=enumerated(also, NAMES_MAX, shell_word))
    if unreadable:
        yield _UNREADABLE.format(path=enumerated(unreadable, NAMES_MAX, shell_word))
