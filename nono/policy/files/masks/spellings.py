"""Find denied paths that another spelling of their names leads to, past a mask.

A mask is a mount on one entry of the kernel's cache of names (dcache). File systems that the kernel tells to
ignore case, such as vfat, have one entry for all spellings. One whose names another program or machine looks
up, such as a Windows drive in WSL2 or a directory that a Mac shares with a virtual machine, has one for each;
so has an overlay of it. NTFS has one for the short name of a file, and ZFS for each form of Unicode.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from posixpath import join

from nono.named_tuple import NamedTuple
from nono.policy.files.masks.served import server_of
from nono.policy.path_expansion import Filesystem

# They find a file by the short name that Windows gave it, too, and do not list that.
_WITH_SHORT_NAMES = frozenset(("9p", "fuse", "fuseblk", "ntfs3", "overlay"))
_NUMBERED = range(1, 5)  # a fifth file that begins alike gets a checksum, but the first four are found then
_REPLACED, _WITH = "+,;=[]", "______"


class Respelled(NamedTuple):
    """A path with another spelling that leads to it."""

    path: str
    other: str
    holder: str  # the mount point of its file system
    because: str  # what that file system does


def respelled(paths: Iterable[str], fs: Filesystem) -> Iterator[Respelled]:
    """Yield those of the canonical `paths` that have another spelling."""
    known: dict[str, tuple[str, str] | None] = {}  # by place; many paths share their directories
    for path in paths:
        holder = fs.holder(path)
        if holder is None:
            continue
        # An overlay looks names up in what lies below it.
        is_served = holder.type == "overlay" or server_of(path, fs) is not None
        if not is_served and holder.type not in ("ntfs3", "zfs"):  # the usual case
            continue
        place = path
        while place != holder.point:
            if place not in known:
                known[place] = _another(place, holder.type, fs, is_served=is_served)
            directory = place.rpartition("/")[0]
            if (found := known[place]) is not None:
                other, because = found
                yield Respelled(path, f"{directory}/{other}{path[len(place) :]}", holder.point, because)
                break
            place = directory or "/"


def in_words(found: Iterable[Respelled]) -> Iterator[str]:
    """Yield a warning for each path that may be protected under one spelling only."""
    for path, other, holder, because in found:
        yield (
            f"What protects {path} may not hold under another spelling, such as {other}: the file system at "
            f"{holder} {because}. Keep the project on a disk of Linux itself."
        )


def _another(place: str, kind: str, fs: Filesystem, *, is_served: bool) -> tuple[str, str] | None:
    """Return another spelling that leads to `place`, and why it does: it is found, and not listed."""
    directory, _, name = place.rpartition("/")
    directory = directory or "/"
    for other, because in _spellings(name, kind, is_served=is_served):
        if other != name and fs.entry(join(directory, other)) is not None:
            is_listed = {name, other} <= {*fs.names(directory)}
            if not is_listed and fs.entry(place) is not None:
                return other, because
    return None


def _spellings(name: str, kind: str, *, is_served: bool) -> Iterator[tuple[str, str]]:
    """Yield what a file system of a type may find `name` by, each with what it does then."""
    if is_served:
        # Which other letters have a case differs between file systems.
        swapped = "".join(each.swapcase() if each.isascii() else each for each in name)
        yield (swapped if swapped != name else name.swapcase()), "ignores the case of names"
        yield f"{name}.", "ignores dots at the end of names"
    if not name.isascii() and kind != "ntfs3":
        # Imported here: few names need it.
        from unicodedata import normalize

        yield from ((normalize(form, name), "ignores how accents are encoded") for form in ("NFC", "NFD"))
    if kind in _WITH_SHORT_NAMES:
        yield from ((short, "finds files by the short names of Windows") for short in _short_names(name))


def _short_names(name: str) -> Iterator[str]:
    """Yield names with eight letters, and three after the dot, that Windows may have given to a file."""
    stem, dot, ending = (
        name.upper().translate(str.maketrans(_REPLACED, _WITH, " ")).lstrip(".").rpartition(".")
    )
    if not dot:
        stem, ending = ending, ""
    for number in _NUMBERED:
        yield f"{stem.replace('.', '')[:6]}~{number}{dot}{ending[:3]}"
