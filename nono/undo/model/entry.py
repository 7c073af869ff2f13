"""Define one file of a snapshot, and convert it from and to JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from nono.named_tuple import NamedTuple

TOO_LARGE: Mapping[str, str] = {
    "": ""
}  # in place of attributes too large to keep; no attribute has that name
FILE, DIRECTORY, LINK, OTHER = "f", "d", "l", "o"  # OTHER: a socket, FIFO or device, which is not kept


class Entry(NamedTuple):
    """One file, directory or link."""

    kind: str
    mode: int  # permission bits
    uid: int
    gid: int
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    links: int
    content: str | None  # SHA-256 of a file, target of a link; None: unreadable
    attributes: Mapping[str, str] = {}  # extended attributes, in base64, or TOO_LARGE
    is_sparse: bool = False
    # It changed so shortly before it was read that it may have changed again within the same tick of the file
    # system's clock: equal times then do not prove that it is unchanged.
    is_racy: bool = False

    def same_times(self, other: Entry) -> bool:
        """Return True if `other`, from a later look, shows that the file was not written since this one."""
        return not self.is_racy and self[:9] == other[:9]


def from_json(entries: Mapping[str, Sequence[Any]]) -> dict[str, Entry]:
    """Return entries from their JSON lists. Raises TypeError or ValueError."""
    if any(len(fields) != len(Entry._fields) for fields in entries.values()):
        raise ValueError("not an entry")
    # 50,000 of them: a Python call for each would take longer than reading them from the disk.
    made: Iterable[Entry] = map(partial(tuple.__new__, Entry), entries.values())
    return dict(zip(entries, made, strict=True))
