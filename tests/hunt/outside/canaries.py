"""The user's files that a command has no grant for, and what happens to them (inotify(7))."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

libc = ctypes.CDLL(None, use_errno=True)
INOTIFY_MASK = 0xFFF & ~0x10  # all but the closing of what was read
OLD_NS = 10**18


def make_files(home: Path, secret: str) -> dict[str, Path]:
    folder, temporary = home / "canary", Path("/tmp/hunt-canary")
    for directory in (folder, folder / "inner", temporary, home / ".ssh"):
        directory.mkdir(mode=0o700)
    paths = {
        "secret": folder / "secret",
        "inner": folder / "inner/secret",
        "temporary": temporary / "secret",
        "key": home / ".ssh/id_ed25519",
        "shared": Path("/dev/shm/hunt-canary"),
    }
    for path in paths.values():
        path.write_text(secret)
        os.utime(path, ns=(OLD_NS, OLD_NS + 1))
    (folder / "link").symlink_to("secret")
    return {**paths, "folder": folder, "link": folder / "link", "fresh": folder / "fresh"}


def watch(directories: list[Path]) -> int:
    descriptor = libc.inotify_init1(os.O_NONBLOCK)
    for directory in directories:
        libc.inotify_add_watch(descriptor, bytes(directory), INOTIFY_MASK)
    return int(descriptor)


def events(descriptor: int, names: list[str]) -> list[str]:
    """Return what happened to the files, each (mask, name) once."""
    found = []
    with suppress(BlockingIOError):
        while True:
            piece = os.read(descriptor, 65536)
            while piece:
                number, mask, _, length = (
                    int.from_bytes(piece[at : at + 4], "little") for at in (0, 4, 8, 12)
                )
                name = piece[16 : 16 + length].rstrip(b"\0").decode("utf-8", "replace")
                found.append(f"{mask:#x} {names[number - 1] if 0 < number <= len(names) else number}/{name}")
                piece = piece[16 + length :]
    return sorted(set(found))


def state_of(path: Path) -> dict[str, object]:
    try:
        found = path.lstat()
    except OSError as error:
        return {"there": str(error.errno)}
    attributes = {}
    with suppress(OSError):
        attributes = {
            name: os.getxattr(path, name).hex() for name in os.listxattr(path, follow_symlinks=False)
        }
    return {
        "there": f"{found.st_ino} {found.st_nlink} {found.st_size}",
        "attributes": f"{found.st_mode:o} {found.st_uid}:{found.st_gid} {attributes}",
        "written": found.st_mtime_ns,
        "read": found.st_atime_ns,
        "changed": found.st_ctime_ns,
    }


def names_in(directory: Path) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError as error:
        return [str(error)]


def opened_again(directory: Path) -> dict[str, object]:
    """Return its state, and give it a mode in which its content can be looked at."""
    found = state_of(directory)
    with suppress(OSError):
        os.chmod(directory, 0o700)
    return found


def mend(paths: Iterable[Path]) -> None:
    """Undo changes of attributes, which are allowed and would hide others."""
    for path in paths:
        with suppress(OSError):
            os.chown(path, os.geteuid(), os.getegid(), follow_symlinks=False)
            if not path.is_symlink():
                os.chmod(path, 0o700 if path.is_dir() else 0o600)
            os.utime(path, ns=(OLD_NS, OLD_NS + 1), follow_symlinks=False)
            for name in os.listxattr(path, follow_symlinks=False):
                os.removexattr(path, name, follow_symlinks=False)
