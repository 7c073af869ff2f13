"""Mount a command's own view of the system: its /proc, terminals, and temporary directories."""

from __future__ import annotations

import fcntl
import os
import stat
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from nono.kernel import mounts, open_path
from nono.kernel.uapi import mount as uapi
from nono.sandbox.plan.private_view import DEVICES, DIRECTORIES, QUEUES, TERMINALS, PrivateView

NO_DEVICES = uapi.MOUNT_ATTR_NOSUID | uapi.MOUNT_ATTR_NODEV
PTMX = "/dev/ptmx"
TERMINAL_NUMBER_MAX = 256  # each lower number is allocated for a moment
TIOCGPTN = 0x80045430  # <asm-generic/ioctls.h>
SSH_SETTINGS = "/etc/ssh/ssh_config.d"
SSH_BYTES_MAX = 64 * 1024


def mount_view(view: PrivateView) -> int | None:
    """Mount the view over this process's mount namespace, which must be private to it.

    Returns a descriptor that keeps the caller's terminal in place, or None; keep it open as long as the
    command lives. OSError names the step that failed.
    """
    shown = _copied(view)
    try:
        _mount_proc()
        for path in sorted({*view.directories, *shown}):  # what is within another follows it
            if path in view.directories:
                _replace(path, view.directories)
            if path in shown:
                _show(path, shown[path])
        for path in view.pinned:
            # What is above a socket may have gone with it since it was found.
            with suppress(FileNotFoundError), _opened(path) as pinned:
                _attach_copy(pinned)
        for path in view.unchanged:
            if path == DEVICES and view.devices is not None:
                _protect_devices([each for each in view.devices if each != PTMX])
            else:
                _protect(path)
        _close(view.closed)
    finally:
        for mount in shown.values():
            os.close(mount)
    _mount_queues()
    _copy_ssh_settings()
    terminal = _mount_terminals(view.terminal)
    if view.devices is not None and PTMX in view.devices:
        _mount_ptmx()
    return terminal


def _mount_proc() -> None:
    """Mount a procfs, and copy onto it the mounts that cover files of the outer one, as container engines do.

    In a user namespace the kernel refuses a procfs that would reveal more (mount_too_revealing in
    fs/namespace.c).
    """
    attributes = NO_DEVICES | uapi.MOUNT_ATTR_NOEXEC
    if os.stat("/").st_uid != 0:  # root of the host appears as another uid in a user namespace
        _mount("proc", {}, attributes, "/proc")
        return
    with open("/proc/self/mountinfo", "rb") as file:
        points = [os.fsdecode(line.split(b" ", 5)[4]) for line in file]  # none in /proc is escaped
    covers: dict[str, int] = {}
    try:
        for path in points:
            if path.startswith("/proc/") and path not in covers:
                # A path hidden by another mount does not exist here.
                with suppress(FileNotFoundError), _opened(path) as descriptor:
                    covers[path] = mounts.copy(descriptor, with_submounts=True)
        _mount("proc", {}, attributes, "/proc")
        for path, mount in covers.items():
            with suppress(FileNotFoundError), _opened(path) as onto:  # such as entries of processes outside
                mounts.attach(mount, onto)
    finally:
        for mount in covers.values():
            os.close(mount)


def _mount_queues() -> None:
    """Mount the POSIX queues of this IPC namespace where the caller's are, if they are anywhere.

    mq_open(3) needs no mount, but Landlock lets it open what a rule for the root of this file system allows.
    """
    if not os.path.isdir(QUEUES) or os.path.islink(QUEUES):
        return
    attributes = NO_DEVICES | uapi.MOUNT_ATTR_NOEXEC
    try:
        _mount("mqueue", {}, attributes, QUEUES)
    except OSError:
        # A kernel without them. What the command is granted must not be the host's directory.
        _mount("tmpfs", {"mode": "0755"}, attributes, QUEUES)


def _copied(view: PrivateView) -> dict[str, int]:
    """Copy the mounts that show through, while they are reachable. Missing paths are left out."""
    copies: dict[str, int] = {}
    for each in view.shown:
        with suppress(FileNotFoundError), _opened(each.path) as descriptor:
            copies[each.path] = mounts.copy(descriptor, with_submounts=True)
            if not each.writes:
                mounts.make_read_only(copies[each.path])
    return copies


