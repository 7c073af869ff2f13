"""Let a command run nono, for `nono why --self`, and keep the other programs of nono's environment off PATH.

A virtual environment in which nono is installed has its own python3, with only nono's packages.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator
from posixpath import dirname, join, realpath

from nono.named_tuple import NamedTuple
from nono.policy.capability import Access, Grant
from nono.policy.files.denials import DenyRules
from nono.policy.files.grants import accesses
from nono.policy.path_expansion import PathContext, is_within

NAME = "nono"
_LINKS = ("nono", "bin")  # below the caches of the person; a directory for each installation
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class OwnEnvironment(NamedTuple):
    """What a command is granted of nono's installation, and its PATH without the rest."""

    grants: tuple[Grant, ...]
    search_path: str | None  # None: unchanged


def own_environment(
    grants: Iterable[Grant],
    denials: DenyRules,
    roots: Iterable[str],
    path_context: PathContext,
    search_path: str | None,
    *,
    makes: bool,
) -> OwnEnvironment:
    """Return what to grant beside `grants`, and the PATH.

    roots: nono's own state; canonical.
    makes: Create the directory in which a command finds nono by name.
    """
    held, kept_out = tuple(grants), (realpath(path_context.home), *roots)

    def is_grantable(path: str) -> bool:
        if any(is_within(each, path) or is_within(path, each) for each in kept_out[1:]):
            return False
        is_denied = denials.covering(path) or any(is_within(each.path, path) for each in denials.denials)
        return not is_denied and not is_within(kept_out[0], path)

    def is_readable(path: str) -> bool:
        access = accesses(held, path)
        return access is not None and access.reads

    wanted = [path for path in dict.fromkeys(_installed()) if not is_readable(path)]
    missing = [path for path in wanted if is_grantable(path)]
    changed = None
    own = realpath(dirname(sys.executable))
    # An environment that is granted itself is the one the person works in.
    if search_path is not None and sys.prefix != sys.base_prefix and not is_readable(own):
        links = _linked(realpath(path_context.of_group("$XDG_CACHE_HOME")), own) if makes else None
        if links is not None and is_grantable(links):
            missing.append(links)
        changed = _without(search_path, own, links if links in missing else None)
    return OwnEnvironment(tuple(Grant(path, Access.READ, True, "system", path) for path in missing), changed)


def _installed() -> Iterator[str]:
    """Yield the directories that nono is loaded from; canonical."""
    yield realpath(sys.prefix)
    yield realpath(sys.base_prefix)
    # That is where its dependencies are too; or a checkout, whose top directory an import lists.
    yield dirname(dirname(dirname(dirname(realpath(__file__)))))


def _without(search_path: str, own: str, links: str | None) -> str | None:
    """Return PATH with `links` instead of `own`; None if `own` is not on it."""
    entries = search_path.split(os.pathsep)
    is_own = [bool(entry) and realpath(entry) == own for entry in entries]
    if not any(is_own):
        return None
    changed = [links if found else entry for entry, found in zip(entries, is_own, strict=True)]
    return os.pathsep.join(entry for entry in changed if entry is not None)


def _linked(cache: str, own: str) -> str | None:
    """Create the directory below _LINKS that contains only this nono. None if that is impossible.

    One that several installations shared would lead the commands of one to the nono of the other, which they
    are not granted. Another run, which was granted all caches, may have left programs there, or a link to
    another place.

    cache: That of the person; canonical.
    own: The directory that nono is in; canonical.
    """
    # Imported here: most runs find nono in a directory without other programs.
    from nono.digests import sha256

    # The path itself may be longer than a name, and PATH cannot express one with a colon.
    names = (*_LINKS, sha256(os.fsencode(own)).hexdigest()[:16])
    try:
        os.makedirs(cache, mode=0o700, exist_ok=True)
        directory = os.open(cache, _DIRECTORY)
        for name in names:
            above, directory = directory, _below(directory, name)
            os.close(above)
    except OSError:
        return None
    try:
        _leave_only(join(own, NAME), directory)
    except OSError:
        return None
    finally:
        os.close(directory)
    return join(cache, *names)


def _below(parent: int, name: str) -> int:
    """Open a directory, made if it is missing. Closes the parent if that fails. Raises OSError."""
    try:
        try:  # noqa: SIM105 - a wrap imports no contextlib
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            pass
        return os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    except OSError:
        os.close(parent)
        raise


def _leave_only(program: str, directory: int) -> None:
    """Make the directory hold a link to nono and nothing else. Raises OSError."""
    names = os.listdir(directory)
    for name in names:
        if name.partition(".")[0] != NAME:  # else another run may be about to make the link
            os.unlink(name, dir_fd=directory)
    is_link = NAME in names and stat.S_ISLNK(os.lstat(NAME, dir_fd=directory).st_mode)
    if is_link and os.readlink(NAME, dir_fd=directory) == program:
        return
    unfinished = f"{NAME}.{os.getpid()}"
    os.symlink(program, unfinished, dir_fd=directory)
    os.replace(unfinished, NAME, src_dir_fd=directory, dst_dir_fd=directory)
