"""Find the sockets of services outside from which mounts keep a command."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping

from nono import paths
from nono.policy.path_expansion import is_within
from nono.sandbox.plan.outside_services import Session, usual_sockets

OF_USERS = "/run/user"  # pam_systemd(8)


def session_of(environ: Mapping[str, str]) -> Session:
    """Return where the services of this person and machine listen now."""
    home = os.path.realpath(paths.home(environ))
    runtime_dirs = tuple(dict.fromkeys(_runtime_dirs(environ, home)))
    first = runtime_dirs[0] if runtime_dirs else None
    there = (*runtime_dirs[1:], *_of_others(), *_there(usual_sockets(home, first)))
    return Session(first, tuple(path for path in dict.fromkeys(there) if path != first))


def _runtime_dirs(environ: Mapping[str, str], home: str) -> Iterator[str]:
    """Yield the runtime directories of this person: the one in the environment, and that of pam_systemd(8).

    A directory of somebody else, or one that others may enter, is none (XDG base directory spec 0.8).
    """
    for path in (environ.get("XDG_RUNTIME_DIR", ""), f"{OF_USERS}/{os.getuid()}"):
        if not os.path.isabs(path):
            continue
        try:
            status = os.stat(path)
        except (OSError, ValueError):
            continue
        is_private = status.st_uid == os.getuid() and not status.st_mode & 0o077
        canonical = os.path.realpath(path)
        if stat.S_ISDIR(status.st_mode) and is_private and not is_within(home, canonical):
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


def _there(candidates: Iterator[str]) -> Iterator[str]:
    for path in candidates:
        try:
            mode = os.stat(path).st_mode
        except (OSError, ValueError):
            continue
        if stat.S_ISSOCK(mode) or stat.S_ISDIR(mode):
            yield os.path.realpath(path)
