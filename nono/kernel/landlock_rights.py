"""Map a grant to Landlock rights, by access, kind of inode and ABI."""

from __future__ import annotations

from nono.kernel.uapi import landlock as uapi

KNOWN_ABI = 7

_FS_1 = (1 << 13) - 1  # EXECUTE up to MAKE_SYM
_FS_2 = _FS_1 | uapi.LANDLOCK_ACCESS_FS_REFER
_FS_3 = _FS_2 | uapi.LANDLOCK_ACCESS_FS_TRUNCATE
_FS_5 = _FS_3 | uapi.LANDLOCK_ACCESS_FS_IOCTL_DEV
_NET_4 = uapi.LANDLOCK_ACCESS_NET_BIND_TCP | uapi.LANDLOCK_ACCESS_NET_CONNECT_TCP
_SCOPES_6 = uapi.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | uapi.LANDLOCK_SCOPE_SIGNAL

# Everything each ABI can handle, indexed by ABI; 0 is a kernel without Landlock. ABI 7 adds flags of
# landlock_restrict_self(2) only (Documentation/userspace-api/landlock.rst).
HANDLED_FS = (0, _FS_1, _FS_2, _FS_3, _FS_3, _FS_5, _FS_5, _FS_5)
HANDLED_NET = (0, 0, 0, 0, _NET_4, _NET_4, _NET_4, _NET_4)
SCOPES = (0, 0, 0, 0, 0, 0, _SCOPES_6, _SCOPES_6)

# Flags of landlock_restrict_self(2); an older kernel refuses each of them (EINVAL). The kernel's audit log
# belongs to the machine, and the command must not be able to fill it or to displace other records:
# - sandboxes nested in the command's own log nothing (SUBDOMAINS_OFF): otherwise the command could create
#   one with LOG_NEW_EXEC_ON and have each of a million denials logged;
# - the command itself logs nothing (no LOG_NEW_EXEC_ON, the kernel's default): agents try forbidden things;
# - denials between the restriction and execve are logged (no LOG_SAME_EXEC_OFF): they are bugs in nono.
_RESTRICT_7 = uapi.LANDLOCK_RESTRICT_SELF_LOG_SUBDOMAINS_OFF
RESTRICT_FLAGS = (0, 0, 0, 0, 0, 0, 0, _RESTRICT_7)

# The rights that the kernel accepts in a rule for anything but a directory (security/landlock/fs.c,
# ACCESS_FILE); any other right there is EINVAL.
FILE_RIGHTS = (
    uapi.LANDLOCK_ACCESS_FS_EXECUTE
    | uapi.LANDLOCK_ACCESS_FS_WRITE_FILE
    | uapi.LANDLOCK_ACCESS_FS_READ_FILE
    | uapi.LANDLOCK_ACCESS_FS_TRUNCATE
    | uapi.LANDLOCK_ACCESS_FS_IOCTL_DEV
)

READ_RIGHTS = (
    uapi.LANDLOCK_ACCESS_FS_EXECUTE | uapi.LANDLOCK_ACCESS_FS_READ_FILE | uapi.LANDLOCK_ACCESS_FS_READ_DIR
)

# REMOVE_DIR belongs here: without it rename(2) and rmdir(2) of directories fail in a granted tree.
# REFER too: without it every move between two granted directories is EXDEV.
WRITE_RIGHTS = _FS_3 & ~READ_RIGHTS


def holds_ioctl(abi: int) -> bool:
    """Return True if ioctl(2) on a device takes a right, however the device was opened."""
    return bool(HANDLED_FS[abi] & uapi.LANDLOCK_ACCESS_FS_IOCTL_DEV)


def access_rights(access_reads: bool, access_writes: bool, is_dir: bool, is_device: bool, abi: int) -> int:
    """Return `allowed_access` for the rule of one grant: a subset of ``HANDLED_FS[abi]``, 0 at ABI 0.

    is_device: a character or block device, or a directory at or below /dev.
    Rights that the kernel's ABI lacks are left out: a kernel that cannot handle a right does not restrict it
    either.

    Raises IndexError if `abi` is above KNOWN_ABI.
    """
    rights = 0
    if access_reads:
        rights |= READ_RIGHTS
    if access_writes:
        rights |= WRITE_RIGHTS
        if is_device:  # terminals are driven by ioctl; other files have no use for the right
            rights |= uapi.LANDLOCK_ACCESS_FS_IOCTL_DEV
    if not is_dir:
        rights &= FILE_RIGHTS
    return rights & HANDLED_FS[abi]


def socket_directory_rights(makes: bool) -> int:
    """Return `allowed_access` for a directory of Unix sockets, at every ABI.

    It allows listing the directory and, if `makes`, creating sockets in it. A server removes the socket file
    of an earlier server, but Landlock has no right that allows removing sockets only.
    """
    made = uapi.LANDLOCK_ACCESS_FS_MAKE_SOCK | uapi.LANDLOCK_ACCESS_FS_REMOVE_FILE
    return uapi.LANDLOCK_ACCESS_FS_READ_DIR | (made if makes else 0)
