"""Which Unix sockets with a path are granted."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from posixpath import dirname

from nono.named_tuple import NamedTuple
from nono.policy.path_expansion import is_within


class SocketScope(StrEnum):
    """Which paths a grant covers. The words are those of the specification's JSON."""

    FILE = "file"  # the path itself
    DIR_CHILDREN = "dir_children"  # what lies directly in the directory
    DIR_SUBTREE = "dir_subtree"  # what lies anywhere below it


class SocketGrant(NamedTuple):
    """One grant of Unix sockets: to connect, and to bind as well if binds."""

    path: str  # canonical; of a socket that is not there yet, its name in a canonical directory
    scope: SocketScope
    binds: bool
    source: str  # "user" or "profile"
    original: str  # as it was asked for

    def covers(self, path: str) -> bool:
        match self.scope:
            case SocketScope.FILE:
                return path == self.path
            case SocketScope.DIR_CHILDREN:
                return dirname(path) == self.path
            case SocketScope.DIR_SUBTREE:
                return path != self.path and is_within(path, self.path)


class SocketDirectory(NamedTuple):
    """A directory whose sockets are granted, for Landlock: it may be listed."""

    path: str  # canonical
    makes: bool  # sockets may be made there, and what is there removed


def united(grants: Iterable[SocketGrant]) -> tuple[SocketGrant, ...]:
    """One grant for each path and scope; it binds if one of them does."""
    by_path: dict[tuple[str, SocketScope], SocketGrant] = {}
    for grant in grants:
        known = by_path.setdefault((grant.path, grant.scope), grant)
        by_path[grant.path, grant.scope] = known._replace(binds=known.binds or grant.binds)
    return tuple(by_path.values())
