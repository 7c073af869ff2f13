"""Store the contents of one session by digest: in packs, or large ones in separate files."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from hashlib import sha256

from nono.disk.descriptor import DIRECTORY_FLAGS, write_all
from nono.undo.contents.packs import (
    FILES,
    INDEX,
    LARGE_BYTES,
    MAGIC,
    PACK,
    Codec,
    Compressor,
    PackWriter,
    Place,
    decompressed,
    open_file,
    read_index,
)

_FICLONE = 0x40049409  # <linux/fs.h>: _IOW(0x94, 9, int)
CHUNK_BYTES = 1 << 20
SMALL_PACK_BYTES = 1 << 18  # smaller packs are copied, not linked, so that packs stay few
_OBJECTS = "objects"
_NO_REFLINK = (errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.EPERM)


class QuotaError(OSError):
    """The store would exceed its quota."""

    def __init__(self) -> None:
        super().__init__(errno.EDQUOT, "the store of undo is full")
        self.path, self.size = "", 0  # in a walk: the file that did not fit


class Store:
    """The contents of one session. Adding is thread-safe between begin() and commit()."""

    def __init__(self, directory: int, budget_bytes: int = 0) -> None:
        """directory: An open directory, which the caller closes. Raises OSError or ValueError."""
        self.directory = directory
        self.left_bytes = budget_bytes
        self._lock = threading.Lock()
        self._local = threading.local()
        self._places: dict[bytes, Place]
        self._indexes: set[str]  # the existing packs
        self._packs: dict[str, int] = {}
        self._writer: PackWriter | None = None
        self._can_clone = True
        self._read_indexes()
        self._at_begin = (budget_bytes, set(self._places))

    def _read_indexes(self) -> None:
        self._places, self._indexes = {}, set()
        for name in sorted(os.listdir(self.directory)):
            if name.endswith((INDEX, FILES)):
                self._indexes.add(name.removesuffix(INDEX))
                self._places |= read_index(self.directory, name)

    def close(self) -> None:
        for file in self._packs.values():
            os.close(file)
        self._packs.clear()

    def has(self, digest: str) -> bool:
        return bytes.fromhex(digest) in self._places

    def has_pack(self, name: str) -> bool:
        return name in self._indexes

    def begin(self, name: str) -> None:
        """Begin a pack. Raises OSError or ValueError."""
        self._drop(name)
        self._at_begin = (self.left_bytes, set(self._places))
        self._writer = PackWriter(self.directory, name)

    def _drop(self, name: str) -> None:
        """Drop a pack without a snapshot: the process was killed before writing that, or the disk full."""
        is_left = False
        for suffix in (INDEX, FILES, PACK):  # the pack last: an index must not name what is gone
            with suppress(FileNotFoundError):
                os.unlink(name + suffix, dir_fd=self.directory)
                is_left = True
        if is_left:
            self._read_indexes()

    def commit(self) -> None:
        """Sync everything added since begin(). Raises OSError; nothing of it is kept then."""
        writer, self._writer = self._writer, None
        assert writer is not None  # begin() was called
        try:
            writer.finish()
        except BaseException:
            self._forget()
            raise

    def abandon(self) -> None:
        """Drop everything added since begin(), also what was committed: its snapshot cannot be written."""
        if self._writer is not None:
            self._writer.discard()
            self._writer = None
        self._forget()

    def _forget(self) -> None:
        self.left_bytes, known = self._at_begin
        self._places = {digest: place for digest, place in self._places.items() if digest in known}

    def add(self, content: bytes) -> str:
        """Keep a small content. Returns its digest. Raises OSError, including QuotaError."""
        digest = sha256(content).digest()
        if digest in self._places:
            return digest.hex()
        try:
            compressor = self._local.compressor
        except AttributeError:
            compressor = self._local.compressor = Compressor()
        codec, stored = compressor.compressed(content)
        with self._lock:
            if digest not in self._places:
                self._spend(len(stored))
                assert self._writer is not None  # begin() was called
                self._places[digest] = self._writer.add(digest, codec, stored, len(content))
        return digest.hex()

    def add_file(self, file: int, is_unchanged: Callable[[], bool]) -> str | None:
        """Keep the content of an open file, streamed. Returns its digest; None: it changed meanwhile.

        Raises OSError, including QuotaError.
        """
        temporary = f".{threading.get_ident()}.tmp"
        with suppress(FileExistsError):
            os.mkdir(_OBJECTS, 0o700, dir_fd=self.directory)
        objects = os.open(_OBJECTS, DIRECTORY_FLAGS, dir_fd=self.directory)
        try:
            return self._add_file(file, is_unchanged, objects, temporary)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=objects)
            os.close(objects)

    def _add_file(
        self, file: int, is_unchanged: Callable[[], bool], objects: int, temporary: str
    ) -> str | None:
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        copy = os.open(temporary, flags, 0o600, dir_fd=objects)
        try:
            if self._cloned(file, copy):
                codec, digest, size = Codec.FILE, *_digested(copy)
            else:
                codec, digest, size = Codec.ZSTD_FILE, *self._compress(file, copy)
            stored = os.fstat(copy).st_size
            is_whole = is_unchanged()
            if not is_whole or digest in self._places:
                if codec == Codec.ZSTD_FILE:  # a clone takes no space, and was not charged
                    with self._lock:
                        self.left_bytes += stored
                return digest.hex() if is_whole else None
            os.fdatasync(copy)
        finally:
            os.close(copy)
        name = digest.hex()
        with suppress(FileExistsError):
            os.mkdir(name[:2], 0o700, dir_fd=objects)
        os.rename(temporary, f"{name[:2]}/{name[2:]}", src_dir_fd=objects, dst_dir_fd=objects)
        place = Place("", codec, 0, stored, size)
        with self._lock:
            assert self._writer is not None  # begin() was called
            self._writer.note(digest, place)
            self._places[digest] = place
        return name

    def _cloned(self, file: int, copy: int) -> bool:
        """Share the blocks of a file with its copy, if the file system supports it."""
        if not self._can_clone:
            return False
        try:
            fcntl.ioctl(copy, _FICLONE, file)
            return True
        except OSError as error:
            if error.errno not in _NO_REFLINK:
                raise
            self._can_clone = False
            return False

    def _compress(self, file: int, copy: int) -> tuple[bytes, int]:
        # Imported here and below: most commands only read what is kept.
        from nono.undo.contents.zstandard import zstd

        digest, compressor, size = sha256(), zstd.ZstdCompressor(level=1), 0
        os.lseek(file, 0, os.SEEK_SET)
        while chunk := os.read(file, CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
            self._write(copy, compressor.compress(chunk))
        self._write(copy, compressor.flush())
        return digest.digest(), size

    def _write(self, copy: int, content: bytes) -> None:
        with self._lock:
            self._spend(len(content))
        write_all(copy, content)

    def give_up(self) -> None:
        """Make every thread that still reads for this store fail with QuotaError: nothing more is kept."""
        with self._lock:
            self.left_bytes = -1

    def _spend(self, count: int) -> None:
        if self.left_bytes < count:
            raise QuotaError
        self.left_bytes -= count

    def chunks(self, digest: str) -> Iterator[bytes]:
        """Yield a content in pieces.

        Raises OSError, ValueError if it is damaged, KeyError if it is not kept.
        """
        expected = bytes.fromhex(digest)
        place, found = self._places[expected], sha256()
        for chunk in self._chunks(digest, place):
            found.update(chunk)
            yield chunk
        if found.digest() != expected:
            raise ValueError(f"the kept content {digest} is damaged")

    def content(self, digest: str) -> bytes:
        """Return a whole content. Raises like chunks()."""
        return b"".join(self.chunks(digest))

    def _chunks(self, digest: str, place: Place) -> Iterator[bytes]:
        if place.pack:
            yield decompressed(place.codec, self._stored(place))
            return
        with open(open_file(self.directory, f"{_OBJECTS}/{digest[:2]}/{digest[2:]}"), "rb") as file:
            if place.codec == Codec.FILE:
                while chunk := file.read(CHUNK_BYTES):
                    yield chunk
                return
            from nono.undo.contents.zstandard import zstd

            try:
                with zstd.open(file, "rb") as plain:
                    while chunk := plain.read(CHUNK_BYTES):
                        yield chunk
            except (zstd.ZstdError, EOFError) as error:
                raise ValueError(f"the kept content {digest} is damaged: {error}") from error

    def _stored(self, place: Place) -> bytes:
        """Read a content from its pack. Raises OSError, or ValueError if it cannot be there."""
        pack = self._pack(place.pack)
        end = place.offset + place.stored_bytes
        if place.stored_bytes > LARGE_BYTES or end > os.fstat(pack).st_size:
            raise ValueError(f"{place.pack}{PACK} is cut, or its index damaged")
        return os.pread(pack, place.stored_bytes, place.offset)

    def _pack(self, name: str) -> int:
        with self._lock:
            if name not in self._packs:
                file = self._packs[name] = open_file(self.directory, name + PACK)
                if os.pread(file, len(MAGIC), 0) != MAGIC:
                    raise ValueError(f"{name}{PACK} is not a pack")
            return self._packs[name]

    def inherit(self, other: Store, owner: str, digests: Iterable[str]) -> None:
        """Reuse contents of an earlier session's store, by hard links to its packs and files.

        owner: The id of that session, which names the packs here. Raises OSError, or ValueError if one
        is cut.
        """
        wanted: dict[str, list[bytes]] = {}
        for digest in digests:
            key = bytes.fromhex(digest)
            place = other._places.get(key)
            if place is None or key in self._places:
                continue
            if place.pack:
                wanted.setdefault(place.pack, []).append(key)
            else:
                self._link_file(other, digest, place.stored_bytes)
                assert self._writer is not None  # begin() was called
                self._writer.note(key, place)
                self._places[key] = place
        for pack, keys in wanted.items():
            size = os.fstat(other._pack(pack)).st_size
            if max(other._places[key].offset + other._places[key].stored_bytes for key in keys) > size:
                raise ValueError(f"{pack}{PACK} is cut")
            if size < SMALL_PACK_BYTES or 2 * sum(other._places[key].stored_bytes for key in keys) < size:
                self._copy(other, keys)
                continue
            name = pack if "-" in pack else f"{owner}-{pack}"
            for suffix in (PACK, INDEX):
                os.link(pack + suffix, name + suffix, src_dir_fd=other.directory, dst_dir_fd=self.directory)
            moved = partial(tuple.__new__, Place)
            self._places |= {
                key: moved((name, *place[1:])) for key, place in other._places.items() if place.pack == pack
            }

    def _copy(self, other: Store, keys: Iterable[bytes]) -> None:
        """Copy contents as stored, from packs that are small or of which most is not needed."""
        assert self._writer is not None  # begin() was called
        for key in keys:
            place = other._places[key]
            if key not in self._places:
                self._places[key] = self._writer.add(key, place.codec, other._stored(place), place.size)

    def _link_file(self, other: Store, digest: str, stored_bytes: int) -> None:
        for directory in (_OBJECTS, f"{_OBJECTS}/{digest[:2]}"):
            with suppress(FileExistsError):
                os.mkdir(directory, 0o700, dir_fd=self.directory)
        path = f"{_OBJECTS}/{digest[:2]}/{digest[2:]}"
        if os.stat(path, dir_fd=other.directory, follow_symlinks=False).st_size != stored_bytes:
            raise ValueError(f"{path} is cut")
        os.link(path, path, src_dir_fd=other.directory, dst_dir_fd=self.directory)


def _digested(file: int) -> tuple[bytes, int]:
    digest, size = sha256(), 0
    os.lseek(file, 0, os.SEEK_SET)
    while chunk := os.read(file, CHUNK_BYTES):
        digest.update(chunk)
        size += len(chunk)
    return digest.digest(), size
