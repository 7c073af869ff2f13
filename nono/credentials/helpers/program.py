"""Find a credential helper in places where only root and the user could have put it.

A helper runs outside the sandbox with the user's rights, and its output is sent to an upstream as the user's
key. Anybody who can place a file of its name earlier in PATH gets both: another user through a directory that
others can write to, and the agent of an earlier run through the project it works in, whose ``.venv/bin`` or
``node_modules/.bin`` an activated environment puts first.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from nono.credentials.values.errors import CredentialUnavailable
from nono.policy.host_filesystem import directories_from, inode, way_to
from nono.policy.ownership import changeable, exchangeable
from nono.policy.path_expansion import is_within

DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"


def find_program(name: str, environ: Mapping[str, str]) -> str:
    """Return the absolute path of a program: a bare name is searched along PATH, an absolute name is checked.

    Its directory is named as it is by now: a link that led there, `.venv` of the project perhaps, may lead
    elsewhere once the command runs. Raises CredentialUnavailable if it is missing, cannot be executed, or
    somebody else could have put it there.
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
        if (reason := changeable(inode(target), os.geteuid())) is not None:
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
        if (reason := exchangeable(directories_from(real), os.geteuid())) is not None:
            return reason
    except (OSError, ValueError) as error:
        return f"{directory} cannot be examined: {getattr(error, 'strerror', None) or 'no such path'}"
    if _is_in_project(real, environ):
        return f"{directory} is inside the working directory, which the command may write to"
    return None


def _is_in_project(real: str, environ: Mapping[str, str]) -> bool:
    try:
        workdir = os.path.realpath(os.getcwd())
    except FileNotFoundError:  # it was removed
        return False
    # A whole home is never granted, so starting there does not let the command write below it.
    home = os.path.realpath(environ.get("HOME") or "/")
    return is_within(real, workdir) and not is_within(home, workdir)
