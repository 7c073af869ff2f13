"""Define grants of Unix sockets that have a path."""

from __future__ import annotations

from collections.abc import Iterable
from posixpath import dirname

from nono.named_tuple import NamedTuple
from nono.policy.path_expansion import is_within
from nono.str_enum import StrEnum


class SocketScope(StrEnum):
    """The paths a grant covers. The values are spelled as in the JSON output."""

    FILE = "file"  # the path itself
    DIR_CHILDREN = "dir_children"  # directly in the directory
    DIR_SUBTREE = "dir_subtree"  # anywhere below it


class SocketGrant(NamedTuple):
    """One grant of Unix sockets: connect, and also bind if `binds`."""

    path: str  # canonical; for a missing socket, its name in a canonical directory
    scope: SocketScope
    binds: bool
    source: str  # "user" or "profile"
    original: str  # as requested

    @property
    def flag(self) -> str:
        """The option that grants this."""
        kind = {SocketScope.FILE: "", SocketScope.DIR_CHILDREN: "-dir", SocketScope.DIR_SUBTREE: "-subtree"}
        return f"--allow-unix-socket{kind[self.scope]}{'-bind' if self.binds else ''}"

    def covers(self, path: str) -> bool:
        match self.scope:
            case SocketScope.FILE:
                return path == self.path
            case SocketScope.DIR_CHILDREN:
                return dirname(path) == self.path
            case SocketScope.DIR_SUBTREE:
                return path != self.path and is_within(path, self.path)


class SocketDirectory(NamedTuple):
    """A directory of granted sockets, which Landlock allows the command to list."""

    path: str  # canonical
    makes: bool  # sockets may be created there, and entries removed


def united(grants: Iterable[SocketGrant]) -> tuple[SocketGrant, ...]:
    """Merge grants to one per path and scope; it binds if any of them does."""
    by_path: dict[tuple[str, SocketScope], SocketGrant] = {}
    for grant in grants:
        known = by_path.setdefault((grant.path, grant.scope), grant)
        by_path[grant.path, grant.scope] = known._replace(binds=known.binds or grant.binds)
    return tuple(by_path.values())
