"""Import what a start needs from one file of bytecode, which stands for the .pyc files of those modules.

The file is a cache: what it lacks, or what has changed since, is imported as if there were none. The commands
of nono use it, not programs that import nono.
"""

from __future__ import annotations

import _imp
import marshal
import mmap
import os
import stat
import sys
import time
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import MAGIC_NUMBER, PathFinder, SourceFileLoader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import CodeType, ModuleType
    from typing import Any

# The second of the last change and the size, as in a .pyc file.
type Version = tuple[int, int]
# The path of the source, whether it is a package, its version, the code as marshal writes it.
type Module = tuple[str, bool, Version, bytes]
# Where the entry of each module begins and ends: its hash, then the Module as marshal writes it.
type Index = Mapping[str, tuple[int, int]]
# Each directory where modules are looked for, with its version. None: not looked at, or not there.
type SearchPath = list[tuple[str, Version | None]]

# The magic number of .pyc files and the length of the head; the head, with its hash; the entries.
_LENGTH_AT, _LENGTH_BYTES = 4, 8
_HEAD_AT = _LENGTH_AT + _LENGTH_BYTES
_HASH_BYTES = 8
_HASH_KEY = 0
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_SHARED_WRITE = 0o022
_PACKAGE = os.path.dirname(os.path.dirname(__file__))
_FEW = 10
# How long a file without modules is kept, which says that its writing has failed.
RETRIED_S = 86400
# What searched() was when install() was called.
_searched: list[str] = []


class Finder:
    """Finds the modules of the index; for any other, or one whose source has changed, PathFinder is asked.

    used, stale: How many modules were taken from the file, and how many had changed.
    """

    def __init__(self, index: Index, file: mmap.mmap, entries_at: int) -> None:
        self._index = index
        self._file = file
        self._entries = memoryview(file)[entries_at:]
        self.used = 0
        self.stale = 0

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        where = self._index.get(name)
        if where is None:
            return None
        module = _intact(self._entries[where[0] : where[1]])
        if module is None:
            self.stale += 1
            return None
        origin, is_package, written_for, code = module
        directory, _, file = origin.rpartition("/")
        found_in = directory.rpartition("/")[0] if is_package else directory
        if found_in not in (sys.path if path is None else path):
            return None
        if version(origin) != written_for:
            self.stale += 1
            return None
        self.used += 1
        spec = ModuleSpec(name, _Loader(name, origin, code), origin=origin, is_package=is_package)
        if spec.submodule_search_locations is not None:
            spec.submodule_search_locations.append(directory)
        spec.has_location = True
        spec.cached = f"{directory}/__pycache__/{file[:-3]}.{sys.implementation.cache_tag}.pyc"
        return spec

    def unload(self) -> None:
        self._file.madvise(mmap.MADV_DONTNEED)


class _Loader(SourceFileLoader):
    """Gives the code to the first import. Whatever else is asked of a loader is answered from the source."""

    def __init__(self, name: str, origin: str, code: bytes) -> None:
        self.name = name
        self.path = origin
        self._code: bytes | None = code

    def get_code(self, fullname: str) -> CodeType | None:
        code, self._code = self._code, None
        if code is None:
            return super().get_code(fullname)
        loaded: CodeType = marshal.loads(code)
        return loaded


def install() -> None:
    """Import from the file from now on, if there is one that was written for this very installation."""
    _searched.clear()
    _searched[:] = searched()
    if is_usual() and (finder := _finder()) is not None:
        sys.meta_path.insert(sys.meta_path.index(PathFinder), finder)


def unload() -> None:
    """Let go of the file's pages, for a process that waits. A later import reads them again."""
    for finder in sys.meta_path:
        if isinstance(finder, Finder):
            finder.unload()


def place() -> str:
    """Return the path of the file."""
    return f"{_PACKAGE}/__pycache__/start.{sys.implementation.cache_tag}.bytecode"


