"""Tell what undo covers in one directory: all of it, or only files that are granted by themselves."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from posixpath import basename, dirname, join

from nono.named_tuple import NamedTuple
from nono.undo.model.left_out import LeftOut, Sieve


class Scope(NamedTuple):
    """A directory, by its canonical path, and what is covered in it."""

    path: str
    only: tuple[str, ...] | None = None  # the only files in it that are covered, by name; None: everything

    @property
    def covered(self) -> tuple[str, ...]:
        """Return the absolute paths that are covered."""
        return (self.path,) if self.only is None else tuple(join(self.path, name) for name in self.only)

    def sieve(self, left_out: LeftOut) -> Sieve:
        names = self.only
        if names is None:
            return left_out.sieve(self.path)
        return lambda path, name, is_directory: path not in names


def scopes(tracked: Iterable[str], files: Collection[str]) -> list[Scope]:
    """Return the scopes of tracked paths, one for each directory. `files`: the paths that are files."""
    found, named = list[Scope](), dict[str, list[str]]()
    for path in tracked:
        if path in files:
            named.setdefault(dirname(path), []).append(basename(path))
        else:
            found.append(Scope(path))
    return [*found, *(Scope(path, tuple(sorted(names))) for path, names in named.items())]
