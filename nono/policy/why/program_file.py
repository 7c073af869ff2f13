"""Read from a program file which interpreter and which shared libraries it names."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from posixpath import dirname

from nono.named_tuple import NamedTuple

HEAD_BYTES = 256  # of a script's first line, as the kernel reads it (binfmt_script)
_NAME_BYTES_MAX = 4096
_SEGMENTS_MAX, _DYNAMIC_BYTES_MAX, _NEEDED_MAX = 64, 64 * 1024, 128
_SEARCHED_MAX = 16  # limits the lookups, library by directory: the command may have written the file
_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NEEDED, _DT_STRTAB, _DT_RPATH, _DT_RUNPATH = 1, 5, 15, 29
_MACHINES = {3: "i386", 8: "mips", 20: "ppc", 21: "ppc64le", 22: "s390x", 40: "arm", 62: "x86_64",
             183: "aarch64", 243: "riscv64"}  # fmt: skip

# Takes an offset and a size, and returns up to `size` bytes.
Read = Callable[[int, int], bytes]


class ProgramFile(NamedTuple):
    """The headers of a program file. See elf(5), and execve(2) about interpreters."""

    machine: str | None = None  # of an ELF program; None: a script, or neither
    interpreter: str | None = None
    ends_in_cr: bool = False  # its interpreter's name does, as in a file from Windows
    needed: tuple[str, ...] = ()  # names of shared libraries
    searched: tuple[str, ...] = ()  # directories that it names for them (DT_RUNPATH or DT_RPATH)

    @property
    def is_script(self) -> bool:
        return self.machine is None and self.interpreter is not None

    @property
    def is_neither(self) -> bool:
        return self.machine is None and self.interpreter is None


def parse(read: Read, path: str) -> ProgramFile:
    """Parse a file for a hint, leaving out parts that are not understood. path: Its path, for $ORIGIN."""
    head = read(0, HEAD_BYTES)
    if head.startswith(b"#!"):
        return _script(head)
    if not head.startswith(b"\x7fELF"):
        return ProgramFile()
    if head[5:6] != b"\x01":  # not little-endian, unlike all machines that nono supports
        return ProgramFile(
            f"machine {int.from_bytes(head[18:20], 'big')} (big-endian)" if head[5:6] == b"\x02" else None
        )
    try:
        return _elf(read, head, dirname(path))
    except (struct.error, OverflowError, ValueError):
        machine = int.from_bytes(head[18:20], "little")
        return ProgramFile(_MACHINES.get(machine, f"machine {machine}"))


def _script(head: bytes) -> ProgramFile:
    """Return the interpreter in the first line, with a trailing carriage return, as the kernel reads it."""
    line = head[2:].split(b"\n")[0].replace(b"\t", b" ").strip(b" ")
    interpreter = line.split(b" ")[0].split(b"\0")[0].decode("utf-8", "surrogateescape")
    return ProgramFile(None, interpreter or None, interpreter.endswith("\r"))


def _elf(read: Read, head: bytes, origin: str) -> ProgramFile:
    is_64 = head[4] == 2
    number = struct.unpack_from("<H", head, 18)[0]
    table, size, count = (
        struct.unpack_from("<Q", head, 32)[0] if is_64 else struct.unpack_from("<I", head, 28)[0],
        *struct.unpack_from("<HH", head, 54 if is_64 else 42),
    )
    segments = [_segment(read(table + at * size, size), is_64) for at in range(min(count, _SEGMENTS_MAX))]
    interpreter = next((_text(read, offset) for kind, offset, _, _ in segments if kind == _PT_INTERP), None)
    dynamic = next((each for each in segments if each[0] == _PT_DYNAMIC), None)
    entries = (
        [] if dynamic is None else [*_entries(read(dynamic[1], min(dynamic[3], _DYNAMIC_BYTES_MAX)), is_64)]
    )
    strings = next((_offset_of(value, segments) for tag, value in entries if tag == _DT_STRTAB), None)
    needed, searched = [], ""
    if strings is not None:
        needed = [_text(read, strings + value) for tag, value in entries if tag == _DT_NEEDED][:_NEEDED_MAX]
        places = {
            tag: _text(read, strings + value) for tag, value in entries if tag in (_DT_RPATH, _DT_RUNPATH)
        }
        searched = places.get(_DT_RUNPATH, places.get(_DT_RPATH, ""))
    parts = (part.replace("$ORIGIN", origin).replace("${ORIGIN}", origin) for part in searched.split(":"))
    return ProgramFile(
        _MACHINES.get(number, f"machine {number}"),
        interpreter,
        needed=tuple(name for name in needed if name and "/" not in name),
        searched=tuple(part for part in parts if part.startswith("/"))[:_SEARCHED_MAX],
    )


def _segment(header: bytes, is_64: bool) -> tuple[int, int, int, int]:
    """Return the type, offset, address and file size in a program header."""
    if is_64:
        kind, _, offset, address, _, size = struct.unpack_from("<IIQQQQ", header)
    else:
        kind, offset, address, _, size = struct.unpack_from("<IIIII", header)
    return kind, offset, address, size


def _entries(content: bytes, is_64: bool) -> Iterator[tuple[int, int]]:
    form = struct.Struct("<QQ" if is_64 else "<II")
    for at in range(0, len(content) - form.size + 1, form.size):
        tag, value = form.unpack_from(content, at)
        if tag == 0:
            return
        yield tag, value


def _offset_of(address: int, segments: list[tuple[int, int, int, int]]) -> int | None:
    for kind, offset, start, size in segments:
        if kind == _PT_LOAD and start <= address < start + size:
            return offset + address - start
    return None


def _text(read: Read, offset: int) -> str:
    return read(offset, _NAME_BYTES_MAX).split(b"\0")[0].decode("utf-8", "surrogateescape")
