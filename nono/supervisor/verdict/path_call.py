"""Name what a trapped call does with the paths in its arguments: registers in, values out."""

from __future__ import annotations

from nono.kernel.uapi import open as uapi
from nono.named_tuple import NamedTuple
from nono.str_enum import StrEnum
from nono.supervisor.verdict.syscall_args import signed


class Deed(StrEnum):
    """The effect of a call on the file that a path names, as far as Landlock checks it."""

    EXECUTED = "executed"
    TRUNCATED = "truncated"
    MADE = "made"  # nothing may exist there
    REMOVED = "removed"
    REPLACED = "replaced"  # by the file that is moved onto it
    LINKED = "linked"  # it gets another name


class PathUse(NamedTuple):
    """One path of a call."""

    directory: int  # a descriptor of the caller's, or AT_FDCWD
    address: int  # of the path in the caller's memory
    deed: Deed


OPENS = frozenset({"open", "creat", "openat", "openat2"})

# The argument positions of the directory descriptor (None: the current directory) and the path, and the
# effect.
_USES: dict[str, tuple[tuple[int | None, int, Deed], ...]] = {
    "execve": ((None, 0, Deed.EXECUTED),),
    "execveat": ((0, 1, Deed.EXECUTED),),
    "truncate": ((None, 0, Deed.TRUNCATED),),
    "mkdir": ((None, 0, Deed.MADE),),
    "mkdirat": ((0, 1, Deed.MADE),),
    "mknod": ((None, 0, Deed.MADE),),
    "mknodat": ((0, 1, Deed.MADE),),
    "symlink": ((None, 1, Deed.MADE),),
    "symlinkat": ((1, 2, Deed.MADE),),
    "rmdir": ((None, 0, Deed.REMOVED),),
    "unlink": ((None, 0, Deed.REMOVED),),
    "unlinkat": ((0, 1, Deed.REMOVED),),
    "rename": ((None, 0, Deed.REMOVED), (None, 1, Deed.REPLACED)),
    "renameat": ((0, 1, Deed.REMOVED), (2, 3, Deed.REPLACED)),
    "renameat2": ((0, 1, Deed.REMOVED), (2, 3, Deed.REPLACED)),
    "link": ((None, 0, Deed.LINKED), (None, 1, Deed.MADE)),
    "linkat": ((0, 1, Deed.LINKED), (2, 3, Deed.MADE)),
}
PATH_CALLS = OPENS | _USES.keys()


def uses_of(name: str, args: tuple[int, ...]) -> tuple[PathUse, ...]:
    """Return the paths of a call that does not open a file itself. Raises KeyError for another call."""
    return tuple(
        PathUse(uapi.AT_FDCWD if at is None else signed(args[at]), args[path], deed)
        for at, path, deed in _USES[name]
    )


def interpreter_of(head: bytes) -> bytes | None:
    """Return the program that the kernel executes for a script with these first bytes, or None."""
    if not head.startswith(b"#!"):
        return None
    words = head[2:].partition(b"\n")[0].split()
    return words[0] if words else None
