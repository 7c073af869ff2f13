"""Inspect a program from outside the sandbox: its file, its interpreters and the libraries it names."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from posixpath import join

from nono.policy.host_filesystem import HostFilesystem
from nono.policy.why.program_file import ProgramFile, parse
from nono.policy.why.starting import Part

_DEPTH = 4  # how many levels of interpreters the kernel follows (exec_binprm)
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def parts_of(program: str, fs: HostFilesystem) -> list[Part]:
    """Return the program and its interpreters.

    fs: Says where an interpreter is not looked for, as a command may have written the file that names it.
    """
    parts = [_part(program)]
    while (interpreter := parts[-1].file.interpreter) is not None and len(parts) <= _DEPTH:
        parts.append(_absent(interpreter) if fs.would_ask(interpreter) else _part(interpreter))
    return parts


def needs_of(program: str, environ: Mapping[str, str], fs: HostFilesystem) -> Iterator[str]:
    """Yield the interpreters of a program, and its libraries outside the system's directories.

    Yields only executable files and libraries, because a program written by somebody else may name any file.
    """
    parts = parts_of(program, fs)
    yield from (str(each.path) for each in parts[1:] if each.is_executable)
    for part in parts:
        places = (*environ.get("LD_LIBRARY_PATH", "").split(":"), *part.file.searched)
        for name in part.file.needed:
            found = (join(place, name) for place in places if place.startswith("/"))
            there = (each for each in found if not fs.would_ask(each))
            path = next((each for each in there if _file(each).machine is not None), None)
            if path is not None:
                yield path


def _part(name: str) -> Part:
    try:
        path = os.path.realpath(name, strict=True)
        is_regular = stat.S_ISREG(os.stat(path).st_mode)
        is_noexec = bool(os.statvfs(path).f_flag & os.ST_NOEXEC)
    except (OSError, ValueError) as error:
        return _absent(name, is_closed=isinstance(error, PermissionError))
    return Part(name, path, is_regular and os.access(path, os.X_OK), is_noexec, _file(path))


def _absent(name: str, *, is_closed: bool = False) -> Part:
    return Part(name, None, False, False, ProgramFile(), is_closed)


def _file(path: str) -> ProgramFile:
    """Parse a file. Returns an empty ProgramFile if it cannot be read."""
    try:
        fd = os.open(path, _READ)
    except (OSError, ValueError):
        return ProgramFile()
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return ProgramFile()
        return parse(lambda offset, size: _read_at(fd, offset, size), path)
    finally:
        os.close(fd)


def _read_at(fd: int, offset: int, size: int) -> bytes:
    try:
        return os.pread(fd, size, offset)
    except (OSError, OverflowError):
        return b""
