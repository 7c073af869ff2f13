"""Find a credential helper in places where only root and the user could have put it.

A helper runs outside the sandbox with the user's rights, and its output is sent to an upstream as the user's
key. Anybody who can place a file of its name earlier in PATH gets both: another user through a directory that
others can write to, and the agent of an earlier run through the project it works in, whose ``.venv/bin`` or
``node_modules/.bin`` an activated environment puts first.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping

from nono.credentials.values.errors import CredentialUnavailable
from nono.policy.host_filesystem import way_to
from nono.policy.path_expansion import is_within

DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"


def find_program(name: str, environ: Mapping[str, str]) -> str:
    """Return the absolute path of a program: a bare name is searched along PATH, an absolute name is checked.

    Its directory is named as it is by now: a link that led there, `.venv` of the project perhaps, may lead
    elsewhere once the command runs.
    CredentialUnavailable: it is missing, cannot be executed, or somebody else could have put it there.
    """
    if "/" in name:
        return _named(name, environ)
    for directory in trusted_directories(environ):
        candidate = f"{directory}/{name}"
        if _is_executable(candidate) and _refusal(candidate, environ) is None:
            return candidate
    for directory in _path(environ):
        if os.path.isabs(directory) and _is_executable(f"{directory}/{name}"):
            reason = _refusal(f"{directory}/{name}", environ) or f"others can write to {directory}"
            raise CredentialUnavailable(
                f"'{name}' is in {directory} and was not run: {reason}",
                hint="install it in a directory that only you or root can write to, outside the project",
            )
    raise CredentialUnavailable(f"'{name}' is not installed, or not in PATH")


def trusted_directories(environ: Mapping[str, str]) -> list[str]:
    """Return the directories of PATH from which a helper, or a program that it runs itself, may come.

    Each without the links that lead there.
    """
    trusted = (each for each in _path(environ) if _directory_refusal(each, environ) is None)
    return [*dict.fromkeys(map(os.path.realpath, trusted))]


def _path(environ: Mapping[str, str]) -> list[str]:
    return (environ.get("PATH") or DEFAULT_PATH).split(os.pathsep)


def _named(name: str, environ: Mapping[str, str]) -> str:
    if not os.path.isabs(name):
        raise CredentialUnavailable(
            f"'{name}' is relative to a directory that may change; name the program by its absolute path"
        )
    if not _is_executable(name):
        raise CredentialUnavailable(f"'{name}' does not exist, or cannot be executed")
    if (reason := _refusal(name, environ)) is not None:
        raise CredentialUnavailable(f"'{name}' was not run: {reason}")
    return _in_real_directory(name)


def _in_real_directory(path: str) -> str:
    """Return a path without the links that lead to its directory.

    One at its end stays: some programs ask by which name they were started.
    """
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))


def _is_executable(path: str) -> bool:
    try:
        return os.path.isfile(path) and os.access(path, os.X_OK)
    except ValueError:  # a NUL in it
        return False


def _refusal(path: str, environ: Mapping[str, str]) -> str | None:
    """Return why an executable file, after following links, may be somebody else's; None if it is trusted."""
    try:
        target = os.path.realpath(path, strict=True)
        if (reason := _status_refusal(os.stat(target), target)) is not None:
            return reason
    except OSError as error:
        return f"{path} cannot be examined: {error.strerror}"
    places = (path, *way_to(_in_real_directory(path)))
    directories = map(os.path.dirname, places)
    return next(filter(None, (_directory_refusal(each, environ) for each in directories)), None)


def _directory_refusal(directory: str, environ: Mapping[str, str]) -> str | None:
    if not os.path.isabs(directory):  # "" and "." among them
        return f"{directory or '.'} is relative to the working directory"
    try:
        real = os.path.realpath(directory, strict=True)
        if not os.path.isdir(real):
            return f"{directory} is not a directory"
        if (reason := _status_refusal(os.stat(real), directory)) is not None:
            return reason
        above = real
        while above != "/":
            above = os.path.dirname(above)
            status = os.stat(above)
            # The sticky bit keeps users from renaming each other's files, as in /tmp.
            if not status.st_mode & stat.S_ISVTX and (reason := _status_refusal(status, above)) is not None:
                return reason
    except (OSError, ValueError) as error:
        return f"{directory} cannot be examined: {getattr(error, 'strerror', None) or 'no such path'}"
    if _is_in_project(real, environ):
        return f"{directory} is inside the working directory, which the command may write to"
    return None


def _status_refusal(status: os.stat_result, path: str) -> str | None:
    """Return how users other than root and us can change an inode with this status, or None."""
    if status.st_uid not in (0, os.geteuid()):
        return f"{path} belongs to uid {status.st_uid}"
    if status.st_mode & stat.S_IWOTH:
        return f"everybody can write to {path}"
    # A group that root lets write, such as Debian's staff in /usr/local, is root's decision. A group whose
    # gid equals the user's uid contains, by the convention of private groups, the user alone.
    if status.st_mode & stat.S_IWGRP and status.st_uid != 0 and status.st_gid != os.geteuid():
        return f"group {status.st_gid} can write to {path}"
    return None


def _is_in_project(real: str, environ: Mapping[str, str]) -> bool:
    try:
        workdir = os.path.realpath(os.getcwd())
    except FileNotFoundError:  # it was removed
        return False
    # A whole home is never granted, so starting there does not let the command write below it.
    home = os.path.realpath(environ.get("HOME") or "/")
    return is_within(real, workdir) and not is_within(home, workdir)
