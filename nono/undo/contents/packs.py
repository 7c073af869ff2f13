"""Store contents in packs: files to which compressed contents are appended, each with an index beside it.

50,000 small files need only one file written, and a later session reuses a pack with a single link(2).
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from enum import IntEnum
from functools import partial
from hashlib import sha256

from nono.disk import durable
from nono.disk.descriptor import write_all
from nono.named_tuple import NamedTuple

MAGIC = b"nono pack 1\n"
_RECORD = struct.Struct("<32sBQQQ")  # digest, codec, offset, stored bytes, bytes
_LEVEL = 1
_BUFFER_BYTES = 1 << 20
LARGE_BYTES = 1 << 20  # larger contents lie in separate files
FILE_BYTES_MAX = 1 << 30  # snapshots of a million files take a quarter of it
PACK, INDEX = ".pack", ".idx"
FILES = ".files"  # the index of contents in separate files


class Codec(IntEnum):
    """How a content is stored."""

    RAW = 0
    ZSTD = 1
    FILE = 2  # in a separate file
    ZSTD_FILE = 3


class Place(NamedTuple):
    """The location of a content."""

    pack: str  # "": in a separate file
    codec: int
    offset: int
    stored_bytes: int
    size: int


class Compressor:
    """Compresses contents one after another; for one thread."""

    def __init__(self) -> None:
        # Imported here and below: most commands only read what is kept.
        from nono.undo.contents.zstandard import zstd

        self._zstd = zstd.ZstdCompressor(level=_LEVEL)

    def compressed(self, content: bytes) -> tuple[int, bytes]:
        """Return the codec and the bytes to store."""
        if len(content) < 64:
            return Codec.RAW, content
        packed = self._zstd.compress(content, self._zstd.FLUSH_FRAME)
        return (Codec.ZSTD, packed) if len(packed) < len(content) else (Codec.RAW, content)


def decompressed(codec: int, stored: bytes) -> bytes:
    """Return the content. Raises ValueError."""
    if codec in (Codec.RAW, Codec.FILE):
        return stored
    from nono.undo.contents.zstandard import zstd

    decompressor = zstd.ZstdDecompressor()
    try:
        content = decompressor.decompress(stored, LARGE_BYTES + 1)
    except zstd.ZstdError as error:
        raise ValueError(str(error)) from error
    if not decompressor.eof:
        raise ValueError("a content in a pack is cut, or too large")
    return content


class PackWriter:
    """A pack being written. Not thread-safe."""

    def __init__(self, directory: int, name: str) -> None:
        """Create the pack in a directory, which the caller keeps open. Raises OSError."""
        self.name = name
        self._directory = directory
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        self._file = os.open(name + PACK, flags, 0o600, dir_fd=directory)
        self._parts: list[bytes] = [MAGIC]
        self._buffered = self._offset = len(MAGIC)
        self._records: list[bytes] = []
        self._files: list[bytes] = []

    def add(self, digest: bytes, codec: int, stored: bytes, size: int) -> Place:
        """Append one content. Raises OSError."""
        place = Place(self.name, codec, self._offset, len(stored), size)
        self._records.append(_RECORD.pack(digest, *place[1:]))
        self._parts.append(stored)
        self._offset += len(stored)
        self._buffered += len(stored)
        if self._buffered >= _BUFFER_BYTES:
            self._flush()
        return place

    def note(self, digest: bytes, place: Place) -> None:
        """Add a content that is stored in a separate file."""
        self._files.append(_RECORD.pack(digest, *place[1:]))

    def _flush(self) -> None:
        write_all(self._file, b"".join(self._parts))
        self._parts, self._buffered = [], 0

    def finish(self) -> None:
        """Write the rest and the index, synced, and close the pack. Raises OSError."""
        try:
            self._flush()
            os.fdatasync(self._file)
        finally:
            os.close(self._file)
        if self._files:
            durable.write(self._directory, self.name + FILES, _with_digest(self._files))
        durable.write(self._directory, self.name + INDEX, _with_digest(self._records))

    def discard(self) -> None:
        os.close(self._file)
        os.unlink(self.name + PACK, dir_fd=self._directory)


def _with_digest(records: list[bytes]) -> bytes:
    body = b"".join(records)
    return body + sha256(body).digest()


def read_index(directory: int, file_name: str) -> dict[bytes, Place]:
    """Return the place of each content in an index. Raises OSError or ValueError."""
    content = read_file(directory, file_name)
    body, digest = content[:-32], content[-32:]
    if sha256(body).digest() != digest or len(body) % _RECORD.size:
        raise ValueError(f"{file_name} is damaged")
    pack = file_name.removesuffix(INDEX) if file_name.endswith(INDEX) else ""
    # 50,000 of them, as in model.entry.
    made = partial(tuple.__new__, Place)
    return {record[0]: made((pack, *record[1:])) for record in _RECORD.iter_unpack(body)}


def read_file(directory: int, name: str, max_bytes: int = FILE_BYTES_MAX) -> bytes:
    """Return the content of a file. Raises OSError, also if it is not a regular one, or larger."""
    with open(open_file(directory, name), "rb") as file:
        if os.fstat(file.fileno()).st_size > max_bytes:
            raise OSError(errno.EFBIG, f"larger than {max_bytes} bytes", name)
        return file.read()


def open_file(directory: int, name: str) -> int:
    """Open a regular file for reading; the caller closes it. Raises OSError, also if it is not one.

    A command that may write where --rollback-dest leads can put anything there.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    file = os.open(name, flags, dir_fd=directory)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.EINVAL, "not a regular file", name)
    return file
