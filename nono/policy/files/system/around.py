"""Grant a directory of the system around the home and nono's state, where these are below it.

Containers have a home such as /opt/app-root/src. Landlock cannot take it out of a grant of /opt.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from posixpath import join

from nono.policy.capability import Access, Grant
from nono.policy.path_expansion import Filesystem, ancestry


def around(grants: Iterable[Grant], kept_out: Collection[str], fs: Filesystem) -> Iterator[Grant]:
    """Yield the grants of groups; to read a directory above `kept_out` becomes to read the entries beside it.

    A directory that the command could write is left whole; it is refused later if it holds nono's state.
    """
    above = frozenset[str]().union(*map(ancestry, kept_out))
    for grant in grants:
        if grant.path in above and grant.is_dir and grant.access is Access.READ:
            yield from _beside(grant, above, kept_out, fs)
        else:
            yield grant


def _beside(
    grant: Grant, above: Collection[str], kept_out: Collection[str], fs: Filesystem
) -> Iterator[Grant]:
    if grant.path in kept_out:
        return
    for name in fs.names(grant.path):
        path = join(grant.path, name)
        entry = fs.entry(path)
        if entry is None or entry.kind == "link":  # following a link needs no grant
            continue
        each = grant._replace(path=path, is_dir=entry.kind == "dir", original=path)
        if path in above:
            yield from _beside(each, above, kept_out, fs)
        else:
            yield each
