"""Find the sockets of services outside from which mounts keep a command."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping

from nono import paths
from nono.policy.environment.authority import POINTERS, SOCKET, targets
from nono.policy.host_filesystem import HostFilesystem
from nono.policy.path_expansion import is_within
from nono.sandbox.plan.outside_services import Session, usual_sockets

OF_USERS = "/run/user"  # pam_systemd(8)


def session_of(environ: Mapping[str, str]) -> Session:
    """Return where the services of this person and machine listen now.

    Raises NonoError if the mounts of this process cannot be read.
    """
    home = os.path.realpath(paths.home(environ))
    runtime_dirs = tuple(dict.fromkeys(_runtime_dirs(environ, home)))
    first = runtime_dirs[0] if runtime_dirs else None
    usual = _there(usual_sockets(home, first), and_directories=True)
    others = _there((*_named(environ), *_beside_ssh_keys(f"{home}/.ssh")), and_directories=False)
    found = dict.fromkeys((*runtime_dirs, *_of_others(), *usual, *others))
    fs = HostFilesystem()
    # What is mounted twice, such as /run in a toolbox (/run/host/run), is reached at both places.
    twins = _there((alias for path in found for alias in fs.aliases(path)), and_directories=True)
    there = dict.fromkeys((*found, *twins))
    return Session(first, tuple(path for path in there if path != first))


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
            yield from targets(name, value) or ()


def _beside_ssh_keys(directory: str) -> Iterator[str]:
    """Yield what lies in ~/.ssh, and in directories there: an ssh that others share may listen at it.

    Whoever connects to one is logged in on its host (ControlPath in ssh_config(5)). Its name is free.
    """
    for above in (directory, *_entries(directory)):
        yield from _entries(above)


def _entries(directory: str) -> tuple[str, ...]:
    try:
        return tuple(f"{directory}/{name}" for name in os.listdir(directory))
    except OSError:
        return ()


def _there(candidates: Iterable[str], *, and_directories: bool) -> Iterator[str]:
    """Yield the canonical paths of sockets; and_directories: and of directories of sockets."""
    for path in candidates:
        try:
            mode = os.stat(path).st_mode
        except (OSError, ValueError):
            continue
        if stat.S_ISSOCK(mode) or (and_directories and stat.S_ISDIR(mode)):
            yield os.path.realpath(path)
