"""Tell which file systems another program or machine serves, so that this kernel does not see all changes."""

from __future__ import annotations

from nono.policy.path_expansion import Filesystem, Holder

# Only this kernel looks up and changes their names. Any other type is taken for served: 9P, FUSE, NFS, SMB,
# and what passes names on to another file system (aufs, ecryptfs). Only the overlay stands here: all
# containers have one.
_OF_THIS_KERNEL = frozenset(
    (
        *("bcachefs", "bpf", "btrfs", "cgroup", "cgroup2", "configfs", "cramfs", "debugfs"),
        *("devpts", "devtmpfs", "efivarfs", "erofs", "exfat", "ext2", "ext3", "ext4"),
        *("f2fs", "hfsplus", "hugetlbfs", "iso9660", "jfs", "mqueue", "msdos", "nilfs2", "ntfs3"),
        *("overlay", "proc", "ramfs", "reiserfs", "rootfs", "securityfs", "squashfs", "sysfs", "tmpfs"),
        *("tracefs", "ubifs", "udf", "vfat", "xfs", "zfs"),
    )
)


def server_of(path: str, fs: Filesystem) -> Holder | None:
    """Return the mount that holds a canonical `path`, if its file system is served; None otherwise."""
    holder = fs.holder(path)
    return None if holder is None or holder.type in _OF_THIS_KERNEL else holder
