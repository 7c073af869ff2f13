"""`nono purge`: remove everything that nono keeps for a user, after listing it."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from posixpath import join

from nono import amounts, paths
from nono.cli.args import argparse_parser
from nono.cli.commands.sessions.chosen import caller_environ, refuse_inside, sessions
from nono.cli.console import agrees
from nono.cli.text.wrap_text import wrapped
from nono.credentials import resolver
from nono.credentials.resolver import SYSTEM_KEYRING
from nono.disk.tree import remove_tree
from nono.errors import NonoError
from nono.named_tuple import NamedTuple
from nono.printable import printable_line

DESCRIPTION = (
    "Removes everything that nono keeps for you: settings, profiles, sessions, logs, stored keys and logins, "
    "caches. It lists them with their sizes and asks first. Files that nono did not make stay. The program "
    "itself is removed by what installed it."
)


class Place(NamedTuple):
    """A directory of nono's, and the names in it that are nono's; `doctor-*` stands for all that begin so."""

    path: str
    what: str
    names: tuple[str, ...]


class Kept(NamedTuple):
    """What was found in a place."""

    place: Place
    removed: tuple[str, ...]  # names
    left: tuple[str, ...]  # names that nono does not know
    size: int  # bytes that are removed
    target: str | None = None  # of a place that is a link: what it leads to stays


_CONFIG = ("config.toml", "packages", "profile-drafts", "profiles", "sigstore-trusted-root.json",
           "trust-policy.json", "trust-policy.json.bundle", "trusted-keys")  # fmt: skip
_STATE = ("asking", "audit", "credentials.*", "oauth-capture", "phantoms.*", "profiles", "projects.json*",
          "rollbacks", "sessions", "trust")  # fmt: skip
_OLDER = ("audit", "rollbacks", "sessions")
_CACHE = ("bin", "caches", "doctor-*", "gh", "mcp", "tmp")


def parser() -> argparse.ArgumentParser:
    """Return the parser of this command, for its arguments, help and completion."""
    parser = argparse_parser.new_parser("nono purge", DESCRIPTION)
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
    config = paths.config_dir(environ)
    kept = [*_kept(each for each in _places(environ) if not (parsed.keep_config and each.path == config))]
    keys = [each.name for each in resolver.names(environ) if each.where == SYSTEM_KEYRING]
    for line in _lines(kept, keys):
        print(printable_line(line))
    sys.stdout.flush()  # what is said of the list goes to standard error, which may be the same file
    if not keys and not any(each.removed or each.target for each in kept):
        print("Nothing to remove.", file=sys.stderr)
        return 0
    if parsed.dry_run:
        return 0
    if not parsed.yes and not _agreed():
        return 1
    for name in keys:
        resolver.remove(name, environ)
    for each in kept:
        _remove(each)
    print("Removed. The program itself is removed by what installed it.", file=sys.stderr)
    return 0


def _places(environ: Mapping[str, str]) -> Iterator[Place]:
    yield Place(paths.config_dir(environ), "settings and profiles", _CONFIG)
    yield Place(paths.state_root(environ), "sessions, logs, stored keys and logins", _STATE)
    yield Place(paths.older_root(environ), "files of earlier versions", _OLDER)
    yield Place(join(paths.xdg(environ, "XDG_CACHE_HOME", ".cache"), "nono"), "caches of projects", _CACHE)


def _kept(places: Iterable[Place]) -> Iterator[Kept]:
    for place in places:
        if os.path.islink(place.path):
            yield Kept(place, (), (), 0, os.readlink(place.path))
        elif os.path.isdir(place.path):
            names = sorted(os.listdir(place.path))
            known = tuple(name for name in names if _is_known(name, place))
            size = sum(_size(join(place.path, name)) for name in known)
            yield Kept(place, known, tuple(name for name in names if name not in known), size)


def _is_known(name: str, place: Place) -> bool:
    if name.startswith(".") and name.endswith(".tmp"):
        # What a killed nono was writing (nono.disk.durable), a stored key perhaps.
        name = re.sub(r"(\.[0-9a-f]{16})?\.tmp$", "", name[1:])
    return any(fnmatchcase(name, each) for each in place.names)


def _size(path: str) -> int:
    total = os.lstat(path).st_size
    for directory, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):
                total += os.lstat(join(directory, name)).st_size
    return total


def _lines(kept: Sequence[Kept], keys: Sequence[str]) -> Iterator[str]:
    for place, removed, left, size, target in kept:
        if target is not None:
            yield f"{place.path}  the link; {target}, where it leads, stays"
        elif removed or not left:
            yield f"{place.path}  {place.what} ({amounts.size(size)})"
            yield from wrapped(", ".join(removed), "    ", "    ") if removed else ()
        yield from (f"{join(place.path, name)}  stays: nono did not make it" for name in left)
    yield from (f"system keyring  the key '{name}'" for name in keys)


def _agreed() -> bool:
    if not sys.stdin.isatty():
        raise NonoError(
            "nobody can be asked whether to remove this: stdin is not a terminal.", hint="--yes does not ask"
        )
    return agrees("Remove all of this? It cannot be undone.")


def _remove(kept: Kept) -> None:
    """Remove what is known in a place, and the place once it is empty.

    Of a link, the link alone: what it leads to may be anybody's.
    """
    root = kept.place.path
    try:
        if kept.target is not None:
            os.unlink(root)
            return
        for path in (join(root, name) for name in kept.removed):
            if os.path.isdir(path) and not os.path.islink(path):
                remove_tree(path)
            else:
                os.unlink(path)
        if not kept.left:
            os.rmdir(root)
    except OSError as error:
        raise NonoError(f"{error.filename or root} cannot be removed: {error.strerror}") from error
