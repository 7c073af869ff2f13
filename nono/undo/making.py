"""Make a file as undo has kept it: fill it, set its metadata, and give it its name."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from base64 import b64decode
from collections.abc import Iterable, Mapping

from nono.disk.descriptor import write_all
from nono.kernel.libc import syscall, syscall_number
from nono.kernel.uapi.rename import RENAME_EXCHANGE, RENAME_NOREPLACE
from nono.undo.model.entry import TOO_LARGE, Entry

_BLOCK_BYTES = 4096


def fill(file: int, content: Iterable[bytes], was: Entry) -> None:
    """Write the content of `was` into an empty file, with holes where it had some.

    Raises OSError, and what `content` raises; the file is then filled in part.
    """
    write = _write_sparse if was.is_sparse else write_all
    for chunk in content:
        write(file, chunk)
    os.ftruncate(file, was.size)


def set_metadata(file: int, was: Entry) -> None:
    """Set owner, attributes, mode and times of an open file, in an order in which none undoes another."""
    status, mode = os.fstat(file), was.mode
    if (status.st_uid, status.st_gid) != (was.uid, was.gid):
        try:
            os.fchown(file, was.uid, was.gid)
        except PermissionError:  # the verification afterwards reports it
            # Otherwise a file that ran with its owner's rights would run with those of the restoring user.
            mode &= ~(stat.S_ISUID | stat.S_ISGID)
    if was.attributes != TOO_LARGE:
        _set_attributes(file, was.attributes)
    os.fchmod(file, mode)
    os.utime(file, ns=(was.mtime_ns, was.mtime_ns))


def exchange(parent: int, temporary: str, name: str) -> bool:
    """Exchange two names; False if the file system does not support it."""
    try:
        _rename_at(parent, temporary, parent, name, RENAME_EXCHANGE)
        return True
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS):
            raise
        return False


def place(parent: int, temporary: str, name: str) -> None:
    """Give a file its name, which must still be free. Raises OSError, EEXIST if it is not."""
    try:
        try:
            _rename_at(parent, temporary, parent, name, RENAME_NOREPLACE)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOSYS):
                raise
            os.link(temporary, name, src_dir_fd=parent, dst_dir_fd=parent, follow_symlinks=False)
            os.unlink(temporary, dir_fd=parent)
    except FileExistsError as error:
        raise OSError(errno.EEXIST, "something was made there during the restore") from error


def _rename_at(source: int, old: str, target: int, new: str, flags: int) -> None:
    """Rename `old` in the directory `source` to `new` in `target`. Raises OSError.

    EEXIST: With RENAME_NOREPLACE, `new` exists.
    ENOENT: With RENAME_EXCHANGE, one of them is missing.
    EINVAL: The file system does not support it.
    """
    names = [ctypes.create_string_buffer(os.fsencode(name)) for name in (old, new)]
    first, second = map(ctypes.addressof, names)
    syscall(syscall_number("renameat2"), source, first, target, second, flags, tried=f"renameat2({new})")


def _set_attributes(file: int, wanted: Mapping[str, str]) -> None:
    present = {name for name in _names(file) if not name.startswith("security.")}
    for name in present - wanted.keys():
        os.removexattr(file, name)
    for name, value in wanted.items():
        content = b64decode(value)
        if name not in present or os.getxattr(file, name) != content:
            os.setxattr(file, name, content)


def _names(file: int) -> list[str]:
    try:
        return os.listxattr(file)
    except OSError:
        return []


def _write_sparse(file: int, content: bytes) -> None:
    """Write a content, seeking over blocks of zeroes."""
    zeroes = bytes(_BLOCK_BYTES)
    for start in range(0, len(content), _BLOCK_BYTES):
        block = content[start : start + _BLOCK_BYTES]
        if block == zeroes[: len(block)]:
            os.lseek(file, len(block), os.SEEK_CUR)
        else:
            write_all(file, block)
