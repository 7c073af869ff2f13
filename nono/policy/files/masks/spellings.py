"""Find denied paths that another case of their letters leads to, past a mask.

A mask is a mount on one entry of the kernel's cache of names (dcache). File systems that the kernel tells to
ignore case, such as vfat, have one entry for all spellings. One whose names another program or machine looks
up, such as a Windows drive in WSL2 or a directory that a Mac shares with a virtual machine, has one for each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from posixpath import join

from nono.named_tuple import NamedTuple
from nono.policy.files.masks.served import server_of
from nono.policy.path_expansion import Filesystem


class Respelled(NamedTuple):
    """A path with another spelling that leads to it."""

    path: str
    other: str
    holder: str  # the mount point of its file system


def respelled(paths: Iterable[str], fs: Filesystem) -> Iterator[Respelled]:
    """Yield those of the canonical `paths` that have another spelling."""
    ignoring: dict[str, bool] = {}  # by directory; WSL2 and NTFS have it so
    for path in paths:
        holder = server_of(path, fs)
        if holder is None:  # the usual case
            continue
        place = path
        while place != holder.point:
            directory, _, name = place.rpartition("/")
            other = name.swapcase()
            if other != name:
                if directory not in ignoring:
                    ignoring[directory] = _ignores_case(directory or "/", {name, other}, fs)
                if ignoring[directory]:
                    yield Respelled(path, f"{directory}/{other}{path[len(place) :]}", holder.point)
                    break
            place = directory or "/"


def in_words(found: Iterable[Respelled]) -> Iterator[str]:
    """Yield a warning for each path that may be protected under one spelling only."""
    for path, other, holder in found:
        yield (
            f"What protects {path} may not hold under another spelling, such as {other}: the file system at "
            f"{holder} ignores the case of names. Keep the project on a disk of Linux itself."
        )


def _ignores_case(directory: str, spellings: Set[str], fs: Filesystem) -> bool:
    """Return True if a directory has an entry by each spelling, and lists fewer."""
    is_found = all(fs.entry(join(directory, each)) is not None for each in spellings)
    return is_found and not spellings <= {*fs.names(directory)}