def _replace(directory: str, directories: Iterable[str]) -> None:
    """Mount an empty directory in memory over one of this host; ignore a missing one, or a link."""
    if os.path.isdir(directory) and not os.path.islink(directory):
        mode = "1777" if directory in DIRECTORIES else "0700"  # others are this person's alone
        _mount("tmpfs", {"mode": mode}, NO_DEVICES, directory)
    elif any(directory.startswith(f"{above}/") for above in directories):
        # It was there until the one above it was replaced: XDG_RUNTIME_DIR is in /tmp on some systems.
        os.makedirs(directory, mode=0o700, exist_ok=True)


def _show(path: str, mount: int) -> None:
    """Attach a copied mount at its original path, in a directory that is empty so far."""
    is_dir = stat.S_ISDIR(os.fstat(mount).st_mode)
    if not os.path.lexists(path):  # or it is inside another mount that shows through
        os.makedirs(path if is_dir else os.path.dirname(path), exist_ok=True)
        if not is_dir:
            os.close(os.open(path, os.O_CREAT | os.O_RDONLY | os.O_CLOEXEC, 0o600))
    with _opened(path) as onto:
        mounts.attach(mount, onto)


def _close(paths: Iterable[str]) -> None:
    """Mount an empty directory over each directory of sockets, and over each socket a file that is none.

    connect(2) says ECONNREFUSED of such a file, as where a service has ended (unix_find_bsd in
    net/unix/af_unix.c).
    """
    for path in paths:
        # A socket may have gone since it was found, and one in a closed directory is hidden already.
        with suppress(FileNotFoundError), _opened(path) as onto:
            mode = os.fstat(onto).st_mode
            if stat.S_ISDIR(mode):
                # git refuses a directory for its cache that others may enter.
                _mount("tmpfs", {"mode": f"{mode & 0o555:04o}"}, NO_DEVICES | uapi.MOUNT_ATTR_RDONLY, path)
                continue
            with _opened(os.devnull) as file:
                mount = mounts.copy(file)
            try:
                mounts.attach(mount, onto)
            finally:
                os.close(mount)


def _protect(path: str) -> None:
    """Mount a directory over itself, read-only except for the mounts in it; ignore a missing one."""
    with suppress(FileNotFoundError), _opened(path) as directory:
        _attach_copy(directory, is_read_only=True)


def _protect_devices(granted: Iterable[str]) -> None:
    """Mount the directory of devices over itself, read-only and with no device, and the granted ones over it.

    What is on another mount already stays as it is.
    """
    copies: dict[str, int] = {}
    try:
        with _opened(DEVICES) as directory:
            file_system = os.fstat(directory).st_dev
            for path in granted:
                if os.path.islink(path):  # such as /dev/fd; where it leads has a grant of its own
                    continue
                with suppress(FileNotFoundError, PermissionError), _opened(path) as descriptor:
                    if os.fstat(descriptor).st_dev == file_system:
                        copies[path] = mounts.copy(descriptor, with_submounts=True)
            _attach_copy(directory, is_read_only=True, has_devices=False)
        for path, copy in copies.items():
            mounts.make_read_only(copy, with_submounts=False)  # a device can be written all the same
            with suppress(FileNotFoundError), _opened(path) as onto:  # it may have been unplugged since
                mounts.attach(copy, onto)
    finally:
        for copy in copies.values():
            os.close(copy)


def _mount_ptmx() -> None:
    """Put the new devpts's ptmx where programs look for it; ignore a missing one.

    A mount of the node in /dev would find no devpts beside it (path_pts in fs/namei.c).
    """
    with suppress(FileNotFoundError), _opened(f"{TERMINALS}/ptmx") as own, _opened(PTMX) as onto:
        copy = mounts.copy(own)
        try:
            mounts.attach(copy, onto)
        finally:
            os.close(copy)


def _attach_copy(opened: int, *, is_read_only: bool = False, has_devices: bool = True) -> None:
    """Mount an open file or directory over itself, so that it cannot be renamed."""
    mount = mounts.copy(opened, with_submounts=True)
    try:
        if is_read_only:
            mounts.make_read_only(mount, with_submounts=False)
        if not has_devices:
            mounts.take_devices(mount)
        mounts.attach(mount, opened)
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
    """Allocate the terminal with that number; numbers are given out in order. Returns its other end."""
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
    """Replace the files that ssh's configuration includes by copies that belong to this user.

    ssh(1) refuses such files unless they belong to root or the user, and in a user namespace root's files
    belong to neither (readconf.c).
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
