"""Create, copy and attach mounts by descriptor (mount_setattr(2), open_tree(2), move_mount(2)).

Every function needs CAP_SYS_ADMIN in the user namespace that owns the mount namespace (mount_namespaces(7)).
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping

from nono.kernel.libc import syscall, syscall_number
from nono.kernel.uapi import mount as uapi
from nono.named_tuple import NamedTuple

UNUSABLE = uapi.MOUNT_ATTR_RDONLY | uapi.MOUNT_ATTR_NOSUID | uapi.MOUNT_ATTR_NODEV | uapi.MOUNT_ATTR_NOEXEC


def make_all_private() -> None:
    """Stop mount propagation in both directions: from outside into this namespace, and from here to outside.

    Raises OSError EINVAL if ``/`` is not a mount point, as in a plain chroot(2).
    """
    _set_attributes(-1, "/", uapi.AT_RECURSIVE, propagation=uapi.MS_PRIVATE)


def new_file_system(kind: str, options: Mapping[str, str], attributes: int = 0) -> int:
    """Return the root of a new, unattached file system; the caller closes the descriptor.

    kind: its name in filesystems(5), such as "tmpfs". `attributes`: MOUNT_ATTR_* flags of the mount.
    The file system disappears with its last mount.
    """
    name = ctypes.create_string_buffer(kind.encode("ascii"))
    context = syscall(
        syscall_number("fsopen"), ctypes.addressof(name), uapi.FSOPEN_CLOEXEC, tried=f"fsopen({kind})"
    )
    try:
        for key, value in options.items():
            _configure(context, kind, uapi.FSCONFIG_SET_STRING, key, value)
        _configure(context, kind, uapi.FSCONFIG_CMD_CREATE)
        return syscall(
            syscall_number("fsmount"), context, uapi.FSMOUNT_CLOEXEC, attributes, tried=f"fsmount({kind})"
        )
    finally:
        os.close(context)


def make_unusable(mount: int) -> None:
    """Set UNUSABLE on `mount`: nothing on it can be written, executed or driven as a device.

    Copies made afterwards inherit the attributes.
    """
    _set_attributes(mount, "", uapi.AT_EMPTY_PATH, attributes=UNUSABLE)


def make_read_only(mount: int, *, with_submounts: bool = True) -> None:
    """Make `mount`, and the mounts below it, read-only (mount_setattr(2)). Devices on it stay as they are."""
    flags = uapi.AT_EMPTY_PATH | (uapi.AT_RECURSIVE if with_submounts else 0)
    _set_attributes(mount, "", flags, attributes=uapi.MOUNT_ATTR_RDONLY)


def take_devices(mount: int) -> None:
    """Let no device on `mount` be opened; those on the mounts below it stay as they are."""
    _set_attributes(mount, "", uapi.AT_EMPTY_PATH, attributes=uapi.MOUNT_ATTR_NODEV)


def copy(directory: int, name: str = "", *, with_submounts: bool = False) -> int:
    """Return an unattached bind mount of `directory`, or of `name` in it; the caller closes it.

    Before Linux 6.15 the source must be attached in this mount namespace (EINVAL otherwise).
    """
    path = ctypes.create_string_buffer(os.fsencode(name))
    flags = uapi.OPEN_TREE_CLONE | uapi.OPEN_TREE_CLOEXEC | (0 if name else uapi.AT_EMPTY_PATH)
    if with_submounts:
        flags |= uapi.AT_RECURSIVE
    return syscall(
        syscall_number("open_tree"), directory, ctypes.addressof(path), flags, tried="open_tree(CLONE)"
    )


def attach(mount: int, onto: int) -> None:
    """Mount `mount` over the exact inode of the O_PATH descriptor `onto`, even if that is a symbolic link."""
    empty = ctypes.create_string_buffer(b"")
    at = ctypes.addressof(empty)
    flags = uapi.MOVE_MOUNT_F_EMPTY_PATH | uapi.MOVE_MOUNT_T_EMPTY_PATH
    syscall(syscall_number("move_mount"), mount, at, onto, at, flags, tried="move_mount")


def detach(mount: int) -> None:
    """Unmount `mount` from its place (MNT_DETACH). Changes the working directory."""
    os.fchdir(mount)
    here = ctypes.create_string_buffer(b".")
    syscall(syscall_number("umount2"), ctypes.addressof(here), uapi.MNT_DETACH, tried="umount2(MNT_DETACH)")


class Seen(NamedTuple):
    """The inode at a path, with a final symbolic link not followed (statx(2))."""

    is_mount_root: bool
    mode: int


def look(path: str) -> Seen:
    """Examine `path` with statx(2) without following a final link.

    Raises OSError ENOENT if nothing is there.
    """
    name = ctypes.create_string_buffer(os.fsencode(path))
    buffer = ctypes.create_string_buffer(uapi.STATX.size)
    syscall(
        syscall_number("statx"),
        -1,
        ctypes.addressof(name),
        uapi.AT_SYMLINK_NOFOLLOW,
        uapi.STATX_TYPE | uapi.STATX_MODE,
        ctypes.addressof(buffer),
        tried="statx",
    )
    attributes, mode = uapi.STATX.unpack(buffer.raw)
    return Seen(bool(attributes & uapi.STATX_ATTR_MOUNT_ROOT), mode)


def _configure(context: int, kind: str, command: int, key: str = "", value: str = "") -> None:
    key_buffer = ctypes.create_string_buffer(key.encode("ascii"))
    value_buffer = ctypes.create_string_buffer(value.encode("ascii"))
    addresses = (ctypes.addressof(key_buffer), ctypes.addressof(value_buffer)) if key else (0, 0)
    syscall(syscall_number("fsconfig"), context, command, *addresses, tried=f"fsconfig({kind}, {key})")


def _set_attributes(
    directory: int, path: str, flags: int, *, attributes: int = 0, propagation: int = 0
) -> None:
    name = ctypes.create_string_buffer(path.encode("ascii"))
    packed = uapi.MOUNT_ATTR.pack(attributes, 0, propagation, 0)
    buffer = ctypes.create_string_buffer(packed, len(packed))
    syscall(
        syscall_number("mount_setattr"),
        directory,
        ctypes.addressof(name),
        flags,
        ctypes.addressof(buffer),
        len(packed),
        tried="mount_setattr",
    )
