"""Decide what a snapshot leaves out, without ever walking it."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Mapping
from fnmatch import translate
from posixpath import basename, dirname
from typing import Any

from nono.named_tuple import NamedTuple
from nono.policy.path_expansion import is_within

# Directories of version control, which keep their own history; nono never writes to them.
VERSION_CONTROL = (".git", ".hg", ".svn")
# Directories that commands recreate, at any depth.
CACHES = (".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis")
REMADE = ("target", "node_modules", "__pycache__", ".venv", *CACHES)
# The same, but only directly in a granted directory: deeper, sources may have this name.
REMADE_AT_TOP = (".tox", "dist", "build", ".next", ".nuxt", ".gradle", ".cache")
_GLOB = re.compile(r"[*?\[]")

Sieve = Callable[[str, str, bool], bool]  # from relative path, name and is_directory: is it left out?


class LeftOut(NamedTuple):
    """What one run leaves out. It is stored with the snapshots, and a restore uses it again."""

    names: tuple[str, ...] = VERSION_CONTROL  # of anything, at any depth
    directories: tuple[str, ...] = (*REMADE, ".DS_Store")  # names of directories
    at_top: tuple[str, ...] = REMADE_AT_TOP  # names of directories directly in a granted one
    globs: tuple[str, ...] = ()  # patterns for names; with a slash, for paths relative to a granted directory
    relative: tuple[str, ...] = ()  # paths relative to a granted directory
    absolute: tuple[str, ...] = ()
    included: tuple[str, ...] = ()  # names kept although the defaults leave them out

    def sieve(self, root: str) -> Sieve:
        """Return a function that tells, from relative path, name and is_directory, if a path is left out."""
        included = frozenset(self.included)
        names = frozenset(self.names) - included
        directories = frozenset(self.directories) - included
        at_top = frozenset(self.at_top) - included
        below = root.rstrip("/") + "/"
        paths = {path.strip("/") for path in self.relative}
        paths |= {path.removeprefix(below) for path in self.absolute if path.startswith(below)}
        of_names = _pattern(each for each in self.globs if "/" not in each)
        of_paths = _pattern(each.strip("/") for each in self.globs if "/" in each)

        def leaves_out(path: str, name: str, is_directory: bool) -> bool:
            if name in names or (is_directory and name in directories):
                return True
            if is_directory and name in at_top and path == name:
                return True
            if paths and path in paths:
                return True
            if of_names is not None and name not in included and of_names(name):
                return True
            return of_paths is not None and of_paths(path) is not None

        return leaves_out

    def covers_file(self, path: str) -> bool:
        """Return True if a file granted by itself is left out, by its name or with a directory above it."""
        name = basename(path)
        return self.covers(path) or self.sieve(dirname(path))(name, name, False)

    def covers(self, root: str) -> bool:
        """Return True if a whole granted directory is left out."""
        return any(is_within(root, path) for path in self.absolute)


def but_for(sieve: Sieve, seen: Container[str]) -> Sieve:
    """Return a sieve that keeps everything seen by an earlier look of the same run.

    Otherwise a directory that is left out could replace a file unnoticed.
    """
    return lambda path, name, is_directory: sieve(path, name, is_directory) and path not in seen


def is_left_out(path: str, sieve: Sieve, *, is_directory: bool = False) -> bool:
    """Return True if a path, or a directory above it, is left out."""
    parts = path.split("/")
    return any(
        sieve("/".join(parts[:count]), parts[count - 1], is_directory or count < len(parts))
        for count in range(1, len(parts) + 1)
    )


def _pattern(globs: Any) -> Any:
    words = [translate(glob) for glob in globs]
    return re.compile("|".join(words)).match if words else None


def left_out(
    excluded: tuple[str, ...],
    globs: tuple[str, ...] = (),
    *,
    included: tuple[str, ...] = (),
    directories: tuple[str, ...] = (),
    everything: bool = False,
) -> LeftOut:
    """Combine options and profile.

    excluded: Names, paths relative to a granted directory, absolute paths, or patterns.
    directories: Further names of directories directly in a granted one.
    everything: Leave out only version control.
    """
    patterns = tuple(each for each in excluded if _GLOB.search(each))
    plain = tuple(each for each in excluded if not _GLOB.search(each))
    return LeftOut(
        names=(*VERSION_CONTROL, *(each for each in plain if "/" not in each)),
        directories=() if everything else LeftOut().directories,
        at_top=directories if everything else (*REMADE_AT_TOP, *directories),
        globs=(*globs, *patterns),
        relative=tuple(each for each in plain if "/" in each and not each.startswith("/")),
        absolute=tuple(each.rstrip("/") or "/" for each in plain if each.startswith("/")),
        included=included,
    )


def to_document(filter: LeftOut) -> dict[str, list[str]]:
    return {name: list(value) for name, value in filter._asdict().items()}


def from_document(document: Mapping[str, Any]) -> LeftOut:
    """Parse the output of to_document().

    Raises ValueError: with another filter a restore could delete too much.
    """
    fields: dict[str, tuple[str, ...]] = {}
    for name in LeftOut._fields:
        value = document.get(name)
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise ValueError(f"left_out.{name}: {value!r}")
        fields[name] = tuple(value)
    return LeftOut(**fields)
