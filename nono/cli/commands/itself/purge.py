"""`nono purge`: removes everything that nono keeps for a user, and says before what that is."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from posixpath import join

from nono import paths
from nono.cli.args import argparse_parser
from nono.cli.commands.sessions.chosen import caller_environ, refuse_inside, sessions
from nono.credentials import resolver
from nono.credentials.resolver import SYSTEM_KEYRING
from nono.errors import NonoError
from nono.named_tuple import NamedTuple
from nono.printable import printable

DESCRIPTION = (
    "Removes everything that nono keeps for you: settings, profiles, sessions, logs, stored keys and logins, "
    "caches. It lists them and asks first. The program itself is removed by what installed it."
)


class Kept(NamedTuple):
    """A directory of nono's."""

    path: str
    what: str
    size: int  # bytes


def parser() -> argparse.ArgumentParser:
    """Return the parser of this command, for its arguments, help and completion."""
    parser = argparse_parser.new_parser("nono purge", DESCRIPTION)
    argparse_parser.add_globals(parser)
    parser.add_argument("--keep-config", action="store_true", help="keep settings and profiles")
    parser.add_argument("--dry-run", action="store_true", help="list what would be removed, and stop")
    parser.add_argument("--yes", "-y", action="store_true", help="do not ask")
    return parser


def run(argv: Sequence[str]) -> int:
    parsed, environ = parser().parse_args(list(argv)), caller_environ()
    refuse_inside("purge", environ)
    running = [each.record.session_id for each in sessions(environ) if not each.record.is_ended]
    if running and not parsed.dry_run:
        raise NonoError(
            f"sessions are running: {', '.join(running)}", hint="nono stop SESSION, for each of them"
        )
    kept = [
        each for each in _kept(environ) if not (parsed.keep_config and each.path == paths.config_dir(environ))
    ]
    keys = [each.name for each in resolver.names(environ) if each.where == SYSTEM_KEYRING]
    if not kept and not keys:
        print("Nothing to remove.", file=sys.stderr)
        return 0
    for line in _lines(kept, keys):
        print(printable(line))
    if parsed.dry_run:
        return 0
    if not parsed.yes and not _agreed():
        return 1
    for name in keys:
        resolver.remove(name, environ)
    for each in kept:
        _remove(each.path)
    print("Removed. The program itself is removed by what installed it.", file=sys.stderr)
    return 0


def _kept(environ: Mapping[str, str]) -> list[Kept]:
    state, *older = paths.protected_roots(environ)
    found = [
        (paths.config_dir(environ), "settings and profiles"),
        (state, "sessions, logs, stored keys and logins"),
        *((path, "files of earlier versions") for path in older),
        (join(paths.xdg(environ, "XDG_CACHE_HOME", ".cache"), "nono"), "caches of projects"),
    ]
    return [Kept(path, what, _size(path)) for path, what in found if os.path.lexists(path)]


def _size(path: str) -> int:
    total = 0
    for directory, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):
                total += os.lstat(join(directory, name)).st_size
    return total


def _lines(kept: Sequence[Kept], keys: Sequence[str]) -> list[str]:
    lines = [f"{each.path}  {each.what} ({each.size / (1 << 20):,.1f} MiB)" for each in kept]
    return [*lines, *(f"system keyring  the key '{name}'" for name in keys)]


def _agreed() -> bool:
    if not sys.stdin.isatty():
        raise NonoError(
            "nobody can be asked whether to remove this: stdin is not a terminal.", hint="--yes does not ask"
        )
    print("Remove all of this? It cannot be undone. [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _remove(path: str) -> None:
    """Remove a directory; of a link, the link alone: what it leads to may be anybody's."""
    try:
        if os.path.islink(path):
            os.unlink(path)
        else:
            _make_writable(path)
            shutil.rmtree(path)
    except OSError as error:
        raise NonoError(f"{error.filename or path} cannot be removed: {error.strerror}") from error


def _make_writable(path: str) -> None:
    """Let directories be emptied: module caches of Go are read-only.

    By descriptors: what is left of a run could put a link in the place of a directory in its cache.
    """
    for _, _, _, directory in os.fwalk(path):
        with suppress(OSError):
            os.fchmod(directory, 0o700)
