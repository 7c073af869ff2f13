"""Find the sockets of services outside from which mounts keep a command."""

from __future__ import annotations

import errno
import os
import stat
from _socket import AF_UNIX, SOCK_DGRAM, socket  # see nono.sandbox.launcher
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from nono import paths
from nono.disk import json_text
from nono.disk.regular_file import read_regular_file
from nono.errors import NonoError
from nono.kernel.open_path import path_to
from nono.policy.environment.authority import POINTERS, SOCKET, sockets_named
from nono.policy.host_filesystem import HostFilesystem
from nono.policy.path_expansion import is_within
from nono.printable import shell_word
from nono.sandbox.plan.outside_services import (
    Patterns,
    Session,
    directories_of_keys,
    temporary_sockets,
    usual_sockets,
)
from nono.sandbox.plan.private_view import DIRECTORIES

OF_USERS = "/run/user"  # pam_systemd(8)
SOCKETS_MAX = 1000  # that are closed, or stay where they are
LOOKED_AT_MAX = 5000  # by one pattern; most of them may be left over
_CONTEXT_MAX = 1 << 20  # bytes of a context of docker


def session_of(environ: Mapping[str, str], shared: Collection[str]) -> Session:
    """Return where the services of this person and machine listen now.

    shared: The directories of temporary files that the command shares with its host.

    Raises NonoError if the mounts of this process cannot be read, or if too many lie at
    one place to look at.
    """
    home = os.path.realpath(paths.home(environ))
    runtime_dirs = tuple(dict.fromkeys(_runtime_dirs(environ, home)))
    first = runtime_dirs[0] if runtime_dirs else None
    usual = _spelled(usual_sockets(home, first, environ))
    in_temporary = temporary_sockets((*shared, *_moved_temporary(environ)))
    temporary = _spelled(in_temporary, is_meant=_is_own)
    others = _there((*_named(environ), *_of_contexts(environ, home)), and_directories=False)
    found = dict.fromkeys((*runtime_dirs, *_of_others(), *usual, *temporary, *others))
    fs = HostFilesystem()
    # What is mounted twice, such as /run in a toolbox (/run/host/run), is reached at both places.
    twins = _there((alias for path in found for alias in fs.aliases(path)), and_directories=True)
    there = dict.fromkeys((*found, *twins))
    of_keys = map(os.path.realpath, filter(os.path.isdir, directories_of_keys(home, environ)))
    return Session(
        first,
        tuple(path for path in there if path != first),
        tuple(each for each in of_keys if not is_within(home, each)),
    )


def refuse_too_many(mounted_over: Collection[str]) -> None:
    """Raise NonoError if the start would wait long for the mounts over these sockets."""
    if len(mounted_over) > SOCKETS_MAX:
        ((most, _),) = Counter(map(os.path.dirname, mounted_over)).most_common(1)
        raise _too_many(most)


def _runtime_dirs(environ: Mapping[str, str], home: str) -> Iterator[str]:
    """Yield the runtime directories of this person: the one in the environment, and that of pam_systemd(8).

    A directory of somebody else is none. One that others may enter should be none either (XDG base directory
    spec 0.8), but on WSL2 and in containers it is: only for root, who owns /run and /tmp, it is not.
    """
    for path in (environ.get("XDG_RUNTIME_DIR", ""), f"{OF_USERS}/{os.getuid()}"):
        if not os.path.isabs(path):
            continue
        try:
            status = os.stat(path)
        except (OSError, ValueError):
            continue
        is_own = status.st_uid == os.getuid() and (os.getuid() != 0 or not status.st_mode & 0o077)
        canonical = os.path.realpath(path)
        if stat.S_ISDIR(status.st_mode) and is_own and not is_within(home, canonical):
            yield canonical


def _of_others() -> Iterator[str]:
    """Yield the runtime directories of all users for root, who may enter them."""
    if os.getuid() != 0:
        return
    try:
        names = os.listdir(OF_USERS)
    except OSError:
        return
    yield from (f"{OF_USERS}/{name}" for name in names)


