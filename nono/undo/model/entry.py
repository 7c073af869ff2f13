"""One file of a snapshot, from and to JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nono.named_tuple import NamedTuple

FILE, DIRECTORY, LINK, OTHER = "f", "d", "l", "o"  # OTHER: a socket, FIFO or device, which cannot be kept


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
    content: str | None  # SHA-256 of a file, target of a link; None: it could not be read
    attributes: Mapping[str, str] = {}  # extended ones, in base64
    is_sparse: bool = False
    # It changed so shortly before it was read that it may have changed again within the same tick of the
    # file system's clock: the same times do not say that it is the same.
    is_racy: bool = False

    def same_times(self, other: Entry) -> bool:
        """Return True if `other`, of a later look, shows that the file was not written since this one."""
        return not self.is_racy and self[:9] == other[:9]


def to_json(entry: Entry) -> list[Any]:
    return list(entry)


def from_json(fields: object) -> Entry:
    """Invert to_json(). Raises ValueError."""
    if not isinstance(fields, list) or len(fields) != len(Entry._fields):
        raise ValueError(f"not an entry: {fields!r}")
    kind, *numbers = fields[:9]
    content, attributes = fields[9:11]
    is_sound = (
        kind in (FILE, DIRECTORY, LINK, OTHER)
        and all(type(number) is int for number in numbers)
        and (content is None or type(content) is str)
        and type(attributes) is dict
        and all(type(each) is bool for each in fields[11:])
    )
    if not is_sound or (kind == FILE and content is not None and not is_digest(content)):
        raise ValueError(f"not an entry: {fields!r}")
    return Entry(*fields)


def is_digest(text: str) -> bool:
    return len(text) == 64 and set(text) <= set("0123456789abcdef")
