"""Mounts a command's own view of the system: its /proc, terminals, and temporary directories."""

from __future__ import annotations

import fcntl
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from nono.kernel import mounts, open_path
from nono.kernel.uapi import mount as uapi
from nono.sandbox.plan.private_view import TERMINALS, PrivateView

NO_DEVICES = uapi.MOUNT_ATTR_NOSUID | uapi.MOUNT_ATTR_NODEV
TERMINAL_NUMBER_MAX = 256  # each below it is taken for a moment
TIOCGPTN = 0x80045430  # <asm-generic/ioctls.h>
SSH_SETTINGS = "/etc/ssh/ssh_config.d"
SSH_BYTES_MAX = 64 * 1024


def mount_view(view: PrivateView) -> int | None:
    """Mount the view over this process's mount namespace, which must be private to it.

    Return a descriptor that keeps the caller's terminal in its place and is to stay open as long as the
    command lives, or None. OSError names the step that failed.
    """
    shown = _copied(view)
    try:
        _mount_proc()
        for directory in view.directories:
            if os.path.isdir(directory) and not os.path.islink(directory):
                _mount("tmpfs", {"mode": "1777"}, NO_DEVICES, directory)
        for path, mount in shown.items():
            _show(path, mount)
        for path in view.pinned:
            with _opened(path) as pinned:
                _attach_copy(pinned)
        for path in view.unchanged:
            _protect(path)
    finally:
        for mount in shown.values():
            os.close(mount)
    _copy_ssh_settings()
    return _mount_terminals(view.terminal)


def _mount_proc() -> None:
    """Mount a procfs, and over it what covers files of the one outside, as a container's engine does.

    In a user namespace the kernel refuses to mount one that would show more (mount_too_revealing in
    fs/namespace.c).
    """
    attributes = NO_DEVICES | uapi.MOUNT_ATTR_NOEXEC
    if os.stat("/").st_uid != 0:  # as it looks from a user namespace
        _mount("proc", {}, attributes, "/proc")
        return
    with open("/proc/self/mountinfo", "rb") as file:
        points = [os.fsdecode(line.split(b" ", 5)[4]) for line in file]  # none in /proc is escaped
    covers: dict[str, int] = {}
    try:
        for path in points:
            if path.startswith("/proc/") and path not in covers:
                # What another one hides is not there.
                with suppress(FileNotFoundError), _opened(path) as descriptor:
                    covers[path] = mounts.copy(descriptor, with_submounts=True)
        _mount("proc", {}, attributes, "/proc")
        for path, mount in covers.items():
            with suppress(FileNotFoundError), _opened(path) as onto:  # as those of a process outside
                mounts.attach(mount, onto)
    finally:
        for mount in covers.values():
            os.close(mount)


def _copied(view: PrivateView) -> dict[str, int]:
    """Copy the mounts that show through, while they can be reached. A path that is not there is left out."""
    copies: dict[str, int] = {}
    for each in view.shown:
        with suppress(FileNotFoundError), _opened(each.path) as descriptor:
            copies[each.path] = mounts.copy(descriptor, with_submounts=True)
            if not each.writes:
                mounts.make_read_only(copies[each.path])
    return copies


def _show(path: str, mount: int) -> None:
    """Attach a copied mount where it was, in a directory that is empty so far."""
    is_dir = stat.S_ISDIR(os.fstat(mount).st_mode)
    if not os.path.lexists(path):  # or it is in another that shows through
        os.makedirs(path if is_dir else os.path.dirname(path), exist_ok=True)
        if not is_dir:
            os.close(os.open(path, os.O_CREAT | os.O_RDONLY | os.O_CLOEXEC, 0o600))
    with _opened(path) as onto:
        mounts.attach(mount, onto)


def _protect(path: str) -> None:
    """Mount a directory over itself, read-only but for what is mounted in it; a missing one is left."""
    with suppress(FileNotFoundError), _opened(path) as directory:
        _attach_copy(directory, is_read_only=True)


def _attach_copy(directory: int, *, is_read_only: bool = False) -> None:
    """Mount an open directory over itself, which fixes its name."""
    mount = mounts.copy(directory, with_submounts=True)
    try:
        if is_read_only:
            mounts.make_read_only(mount, with_submounts=False)
        mounts.attach(mount, directory)
    finally:
        os.close(mount)


def _mount_terminals(terminal: str | None) -> int | None:
    """Mount an empty devpts(5), with the caller's terminal under its name, which ttyname(3) looks for."""
    outside = None
    if terminal is not None:
        with suppress(OSError), _opened(terminal) as descriptor:
            outside = mounts.copy(descriptor)
    attributes = uapi.MOUNT_ATTR_NOSUID | uapi.MOUNT_ATTR_NOEXEC
    _mount("devpts", {"ptmxmode": "0666", "mode": "0620"}, attributes, TERMINALS)
    if terminal is None or outside is None:
        return None
    try:
        name = os.path.basename(terminal)
        holder = _take_number(int(name)) if name.isdecimal() else None
        if holder is not None:
            with _opened(terminal) as onto:
                mounts.attach(outside, onto)
        return holder
    finally:
        os.close(outside)


def _take_number(number: int) -> int | None:
    """Make a terminal with that number, which the file system gives out in order; return its other end."""
    if number >= TERMINAL_NUMBER_MAX:
        return None
    passed: list[int] = []
    try:
        for _ in range(number + 1):
            passed.append(os.open(f"{TERMINALS}/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
            (taken,) = struct.unpack("=I", fcntl.ioctl(passed[-1], TIOCGPTN, bytes(4)))
            if taken == number:
                return passed.pop()
        return None
    finally:
        for descriptor in passed:
            os.close(descriptor)


def _copy_ssh_settings() -> None:
    """Replace ssh's included settings by copies that belong to this user.

    ssh(1) refuses those of any other user but root, who in a user namespace is not root (readconf.c).
    """
    if not os.path.isdir(SSH_SETTINGS) or os.stat("/").st_uid == 0:
        return
    copies = {}
    for name in sorted(os.listdir(SSH_SETTINGS)):
        with suppress(OSError), open(f"{SSH_SETTINGS}/{name}", "rb") as file:
            copies[name] = file.read(SSH_BYTES_MAX)
    if not copies:
        return
    root = mounts.new_file_system("tmpfs", {"mode": "0755"}, NO_DEVICES | uapi.MOUNT_ATTR_NOEXEC)
    try:
        for name, text in copies.items():
            descriptor = os.open(name, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o444, dir_fd=root)
            with open(descriptor, "wb") as file:
                file.write(text)
        with _opened(SSH_SETTINGS) as onto:
            mounts.attach(root, onto)
    finally:
        os.close(root)


def _mount(kind: str, options: dict[str, str], attributes: int, path: str) -> None:
    root = mounts.new_file_system(kind, options, attributes)
    try:
        with _opened(path) as onto:
            mounts.attach(root, onto)
    finally:
        os.close(root)


@contextmanager
def _opened(path: str) -> Iterator[int]:
    descriptor = open_path.open_canonical(path)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
