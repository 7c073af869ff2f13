"""Read those parts of a project that `nono doctor --project` judges."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import islice
from posixpath import join

from nono.cli.doctor.hosts_named import FILES
from nono.cli.doctor.project import Project
from nono.disk.regular_file import read_regular_file
from nono.errors import NonoError
from nono.launch.around.slow_lookups import ToldIfSlow
from nono.policy.builtin import shipped
from nono.policy.git.repository import Repository, repository_of
from nono.policy.host_filesystem import HostFilesystem
from nono.policy.profile.detection import AGENTS, programs

_MAX_LOCK_BYTES = 32 * 1024 * 1024
_MAX_ENV_BYTES = 1024 * 1024
_MAX_ENV_FILES = 20
_MAX_DIRECTORIES = 50
_ENV_FILE = re.compile(r"\.env(?:\.[A-Za-z0-9_.-]{1,64})?")
_EXAMPLES = (".example", ".sample", ".template", ".dist", ".defaults")  # files that everybody may read


def read_project(directory: str, environ: Mapping[str, str]) -> Project:
    """Read the project in a canonical directory. Raises NonoError if it cannot be listed."""
    looking_at = [directory]
    with ToldIfSlow(lambda: looking_at[0]):
        return _read(directory, environ, looking_at)


def _read(directory: str, environ: Mapping[str, str], looking_at: list[str]) -> Project:
    """Read the project. looking_at: Takes the directory that is looked at now."""
    try:
        names = frozenset(os.listdir(directory))
    except OSError as error:
        raise NonoError(f"the project cannot be read: {error.strerror}: '{directory}'") from error
    repository = repository_of(directory, environ.get("HOME", "/"), HostFilesystem())
    settings = "" if repository is None else _text(repository.settings)
    texts = {name: _text(join(directory, name)) for name in FILES if name in names} | {
        ".git/config": settings
    }
    env_files = sorted(name for name in names if _is_env_file(name))[:_MAX_ENV_FILES]
    return Project(
        names,
        {name: text for name, text in texts.items() if text},
        {name: _env_text(join(directory, name)) for name in env_files},
        () if repository is None else tuple(_hooks(repository)),
        settings,
        frozenset(
            program
            for program in {*programs(names), *AGENTS}
            if shutil.which(program, path=environ.get("PATH")) is not None
        ),
        shipped.readers_of_variables(),
        dict(_below(directory, names, looking_at)),
    )


def _below(
    directory: str, names: frozenset[str], looking_at: list[str]
) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield the directories in a project and the names in them; no hidden ones, and no links."""
    shown = (name for name in sorted(names) if not name.startswith(".") and name.isprintable())
    directories = (name for name in shown if _is_directory(join(directory, name), looking_at))
    for name in islice(directories, _MAX_DIRECTORIES):
        with suppress(OSError):  # it is closed to us
            yield name, frozenset(os.listdir(join(directory, name)))


def _is_directory(path: str, looking_at: list[str]) -> bool:
    looking_at[:] = [path]
    return os.path.isdir(path) and not os.path.islink(path)


def _is_env_file(name: str) -> bool:
    return _ENV_FILE.fullmatch(name) is not None and not name.endswith(_EXAMPLES)


def _text(path: str) -> str:
    """Return the text of a file; "" if it cannot be read or is a link, which may lead out of the project."""
    if os.path.islink(path):
        return ""
    try:
        return read_regular_file(path, _MAX_LOCK_BYTES).decode(errors="replace")
    except OSError:
        return ""


def _env_text(path: str) -> str | None:
    """Return the text of an .env file as _text() does; None if it is too large to look for secrets in."""
    with suppress(OSError):
        if os.lstat(path).st_size > _MAX_ENV_BYTES:
            return None
    return _text(path)


def _hooks(repository: Repository) -> Iterator[str]:
    try:
        names = sorted(os.listdir(repository.hooks))
    except OSError:
        return
    for name in names:
        if not name.endswith(".sample") and os.access(join(repository.hooks, name), os.X_OK):
            yield name
