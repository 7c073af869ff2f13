"""Find submodules and empty files in the index of a git repository (gitformat-index(5)).

`git status` runs git in each submodule, and there what the settings of that repository name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

_GITLINK = b"\0\0\xe0\0"  # the mode that git writes; of another it looks at the type alone
_DIRECTORY = b"\0\0\x40\0"  # of a directory whose files are in the object of its tree alone
_TYPE, _TYPE_AT, _REGULAR = 0xF0, 2, 0x80  # of the third byte of a mode
_ENTRIES_AT, _ALIGNMENT = 12, 8  # of the entries before version 4
_COMPRESSED = b"\0\0\0\4"  # the version in which a name is without what it has in common with the one before
_MODE_AT, _HASH_AT = 24, 40  # in an entry
_HASHES = (20, 32)  # bytes of SHA-1 and SHA-256; the index does not say which
_EXTENDED, _LENGTH = 0x4000, 0xFFF  # in the flags of an entry
_EMPTY = (  # the hashes of a file without content, SHA-1 and SHA-256
    bytes.fromhex("e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"),
    bytes.fromhex("473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813"),
)
_NAME_MAX = 4096  # of a path (PATH_MAX)
_SPARSE = b"sdir"  # an extension: the index may have directories
_SPLIT = b"link\0\0"  # an extension of less than 64 KiB
_TABLE, _TABLE_VERSION = b"IEOT", b"\0\0\0\1"  # another: where each thread of git begins to read
_ENTRY_MIN = 62  # bytes
# Times the length of an index. Its blocks, one for each processor, do not overlap, but each may be read
# to the end if it is walked with the wrong size of hashes.
_READ_MAX = 64
_PLACES_MAX = 250_000  # in an index, of octets that may be part of an entry; a look of less than a second
_NAMES_MAX, _NAMES_BYTES_MAX = 4 * _PLACES_MAX, 64 << 20  # that are found, most of which are none
_VARINT_MAX = 1 << 57  # beyond, another seven bits overflow what git reads


def gitlinks_of(content: bytes, *, every_mode: bool) -> Iterator[bytes]:
    """Yield the paths of submodules, and perhaps others. b"" in a split index: it may be in another file.

    every_mode: Also find those that only a program other than git can have written. 60 ms for 100 000 files.
    Raises ValueError if the blocks have more entries than the index, or overlap, or if there are too many
    submodules to look at: no git has written it.
    """
    yield from _bounded(_entries_of(content, _GITLINK, every_mode=every_mode))


def sparse_of(content: bytes) -> Iterator[bytes]:
    """Yield what the paths begin with that git finds in a tree, submodules among them, and perhaps others.

    It ends with a slash if git wrote it. Raises ValueError as gitlinks_of() does.
    """
    if _SPARSE in content:
        yield from _bounded(_entries_of(content, _DIRECTORY, every_mode=False))


def _bounded(names: Iterable[bytes]) -> Iterator[bytes]:
    left, left_bytes = _NAMES_MAX, _NAMES_BYTES_MAX
    for name in names:
        left, left_bytes = left - 1, left_bytes - len(name)
        if left < 0 or left_bytes < 0:
            raise ValueError("too many names")
        yield name


def _entries_of(content: bytes, mode: bytes, *, every_mode: bool) -> Iterator[bytes]:
    if content[:4] != b"DIRC":
        return
    found = content.find(mode)
    if found < 0 and not every_mode:
        return
    version = int.from_bytes(content[4:8])
    blocks = _blocks(content)
    if version == 4 or every_mode:
        for hash_bytes in _HASHES:
            walked = _walked(content, version, hash_bytes, blocks, mode[_TYPE_AT])
            yield from (name for _, name in walked)
    if version == 4:
        return
    if content.count(mode) > _PLACES_MAX:
        raise ValueError("a mode at too many places")
    while found >= 0:
        # Numbers of inodes, times and hashes have these bytes too, mostly elsewhere. A block begins anywhere.
        if len(blocks) > 1 or (found - _MODE_AT - _ENTRIES_AT) % _ALIGNMENT == 0:
            for hash_bytes in _HASHES:
                yield from _names(content, found - _MODE_AT + _HASH_AT + hash_bytes)
        found = content.find(mode, found + 1)


def empty_among(content: bytes, names: Collection[bytes]) -> set[bytes]:
    """Return the names whose file is in the index without content, if not too many are."""
    found = set[bytes]()
    if content[4:8] == _COMPRESSED:
        count = int.from_bytes(content[8:12])
        for each in _EMPTY:
            if each in content:  # otherwise nobody waits for the walk
                walked = _walked(content, 4, len(each), [(_ENTRIES_AT, count)], _REGULAR)
                found |= {
                    name for at, name in walked if name in names and content.startswith(each, at + _HASH_AT)
                }
        return found
    for hash_of_nothing in _EMPTY:
        at = content.find(hash_of_nothing)
        if content.count(hash_of_nothing) > _PLACES_MAX:
            continue
        while at >= 0:
            flags_at = at + len(hash_of_nothing)
            flags = int.from_bytes(content[flags_at : flags_at + 2])
            start = flags_at + (4 if flags & _EXTENDED else 2)
            end = content.find(b"\0", start, start + _NAME_MAX)
            # A command may have written the index: no name is kept that nobody asked for.
            if end >= 0 and (name := content[start:end]) in names:
                found.add(name)
            at = content.find(hash_of_nothing, at + 1)
    return found


def is_split(content: bytes) -> bool:
    """Check whether other files, called sharedindex.HASH, may hold entries of this index."""
    return _SPLIT in content


def _names(content: bytes, at: int) -> Iterator[bytes]:
    """Yield the name behind the flags at `at`, as far as these and as far as the next NUL."""
    flags = int.from_bytes(content[at : at + 2])
    start = at + (4 if flags & _EXTENDED else 2)
    end = content.find(b"\0", start, start + _NAME_MAX)
    length = flags & _LENGTH
    if end >= 0:
        yield content[start:end]
    if length not in (_LENGTH, end - start):
        yield content[start : start + length]


def _blocks(content: bytes) -> list[tuple[int, int]]:
    """Return where git may begin to read entries, and how many it reads from there."""
    count = int.from_bytes(content[8:12])
    most = min(count, len(content) // _ENTRY_MIN)
    found: list[tuple[int, int]] = [(_ENTRIES_AT, count)]
    at = content.find(_TABLE)
    while at >= 0:
        start, size = at + 12, int.from_bytes(content[at + 4 : at + 8])
        if content[at + 8 : start] == _TABLE_VERSION:
            places = range(start, min(at + 8 + size, len(content)) - 7, 8)
            if len(found) + len(places) > most + 1:
                raise ValueError("more blocks than entries")
            found += [
                (int.from_bytes(content[place : place + 4]), int.from_bytes(content[place + 4 : place + 8]))
                for place in places
            ]
        at = content.find(_TABLE, at + 1)
    if sum(each for _, each in found[1:]) > most:
        raise ValueError("more entries in blocks than in the index")
    return found


def _walked(
    content: bytes, version: int, hash_bytes: int, blocks: Iterable[tuple[int, int]], of_type: int
) -> Iterator[tuple[int, bytes]]:
    """Yield where each of a type begins, and its name, in blocks: a place and how many entries follow."""
    left = _READ_MAX * len(content)
    for at, count in blocks:
        previous, size = b"", 0  # of the name before, no more than a path may have, and its true size
        for _ in range(count):
            flags_at = at + _HASH_AT + hash_bytes
            if flags_at + 2 > len(content):
                break
            entry_at, is_wanted = at, content[at + _MODE_AT + _TYPE_AT] & _TYPE == of_type
            flags = content[flags_at] << 8 | content[flags_at + 1]
            begins = start = flags_at + (4 if flags & _EXTENDED else 2)
            length = flags & _LENGTH
            dropped = 0
            if version == 4:  # the name without what it has in common with the one before
                dropped, start = _varint(content, start)
            end = content.find(b"\0", start) if version == 4 or length == _LENGTH else start + length
            left -= (len(content) if end < 0 else end) - begins
            if left < 0:
                raise ValueError("blocks that overlap")
            if end < 0:
                break
            if version == 4:
                common = max(size - dropped, 0)
                if common < _NAME_MAX:
                    previous = previous[:common] + content[start : min(end, start + _NAME_MAX - common)]
                at, size = end + 1, common + end - start
                if is_wanted and size <= _NAME_MAX:
                    yield entry_at, previous
            else:
                if is_wanted:
                    yield from ((entry_at, name) for name in _names(content, flags_at))
                at += end + 8 - at & ~7


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """Decode git's offset encoding (varint.c). Returns the value and where it ends.

    It is 0 and ends where it begins if it does not fit git's 64 bits.
    """
    value, begins = -1, at
    while at < len(content):
        byte = content[at]
        value, at = (value + 1) << 7 | byte & 0x7F, at + 1
        if not byte & 0x80:
            break
        if value + 1 >= _VARINT_MAX:
            return 0, begins
    return max(value, 0), at