def _named(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield the paths at which variables say that an agent, a bus or an engine listens."""
    for name, kind in POINTERS.items():
        if kind == SOCKET and (value := environ.get(name)):
            yield from sockets_named(name, value)


def _moved_temporary(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield TMPDIR where it lies in no directory that may be the command's own."""
    path = environ.get("TMPDIR", "")
    if path.startswith("/") and not any(is_within(os.path.realpath(path), each) for each in DIRECTORIES):
        yield path


def _of_contexts(environ: Mapping[str, str], home: str) -> Iterator[str]:
    """Yield the sockets of the engines that contexts of docker name (docker-context(1))."""
    contexts = f"{environ.get('DOCKER_CONFIG') or f'{home}/.docker'}/contexts/meta"
    for name in _entries(contexts):
        try:
            context = json_text.parse(
                read_regular_file(f"{contexts}/{name}/meta.json", _CONTEXT_MAX).decode()
            )
            host = context["Endpoints"]["docker"]["Host"]
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            continue
        yield from sockets_named("DOCKER_HOST", str(host))


def _spelled(
    patterns: Iterable[Patterns], is_meant: Callable[[str], bool] = lambda path: True
) -> Iterator[str]:
    """Yield canonically what the patterns name: sockets, and directories where no "*" is in the last name.

    is_meant: Returns False for what is passed over, and is not looked into.
    """
    for directory, below in patterns:
        names = frozenset(_entries(directory))  # most of what is usual is not there
        for pattern in below:
            first, *rest = pattern.split("/")
            if names and "*" not in first and first not in names:
                continue
            found = [f"{directory}/{name}" for name in _like(first, names)]
            for part in rest:
                found = [
                    f"{path}/{name}"
                    for path in found
                    if is_meant(path)
                    for name in _like(part, _entries(path) if "*" in part else ())
                ]
            yield from _there(filter(is_meant, found), and_directories="*" not in pattern.rpartition("/")[2])


def _like(part: str, names: Iterable[str]) -> Iterable[str]:
    """Return the names that a part of a pattern spells: a "*" stands for any text."""
    beginning, star, ending = part.partition("*")
    if not star:
        return (part,)
    shortest = len(beginning) + len(ending)
    return [
        each
        for each in names
        if len(each) >= shortest and each.startswith(beginning) and each.endswith(ending)
    ]


def _entries(directory: str) -> Sequence[str]:
    try:
        return os.listdir(directory)
    except (OSError, ValueError):
        return ()


def _is_own(path: str) -> bool:
    """Return False for what another person has put in a directory of temporary files.

    There may be any number of sockets, and links to sockets that the command needs. Root's command may
    connect to everybody's sockets, so for root only links count as another's.
    """
    try:
        status = os.lstat(path)
    except OSError:
        return False
    if os.getuid() == 0 and not stat.S_ISLNK(status.st_mode):
        return True
    return status.st_uid in (0, os.getuid())


def _there(candidates: Iterable[str], *, and_directories: bool) -> Iterator[str]:
    """Yield the canonical paths of sockets; and_directories: and of directories of sockets."""
    looked_at = 0
    for path in candidates:
        try:
            mode = os.stat(path).st_mode
        except (OSError, ValueError):
            continue
        if stat.S_ISSOCK(mode):
            looked_at += 1
            if looked_at > LOOKED_AT_MAX:
                raise _too_many(os.path.dirname(path))
            if _is_bound(path):
                yield os.path.realpath(path)
        elif and_directories and stat.S_ISDIR(mode):
            yield os.path.realpath(path)


def _too_many(directory: str) -> NonoError:
    """Return the error about any number of sockets, or links to one, as an earlier command may leave them.

    To mount over each would take minutes.
    """
    return NonoError(
        f"more sockets lie in {directory} than the command can be kept from.",
        hint=f"remove those that nobody needs: ls -l {shell_word(directory)}",
    )


def _is_bound(path: str) -> bool:
    """Return False if the server of a socket has ended. No server notices the test.

    Nobody can listen at that file again: the next server removes it first, as the command's own must be able
    to. connect(2) tells a socket of another type (EPROTOTYPE) from none (unix_find_bsd in
    net/unix/af_unix.c).
    """
    descriptor = probe = None
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        probe = socket(AF_UNIX, SOCK_DGRAM)
        return probe.connect_ex(path_to(descriptor)) != errno.ECONNREFUSED
    except OSError:
        return True
    finally:
        if probe is not None:
            probe.close()
        if descriptor is not None:
            os.close(descriptor)