def is_usual() -> bool:
    """Return True if modules and bytecode are where Python and nono are installed.

    nono refuses a run that may write there. Any other directory, such as a project that is installed for
    editing, may be the working directory of a run.
    """
    installed_in = os.path.dirname(_PACKAGE)
    roots = tuple(f"{root}/" for root in (sys.prefix, sys.base_prefix, installed_in))
    entries = searched()
    return (
        installed_in in entries
        and all(f"{entry}/".startswith(roots) for entry in entries)
        and sys.pycache_prefix is None
        and sys.flags.optimize == 0
        and (sys.flags.ignore_environment == 1 or not os.environ.get("PYTHONPATH"))
        and PathFinder in sys.meta_path
    )


def is_wanting() -> bool:
    """Return True if install() found no file of use, or a tenth of what was imported had changed."""
    finders = [finder for finder in sys.meta_path if isinstance(finder, Finder)]
    return bool(_searched) and not any(finder.used >= finder.stale * _FEW for finder in finders)


def may_be_written() -> bool:
    """Return True if Python would write .pyc files here, which nobody else owns."""
    directory = os.path.dirname(place())
    try:
        owners = {os.stat(path).st_uid for path in (__file__, directory)}
    except OSError:
        return False
    is_own = owners == {os.geteuid()}
    return is_own and not sys.dont_write_bytecode and is_usual() and os.access(directory, os.W_OK)


def searched() -> list[str]:
    """Return sys.path as install() found it, without the script's own directory or the working one.

    A run takes out of sys.path what its command may write, but never what is_usual() asks for.
    """
    return _searched[:] or (sys.path[:] if sys.flags.safe_path else sys.path[1:])


def search_path() -> SearchPath:
    """Return where modules are looked for.

    The time tells of packages that were installed, upgraded or removed. A checkout has only nono in it.
    """
    checkout = os.path.dirname(_PACKAGE)
    installed = ("site-packages", "dist-packages")
    found: SearchPath = []
    for entry in searched():
        is_checkout = entry == checkout and os.path.basename(entry) not in installed
        found.append((entry, None if is_checkout else version(entry)))
    return found


def packed(path: SearchPath, modules: Mapping[str, Module]) -> bytes:
    """Return the content of a file with these modules, by name."""
    index: dict[str, tuple[int, int]] = {}
    entries = bytearray()
    for name, module in modules.items():
        start = len(entries)
        entries += _hashed(marshal.dumps(module))
        index[name] = (start, len(entries))
    head = _hashed(marshal.dumps((path, index)))
    return MAGIC_NUMBER + len(head).to_bytes(_LENGTH_BYTES, "little") + head + entries


def version(path: str) -> Version | None:
    """Return what tells a changed file or directory; None if it is not there."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return int(found.st_mtime), found.st_size


def _hashed(content: bytes) -> bytes:
    return _imp.source_hash(_HASH_KEY, content) + content


def _intact(hashed: memoryview) -> Any:
    """Return what marshal wrote; None if it is not what was written. Guards against accidents only."""
    content = hashed[_HASH_BYTES:]
    return marshal.loads(content) if _imp.source_hash(_HASH_KEY, content) == hashed[:_HASH_BYTES] else None


def _finder() -> Finder | None:
    """Return a finder for the file; None if there is none, or none to be trusted."""
    file = _mapped()
    if file is None or file[:_LENGTH_AT] != MAGIC_NUMBER:
        return None
    content = memoryview(file)
    end = _HEAD_AT + int.from_bytes(content[_LENGTH_AT:_HEAD_AT], "little")
    head = _intact(content[_HEAD_AT:end])
    if head is None or head[0] != search_path():
        return None
    written = version(place())
    if not head[1] and (written is None or written[0] + RETRIED_S < time.time()):
        return None
    return Finder(head[1], file, end)


def _mapped() -> mmap.mmap | None:
    """Map the file, so that runs share its pages. Returns None if somebody else owns it or may write it."""
    try:
        descriptor = os.open(place(), _OPEN)
    except OSError:
        return None
    try:
        found = os.fstat(descriptor)
        if (
            not stat.S_ISREG(found.st_mode)
            or found.st_mode & _SHARED_WRITE
            or found.st_uid != os.stat(__file__).st_uid
            or found.st_size < _HEAD_AT
        ):
            return None
        return mmap.mmap(descriptor, found.st_size, prot=mmap.PROT_READ)
    except OSError:
        return None
    finally:
        os.close(descriptor)
