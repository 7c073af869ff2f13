"""Cache validated profiles in a directory that no sandboxed process can read or write.

An entry is named by the digest of everything its content depends on: the files, this release with its code,
the host. A second start with the same profile imports no pydantic.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from posixpath import dirname, join

from nono import __version__, paths
from nono.digests import sha256
from nono.disk import json_text
from nono.disk.durable import unfinished
from nono.policy.document.found import Found
from nono.policy.document.when import Host
from nono.private_dir import open_private_dir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_ENTRIES = 64
MAX_ENTRY_BYTES = 4 * 1024 * 1024
_DIRECTORY = "profiles"

type Entry = dict[str, Any]


def key_of(found: Found, host: Host) -> str:
    """Return the name of a profile's entry."""
    digest = sha256()
    for part in (__version__, *code_stamp(dirname(dirname(__file__))), *host, *_files(found)):
        raw = part if isinstance(part, bytes) else repr(part).encode("utf-8", "surrogateescape")
        digest.update(len(raw).to_bytes(8) + raw)
    return digest.hexdigest()


def kept(key: str, environ: Mapping[str, str]) -> Entry | None:
    """Read the entry; None if it is missing, damaged or could have been written by anybody else."""
    try:
        directory = _directory(environ, create=False)
    except OSError:
        return None
    try:
        raw = _read(directory, key)
    except OSError:
        return None
    finally:
        os.close(directory)
    head, _, payload = raw.partition(b"\n")
    if head.decode("ascii", "replace") != sha256(payload).hexdigest():
        return None
    entry = json_text.parse(payload.decode())
    return entry if isinstance(entry, dict) else None


def keep(key: str, entry: Entry, environ: Mapping[str, str]) -> None:
    """Write the entry if possible; without it the next start is only slower."""
    payload = json_text.compact_ascii(entry).encode()
    if len(payload) > MAX_ENTRY_BYTES:
        return
    with suppress(OSError):
        directory = _directory(environ, create=True)
        try:
            _write(directory, key, sha256(payload).hexdigest().encode() + b"\n" + payload)
            _prune(directory)
        finally:
            os.close(directory)


def _directory(environ: Mapping[str, str], *, create: bool) -> int:
    """Open the directory of the entries. Raises OSError like open_private_dir()."""
    root = paths.state_root(environ)
    os.close(open_private_dir(root, create=create))  # it may be a link, which nothing else follows either
    return open_private_dir(join(root, _DIRECTORY), create=create)


def _files(found: Found) -> list[object]:
    """Flatten a tree of files into a list of each name, file, content and base keys."""
    listed = list[object]()
    for each in found.all():
        listed += (each.name, each.file, each.raw, [base.key for base in each.bases])
    return listed


def code_stamp(directory: str) -> list[tuple[str, int, int]]:
    """Identify this code by the path, size and mtime of its modules, because in a checkout it changes."""
    modules, folders = list[tuple[str, int, int]](), [directory]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.name.endswith(".py"):
                    status = entry.stat()
                    modules.append((entry.path.removeprefix(directory), status.st_size, status.st_mtime_ns))
                elif entry.is_dir() and entry.name != "__pycache__":
                    folders.append(entry.path)
    return sorted(modules)


def _read(directory: int, key: str) -> bytes:
    """Read an entry. Raises OSError if it is missing or not exclusively ours."""
    descriptor = os.open(key, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=directory)
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        is_ours = status.st_uid == os.geteuid() and not status.st_mode & 0o077
        if not (stat.S_ISREG(status.st_mode) and is_ours and status.st_nlink == 1):
            raise PermissionError
        return file.read(MAX_ENTRY_BYTES + 1024)


def _write(directory: int, key: str, raw: bytes) -> None:
    with unfinished(directory, key, syncs=False) as file:
        file.write(raw)


def _prune(directory: int) -> None:
    """Delete the oldest entries: each edit of a profile leaves one behind."""
    with os.scandir(directory) as entries:
        by_age = sorted((entry.stat(follow_symlinks=False).st_mtime_ns, entry.name) for entry in entries)
    for _, name in by_age[:-MAX_ENTRIES]:
        os.unlink(name, dir_fd=directory)
